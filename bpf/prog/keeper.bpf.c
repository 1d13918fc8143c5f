/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The only writer of `config`, `ports`, `prefixes` and of all of `meta` but full_ns.  It is
 * attached to nothing: user space runs it by BPF_PROG_TEST_RUN, and the "packet" is a struct
 * keeper_order.
 *
 * A socket filter, since that type takes the least: it can do nothing to a packet, and on all
 * kernels it may use all kinds of maps. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "maps.h"

enum {
    META_WORDS = sizeof(struct capture_meta) / 8,
    FULL_NS_AT = __builtin_offsetof(struct capture_meta, full_ns),
};
_Static_assert(sizeof(struct capture_meta) % 8 == 0 && FULL_NS_AT % 8 == 0, "meta is all words");

INLINE int end(void)
{
    struct capture_meta *now = bpf_map_lookup_elem(&meta, &(__u32){0});

    if (!now)
        return -ENOENT;
    *(volatile __u32 *)&now->state = CAPTURE_ENDED;
    return 0;
}

/* Word by word, so that no reader finds half of one. */
INLINE int replace_meta(const struct capture_meta *wanted)
{
    volatile __u64 *to = bpf_map_lookup_elem(&meta, &(__u32){0});
    const __u64 *from = (const __u64 *)wanted;

    if (!to)
        return -ENOENT;
    for (int i = 0; i < META_WORDS; i++)
        if (i != FULL_NS_AT / 8)
            to[i] = from[i];
    return 0;
}

INLINE int replace_ports(__u32 word, __u64 bits)
{
    volatile __u64 *now = bpf_map_lookup_elem(&ports, &word);

    if (!now)
        return -ENOENT;
    *now = bits;
    return 0;
}

INLINE int obey(const struct keeper_order *order)
{
    switch (order->action) {
    case KEEPER_META:
        return replace_meta(&order->meta);
    case KEEPER_CONFIG:
        return (int)bpf_map_update_elem(&config, &(__u32){0}, &order->config, BPF_ANY);
    case KEEPER_PORTS:
        return replace_ports(order->word, order->ports);
    case KEEPER_ADD_PREFIX:
        return (int)bpf_map_update_elem(&prefixes, &order->prefix, &(__u8){1}, BPF_ANY);
    case KEEPER_REMOVE_PREFIX:
        return (int)bpf_map_delete_elem(&prefixes, &order->prefix);
    default:
        return -EINVAL;
    }
}

/* Answers 0 or a negative errno. */
SEC("socket")
int capture_keeper(struct __sk_buff *ctx)
{
    struct keeper_order order;

    if (bpf_skb_load_bytes(ctx, 0, &order.action, sizeof(order.action)) < 0)
        return -EINVAL;
    if (order.action == KEEPER_END)
        return end();
    if (bpf_skb_load_bytes(ctx, 0, &order, sizeof(order)) < 0)
        return -EINVAL;
    return obey(&order);
}

char licence[] SEC("license") = "Dual BSD/GPL";
