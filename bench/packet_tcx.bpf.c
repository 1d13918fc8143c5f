/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "tcx.bpf.c"

#include "packet_floor.h"

SEC("tc")
int no_op(struct __sk_buff *ctx)
{
    (void)ctx;
    return TC_ACT_UNSPEC;
}

SEC("tc")
int update_only(struct __sk_buff *ctx)
{
    struct pending_key key;

    if (!next_tuple((void *)(long)ctx->data, (void *)(long)ctx->data_end, &key))
        return TC_ACT_SHOT;
    return update_plain(&key) == 0 ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("tc")
__attribute__((flatten)) int capture_new(struct __sk_buff *ctx)
{
    struct pending_key key;

    if (!next_tuple((void *)(long)ctx->data, (void *)(long)ctx->data_end, &key))
        return TC_ACT_SHOT;
    return capture_tcx(ctx);
}
