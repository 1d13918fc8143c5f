/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs of this kind cannot write packets, so there is no new tuple each time. */
#include "cgroup.bpf.c"

SEC("cgroup_skb/ingress")
int no_op(struct __sk_buff *ctx)
{
    (void)ctx;
    return 1;
}
