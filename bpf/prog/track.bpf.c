/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Follow the sockets: a pending SYN that a connection was made of becomes the live entry of its
 * socket, and goes when the socket closes.
 *
 * Which SYN it was, only the socket knows: the next byte it expects, less all it has received and
 * one for the SYN itself, is the sequence number of the SYN that the kernel accepted, whatever else
 * has come along on the same tuple.
 *
 *   SYN_RECV -> ESTABLISHED   pending[source, ISN] -> live[socket's tuple],
 *                             and alias[wire's tuple] where NAT has moved the destination
 *
 *   anything -> CLOSE         leave both, by the socket's cookie; and again when the socket is
 *                             destroyed
 *
 * All steps may be run twice for one event, and by several CPUs for sockets of the same tuple in
 * several network namespaces.  What a race between the last of those can cost is an entry (the
 * reader says "missing"); it never makes an entry speak for a socket that did not make it.
 *
 * The close of a socket may not have been seen when its successor on the same tuple arrives: the
 * kernel frees the tuple before it tells us, and it can leave out a run of a program.  struct
 * socket_scope settles it.  The end of the socket, mostly another moment in another context, is the
 * second chance for tuples that are never used again. */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "claim.h"
#include "filter.h"
#include "kernel_types.h"
#include "maps.h"

#define NOINLINE static __attribute__((noinline))

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

INLINE int same_16_bytes(const __u8 *a, const __u8 *b)
{
    const __u32 *left = (const __u32 *)a, *right = (const __u32 *)b;

    return left[0] == right[0] && left[1] == right[1] && left[2] == right[2] && left[3] == right[3];
}

/* Did the packet arrive for another destination than the socket's? */
INLINE int is_moved(const struct syn_record *syn, const struct tuple_key *key)
{
    return syn->wire_destination_port_be != key->destination_port_be ||
           !same_16_bytes(syn->wire_destination, key->destination);
}

/* The tuple as it was on the wire. */
INLINE void alias_key_of(const struct live_entry *entry, struct tuple_key *ret_key)
{
    *ret_key = entry->key;
    __builtin_memcpy(ret_key->destination, entry->syn.wire_destination,
                     sizeof(ret_key->destination));
    ret_key->destination_port_be = entry->syn.wire_destination_port_be;
}

INLINE void note_full(enum capture_counter counter)
{
    struct capture_meta *now = bpf_map_lookup_elem(&meta, &(__u32){0});

    count(counter);
    if (now)
        now->full_ns = bpf_ktime_get_boot_ns();
}

/* Take a place in another socket's entry.  Its element may have been reused for another tuple since
 * it was looked up: then the version, which is never used twice, has changed, and the place is
 * given back. */
INLINE void join(struct claim *claim, const __u64 *version, __u64 cookie)
{
    __u64 before = *(const volatile __u64 *)version;
    enum claim_result result = claim_join(claim, cookie);

    if (result == CLAIM_HELD)
        return;
    if (*(const volatile __u64 *)version != before) {
        claim_leave(claim, cookie);
        return;
    }
    count(COUNTER_PROMOTE_SHARED);
    if (result == CLAIM_CROWDED)
        count(COUNTER_CLAIM_CROWDED);
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

/* Is the entry that these are of a leftover of a socket whose tuple the holder has now?  Returns
 * its cookie, or 0. */
INLINE __u64 find_dead_owner(const struct claim *claim, const struct socket_scope *scope,
                             const struct holder *holder)
{
    if (claim_has(claim, holder->cookie) || scope->netns != holder->scope.netns ||
        scope->device != holder->scope.device)
        return 0;
    return claim->owner;
}

INLINE void release_alias(const struct tuple_key *wire, __u64 cookie)
{
    struct alias_entry *entry = bpf_map_lookup_elem(&alias, wire);

    if (!entry || !claim_has(&entry->claim, cookie))
        return;
    claim_leave(&entry->claim, cookie);
    if (claim_is_empty(&entry->claim))
        bpf_map_delete_elem(&alias, wire);
}

INLINE void join_alias(const struct tuple_key *wire, __u64 cookie)
{
    struct alias_entry *old = bpf_map_lookup_elem(&alias, wire);

    if (old)
        join(&old->claim, &old->version_begin, cookie);
}

INLINE long insert_alias(const struct alias_entry *new, const struct holder *holder)
{
    long r = bpf_map_update_elem(&alias, &new->key, new, BPF_NOEXIST);
    struct alias_entry *old;
    __u64 dead;

    if (r != -EEXIST)
        return r;
    old = bpf_map_lookup_elem(&alias, &new->key);
    dead = old ? find_dead_owner(&old->claim, &old->scope, holder) : 0;
    if (!dead)
        return r;
    release_alias(&new->key, dead);
    return bpf_map_update_elem(&alias, &new->key, new, BPF_NOEXIST);
}

/* Reached by its own key, since live_entry and alias_entry together are too much for the stack. */
NOINLINE void store_alias(const struct tuple_key *key, const struct holder *holder)
{
    struct live_entry *entry = bpf_map_lookup_elem(&live, key);
    struct alias_entry new = {
        .version_begin = holder->cookie,
        .live = *key,
        .claim.owner = holder->cookie,
        .scope = holder->scope,
        .version_end = holder->cookie,
    };
    long r;

    if (!entry || entry->version_begin != holder->cookie)
        return;
    alias_key_of(entry, &new.key);
    r = insert_alias(&new, holder);
    if (r == 0)
        count(COUNTER_ALIAS_STORED);
    else if (r == -EEXIST)
        join_alias(&new.key, holder->cookie);
    else
        note_full(COUNTER_ALIAS_INSERT_FAILED);
}

/* Copy the pending SYN.  The map may give its element to another SYN meanwhile, half way through
 * the copy; the key is still found in the same place afterwards only if it did not.  Returns 1, or
 * 0 without a SYN. */
INLINE int copy_pending(const struct pending_key *key, struct syn_record *ret_syn)
{
    struct syn_record *found = bpf_map_lookup_elem(&pending, key);
    __u64 barrier = 0;

    if (!found)
        return 0;
    *ret_syn = *found;
    (void)__sync_val_compare_and_swap(&barrier, 0, 1); /* the copy comes before the second look */
    return bpf_map_lookup_elem(&pending, key) == found;
}

enum promotion {
    PROMOTION_NONE = 0,
    PROMOTION_STORED,
    PROMOTION_MOVED,    /* stored, and needs an alias */
    PROMOTION_OCCUPIED, /* not stored: the entry of a dead socket is in the way */
};

INLINE enum promotion share_live(const struct tuple_key *key, const struct holder *holder)
{
    struct live_entry *old = bpf_map_lookup_elem(&live, key);

    if (!old)
        return PROMOTION_NONE;
    if (find_dead_owner(&old->claim, &old->scope, holder))
        return PROMOTION_OCCUPIED;
    join(&old->claim, &old->version_begin, holder->cookie);
    return PROMOTION_STORED;
}

/* Put the entry of an established socket into `live`. */
INLINE enum promotion store_live(const struct live_entry *entry, const struct holder *holder)
{
    long r = bpf_map_update_elem(&live, &entry->key, entry, BPF_NOEXIST);

    if (r == 0) {
        count(entry->has_syn ? COUNTER_PROMOTED : COUNTER_PROMOTE_NO_SYN);
        return entry->has_syn && is_moved(&entry->syn, &entry->key) ? PROMOTION_MOVED
                                                                    : PROMOTION_STORED;
    }
    if (r == -EEXIST)
        return share_live(&entry->key, holder);
    note_full(COUNTER_LIVE_INSERT_FAILED);
    return PROMOTION_NONE;
}

NOINLINE enum promotion promote(const struct tcp_sock *tcp, const struct tuple_key *key,
                                const struct holder *holder)
{
    struct pending_key pending_key;
    struct live_entry entry = {
        .version_begin = holder->cookie,
        .key = *key,
        .claim.owner = holder->cookie,
        .scope = holder->scope,
        .version_end = holder->cookie,
    };
    enum promotion result;

    pending_key_of(tcp, key, &pending_key);
    entry.has_syn = copy_pending(&pending_key, &entry.syn);
    if (!entry.has_syn) {
        __builtin_memset(&entry.syn, 0, sizeof(entry.syn));
        if (filter_destination(key->destination, bpf_ntohs(key->destination_port_be)) !=
            FILTER_PASS)
            return PROMOTION_NONE;
    }
    result = store_live(&entry, holder);
    if (entry.has_syn && (result == PROMOTION_STORED || result == PROMOTION_MOVED))
        bpf_map_delete_elem(&pending, &pending_key);
    return result;
}

/* The alias goes first, so that whoever finds one finds the entry it means. */
NOINLINE void release(const struct tuple_key *key, __u64 cookie)
{
    struct live_entry *entry = bpf_map_lookup_elem(&live, key);
    struct tuple_key wire;

    if (!entry || !claim_has(&entry->claim, cookie))
        return;
    if (entry->claim.owner == cookie && entry->has_syn && is_moved(&entry->syn, key)) {
        alias_key_of(entry, &wire);
        release_alias(&wire, cookie);
    }
    claim_leave(&entry->claim, cookie);
    if (claim_is_empty(&entry->claim) && bpf_map_delete_elem(&live, key) == 0)
        count(COUNTER_LIVE_DELETED);
}

NOINLINE void bury(const struct tuple_key *key, const struct holder *holder)
{
    struct live_entry *old = bpf_map_lookup_elem(&live, key);
    __u64 dead = old ? find_dead_owner(&old->claim, &old->scope, holder) : 0;

    if (!dead)
        return;
    count(COUNTER_LIVE_REPLACED);
    release(key, dead);
}

INLINE void establish(const struct tcp_sock *tcp, const struct tuple_key *key,
                      const struct holder *holder)
{
    enum promotion result = promote(tcp, key, holder);

    if (result == PROMOTION_OCCUPIED) {
        bury(key, holder);
        result = promote(tcp, key, holder);
    }
    if (result == PROMOTION_MOVED)
        store_alias(key, holder);
}

/* Arguments of the tracepoint: the socket, the state it leaves, the state it enters. */
SEC("tp_btf/inet_sock_set_state")
int capture_track(__u64 *args)
{
    struct sock *sk = (struct sock *)args[0];
    int from = (int)args[1], to = (int)args[2];
    int established = from == TCP_SYN_RECV && to == TCP_ESTABLISHED;
    int closed = to == TCP_CLOSE && from != TCP_LISTEN && from != TCP_SYN_SENT;
    struct tuple_key key;
    struct holder holder;
    struct tcp_sock *tcp;

    if (!established && !closed)
        return 0;
    tcp = bpf_skc_to_tcp_sock(sk);
    if (!tcp || !key_from_socket(tcp, &key))
        return 0;
    holder_of(tcp, sk, &holder);
    if (established)
        establish(tcp, &key, &holder);
    else
        release(&key, holder.cookie);
    return 0;
}

/* Argument of the tracepoint: the socket, which still has its addresses. */
SEC("tp_btf/tcp_destroy_sock")
int capture_destroy(__u64 *args)
{
    struct sock *sk = (struct sock *)args[0];
    struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
    struct tuple_key key;

    if (tcp && key_from_socket(tcp, &key))
        release(&key, bpf_get_socket_cookie(sk));
    return 0;
}

char licence[] SEC("license") = "Dual BSD/GPL";
