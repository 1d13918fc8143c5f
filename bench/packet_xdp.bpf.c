/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "xdp.bpf.c"

#include "packet_floor.h"

SEC("xdp")
int no_op(struct xdp_md *ctx)
{
    (void)ctx;
    return XDP_PASS;
}

SEC("xdp")
int update_only(struct xdp_md *ctx)
{
    struct pending_key key;

    if (!next_tuple((void *)(long)ctx->data, (void *)(long)ctx->data_end, &key))
        return XDP_ABORTED;
    return update_plain(&key) == 0 ? XDP_PASS : XDP_ABORTED;
}

SEC("xdp")
__attribute__((flatten)) int capture_new(struct xdp_md *ctx)
{
    struct pending_key key;

    if (!next_tuple((void *)(long)ctx->data, (void *)(long)ctx->data_end, &key))
        return XDP_ABORTED;
    return capture_xdp(ctx);
}
