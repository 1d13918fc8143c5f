/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who a socket is, in the terms of our maps: its tuple, the SYN that it was made of, and the cookie
 * and scope that set it apart from others of the same tuple. */
#ifndef SOCKET_KEY_H
#define SOCKET_KEY_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"
#include "maps.h"
#include "record.h"

INLINE int is_mapped(const __u32 words[4])
{
    return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

INLINE void key_from_ip4(const struct sock_common *common, struct tuple_key *key)
{
    __u32 source[4] = {0, 0, bpf_htonl(0xffff), common->skc_daddr};
    __u32 destination[4] = {0, 0, bpf_htonl(0xffff), common->skc_rcv_saddr};

    __builtin_memcpy(key->source, source, sizeof(source));
    __builtin_memcpy(key->destination, destination, sizeof(destination));
    key->family = 4;
}

/* IPv4 on a dual-stack socket has the mapped form here, which is that of our keys. */
INLINE void key_from_ip6(const struct sock_common *common, struct tuple_key *key)
{
    __u32 source[4], destination[4];

    for (int i = 0; i < 4; i++) {
        source[i] = common->skc_v6_daddr.in6_u.u6_addr32[i];
        destination[i] = common->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
    }
    __builtin_memcpy(key->source, source, sizeof(source));
    __builtin_memcpy(key->destination, destination, sizeof(destination));
    key->family = is_mapped(source) ? 4 : 6;
}

/* The socket's tuple, seen from the server.  The local port is inet_sport: at CLOSE the kernel has
 * zeroed skc_num already.  Returns 0 for a socket that is not IP. */
INLINE int key_from_socket(const struct tcp_sock *tcp, struct tuple_key *ret_key)
{
    const struct inet_sock *inet = &tcp->inet_conn.icsk_inet;
    const struct sock_common *common = &inet->sk.__sk_common;

    __builtin_memset(ret_key, 0, sizeof(*ret_key));
    ret_key->source_port_be = common->skc_dport;
    ret_key->destination_port_be = inet->inet_sport;
    if (common->skc_family == AF_INET)
        key_from_ip4(common, ret_key);
    else if (common->skc_family == AF_INET6)
        key_from_ip6(common, ret_key);
    return ret_key->family;
}

INLINE void pending_key_of(const struct tcp_sock *tcp, const struct tuple_key *key,
                           struct pending_key *ret_pending)
{
    __builtin_memset(ret_pending, 0, sizeof(*ret_pending));
    __builtin_memcpy(ret_pending->source, key->source, sizeof(key->source));
    ret_pending->source_port_be = key->source_port_be;
    ret_pending->family = key->family;
    ret_pending->isn = tcp->rcv_nxt - 1 - (__u32)tcp->bytes_received;
}

/* Who a socket is. */
struct holder {
    __u64 cookie;
    struct socket_scope scope;
};

INLINE void holder_of(const struct tcp_sock *tcp, struct sock *sk, struct holder *ret_holder)
{
    const struct sock_common *common = &tcp->inet_conn.icsk_inet.sk.__sk_common;

    ret_holder->cookie = bpf_get_socket_cookie(sk);
    ret_holder->scope.netns = common->skc_net.net->net_cookie;
    ret_holder->scope.device = (__u32)common->skc_bound_dev_if;
    ret_holder->scope.zero = 0;
}

#endif
