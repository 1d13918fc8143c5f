/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The capture program as it is, with floors to measure it against.  BPF_PROG_TEST_RUN hands the
 * same packet in again and again; next_tuple() makes each one a new client's, since the same key
 * twice costs a fraction of a new one. */
#include "xdp.bpf.c"

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 131072); /* packet_bench checks that `pending` has as many */
    __type(key, struct pending_key);
    __type(value, struct syn_record);
} plain SEC(".maps");

struct syn_record blank;

struct tuple {
    __u32 source;
    __u32 isn;
    __u16 source_port;
};

/* IPv4 without options behind Ethernet.  A call of its own, so that what it has checked does not
 * make the program behind it cheaper than it is. */
static __attribute__((noinline)) int next_tuple(struct xdp_md *ctx, struct tuple *ret_tuple)
{
    __u8 *data = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    __u8 *ip = data + PARSE_ETH_SIZE, *tcp = ip + PARSE_IP4_SIZE;

    if ((void *)(tcp + PARSE_TCP_SIZE) > end)
        return 0;
    /* odd: all 2^32 addresses before one comes again */
    *(__u32 *)(ip + PARSE_IP4_SOURCE) += 0x01000193;
    *(__u32 *)(tcp + PARSE_TCP_SEQUENCE) += 0x9e3779b1;
    *(__u16 *)(tcp + PARSE_TCP_SOURCE) += 1;
    ret_tuple->source = *(__u32 *)(ip + PARSE_IP4_SOURCE);
    ret_tuple->isn = *(__u32 *)(tcp + PARSE_TCP_SEQUENCE);
    ret_tuple->source_port = *(__u16 *)(tcp + PARSE_TCP_SOURCE);
    return 1;
}

SEC("xdp")
int no_op(struct xdp_md *ctx)
{
    (void)ctx;
    return XDP_PASS;
}

SEC("xdp")
int update_only(struct xdp_md *ctx)
{
    struct tuple tuple;
    struct pending_key key = {.family = 4};

    if (!next_tuple(ctx, &tuple))
        return XDP_ABORTED;
    __builtin_memcpy(key.source + 12, &tuple.source, sizeof(tuple.source));
    key.isn = tuple.isn;
    key.source_port_be = tuple.source_port;
    return bpf_map_update_elem(&plain, &key, &blank, BPF_ANY) == 0 ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
__attribute__((flatten)) int capture_new(struct xdp_md *ctx)
{
    struct tuple tuple;

    if (!next_tuple(ctx, &tuple))
        return XDP_ABORTED;
    return capture_xdp(ctx);
}
