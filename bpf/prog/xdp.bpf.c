/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Record each TCP SYN that arrives at a device, and let every packet pass. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "filter.h"
#include "maps.h"
#include "parse.h"

/* Set by the loader: packets may have bytes behind data_end (kernels that know the flag know the
 * helper). */
const volatile _Bool has_frags = 0;

/* What a packet is counted as that could have been a SYN for us. */
INLINE enum capture_counter counter_of(enum parse_result result)
{
    switch (result) {
    case PARSE_FRAGMENT:
        return COUNTER_IP_FRAGMENT;
    case PARSE_BAD_IP_HEADER:
        return COUNTER_IP_BAD_HEADER;
    case PARSE_CUT_OFF:
        return COUNTER_IP_CUT_OFF;
    case PARSE_VLAN_TOO_DEEP:
        return COUNTER_VLAN_TOO_DEEP;
    case PARSE_IPV6_TOO_DEEP:
        return COUNTER_IPV6_TOO_DEEP;
    case PARSE_BAD_FLAGS:
        return COUNTER_SYN_BAD_FLAGS;
    case PARSE_BAD_LENGTH:
        return COUNTER_SYN_BAD_LENGTH;
    case PARSE_BAD_OFFSET:
        return COUNTER_SYN_BAD_OFFSET;
    default:
        return COUNTER_SYN_TRUNCATED;
    }
}

/* Bytes from the IP header to the end of the frame, also those that are not in the linear part. */
INLINE __u64 available_bytes(struct xdp_md *ctx, const struct parse_packet *packet)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;

    if (has_frags)
        return bpf_xdp_get_buff_len(ctx) - packet->link_length;
    return (__u64)(end - data) - packet->link_length;
}

/* A retransmitted SYN leaves the first one in place, and so does one that a hook nearer to the wire
 * has seen. */
INLINE void store(struct xdp_md *ctx, const struct parse_packet *packet,
                  struct capture_counters *own)
{
    struct pending_key key;
    struct syn_record record;
    long r;

    parse_fill(packet, &key, &record);
    record.seen_ns = bpf_ktime_get_boot_ns();
    record.ifindex = ctx->ingress_ifindex;
    record.hook = SYN_HOOK_XDP;
    if (record.payload_length)
        own->values[COUNTER_SYN_WITH_PAYLOAD]++;
    if (record.seen & SYN_SEEN_IPV6_EXTENSION)
        own->values[COUNTER_IPV6_EXTENSION]++;

    r = bpf_map_update_elem(&pending, &key, &record, BPF_NOEXIST);
    if (r == 0)
        own->values[COUNTER_SYN_STORED]++;
    else if (r == -EEXIST)
        own->values[COUNTER_SYN_RETRANSMIT]++;
    else
        own->values[COUNTER_SYN_INSERT_FAILED]++;
}

INLINE enum filter_answer filter_packet(const struct parse_packet *packet)
{
    __u8 destination[16];

    parse_destination(packet, destination);
    return filter_destination(destination, parse_be16(packet->tcp + PARSE_TCP_DESTINATION));
}

INLINE void handle_syn(struct xdp_md *ctx, const struct parse_packet *packet,
                       struct capture_counters *own)
{
    enum filter_answer answer = filter_packet(packet);
    enum parse_result result;

    if (answer == FILTER_OFF)
        return;
    if (answer == FILTER_PORT) {
        own->values[COUNTER_SYN_FILTERED_PORT]++;
        return;
    }
    if (answer == FILTER_PREFIX) {
        own->values[COUNTER_SYN_FILTERED_PREFIX]++;
        return;
    }
    own->values[COUNTER_SYN_SEEN]++;
    result = parse_check(packet, available_bytes(ctx, packet));
    if (result == PARSE_SYN)
        store(ctx, packet, own);
    else
        own->values[counter_of(result)]++;
}

INLINE void count_unparsed(enum parse_result result, struct capture_counters *own)
{
    struct capture_config *now = bpf_map_lookup_elem(&config, &(__u32){0});

    if (now && now->enabled)
        own->values[counter_of(result)]++;
}

SEC("xdp")
int capture_xdp(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    struct capture_counters *own;
    struct parse_packet packet;
    enum parse_result result = parse_ethernet(data, end, &packet);

    if (result <= PARSE_NOT_SYN)
        return XDP_PASS;
    own = own_counters();
    if (!own)
        return XDP_PASS;
    if (result == PARSE_SYN)
        handle_syn(ctx, &packet, own);
    else
        count_unparsed(result, own);
    return XDP_PASS;
}

char licence[] SEC("license") = "Dual BSD/GPL";
