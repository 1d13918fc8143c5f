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
 *                             (`pending_before` likewise, while maps are being replaced)
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
#include "last_isn.h"
#include "maps.h"
#include "socket_key.h"
#include "source_hash.h"
#include "watch.h"

/* Set by the loader: which of the copies this is, that run one after the other.  What a second run
 * would do again, only the first copy does: counting what failed, telling a watcher of it. */
const volatile __u32 copy = 0;

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

INLINE void note_full(enum capture_counter counter, __u8 family)
{
    struct capture_meta *now = bpf_map_lookup_elem(&meta, &(__u32){0});

    if (copy == 0)
        count(counter, family);
    if (now)
        now->full_ns = bpf_ktime_get_boot_ns();
}

INLINE void tell(enum watch_state state, const struct tuple_key *key, __u64 netns,
                 const struct syn_record *syn)
{
    if (watch_tell(state, key, netns, syn) < 0)
        count(COUNTER_WATCH_LOST, key->family);
}

INLINE __u64 source_hash_of(const struct tuple_key *key)
{
    return hash_source(hash_network(key->source, key->family), key->source, key->source_port_be);
}

/* An entry of `live` or `alias` that is another socket's, too. */
struct shared_entry {
    struct claim *claim;
    const volatile __u64 *version;
    const struct tuple_key *key;
    enum crowd_of of;
};

INLINE int is_member(const struct shared_entry *entry, __u64 version, __u64 cookie)
{
    return claim_has(entry->claim, cookie) ||
           (entry->claim->crowded && crowd_has(cookie, entry->of, version));
}

/* Join another socket's entry.  Its element may be reused for another tuple meanwhile: then the
 * version, which is never used twice, has changed, and the place is given back.  `version` is from
 * before the caller has found the key in that place.  Returns what has changed for the entry. */
INLINE enum claim_result join(const struct shared_entry *entry, __u64 version, __u64 cookie)
{
    if (is_member(entry, version, cookie))
        return CLAIM_HELD;
    if (!claim_take_place(entry->claim, cookie))
        return crowd_join(entry->claim, version, entry->of, entry->key, cookie);
    if (*entry->version == version)
        return CLAIM_JOINED;
    claim_leave(entry->claim, cookie);
    return CLAIM_HELD;
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

INLINE void remove_alias_if_empty(const struct claim *claim, const struct tuple_key *wire)
{
    if (claim_is_empty(claim) && bpf_map_delete_elem(&alias, wire) == 0)
        count(COUNTER_ALIAS_DELETED, wire->family);
}

INLINE void remove_live_if_empty(const struct claim *claim, const struct tuple_key *key)
{
    if (claim_is_empty(claim) && bpf_map_delete_elem(&live, key) == 0)
        count(COUNTER_LIVE_DELETED, key->family);
}

/* Each returns 0 when there was nothing of this socket. */
NOINLINE int leave_crowd_of_live(__u64 cookie)
{
    struct crowd_member member;
    struct live_entry *entry;

    if (!crowd_take(cookie, CROWD_OF_LIVE, &member))
        return 0;
    entry = bpf_map_lookup_elem(&live, &member.key);
    if (entry && claim_change_crowd(&entry->claim, member.version, CLAIM_GO) == 0)
        remove_live_if_empty(&entry->claim, &member.key);
    return 1;
}

NOINLINE int leave_crowd_of_alias(__u64 cookie)
{
    struct crowd_member member;
    struct alias_entry *entry;

    if (!crowd_take(cookie, CROWD_OF_ALIAS, &member))
        return 0;
    entry = bpf_map_lookup_elem(&alias, &member.key);
    if (entry && claim_change_crowd(&entry->claim, member.version, CLAIM_GO) == 0)
        remove_alias_if_empty(&entry->claim, &member.key);
    return 1;
}

INLINE void release_alias(const struct tuple_key *wire, __u64 cookie)
{
    struct alias_entry *entry = bpf_map_lookup_elem(&alias, wire);

    if (!entry || !claim_has(&entry->claim, cookie)) {
        leave_crowd_of_alias(cookie);
        return;
    }
    claim_leave(&entry->claim, cookie);
    remove_alias_if_empty(&entry->claim, wire);
}

/* Returns 0 when nothing is new. */
INLINE int count_joined(enum claim_result result, __u8 family)
{
    if (result == CLAIM_HELD || (result == CLAIM_UNCOUNTED && copy != 0))
        return 0;
    count(COUNTER_PROMOTE_SHARED, family);
    if (result != CLAIM_JOINED)
        count(COUNTER_CLAIM_CROWDED, family);
    if (result == CLAIM_UNCOUNTED)
        note_full(COUNTER_CLAIM_LOST, family);
    return 1;
}

INLINE void join_alias(const struct tuple_key *wire, __u64 cookie)
{
    struct alias_entry *old = bpf_map_lookup_elem(&alias, wire);
    struct shared_entry shared;
    __u64 version;

    if (!old)
        return;
    shared = (struct shared_entry){&old->claim, &old->version_begin, wire, CROWD_OF_ALIAS};
    version = *shared.version;
    if (bpf_map_lookup_elem(&alias, wire) == old)
        count_joined(join(&shared, version, cookie), wire->family);
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
        .claim = {.owner = holder->cookie, .tag = (__u32)holder->cookie},
        .scope = holder->scope,
        .version_end = holder->cookie,
    };
    long r;

    if (!entry || entry->version_begin != holder->cookie)
        return;
    alias_key_of(entry, &new.key);
    r = insert_alias(&new, holder);
    if (r == 0)
        count(COUNTER_ALIAS_STORED, key->family);
    else if (r == -EEXIST)
        join_alias(&new.key, holder->cookie);
    else
        note_full(COUNTER_ALIAS_INSERT_FAILED, key->family);
}

/* Copy the pending SYN.  The map may give its element to another SYN meanwhile, half way through
 * the copy; the key is still found in the same place afterwards only if it did not.  Returns 1, or
 * 0 without a SYN. */
INLINE int copy_pending(void *map, const struct pending_key *key, struct syn_record *ret_syn)
{
    struct syn_record *found = bpf_map_lookup_elem(map, key);
    __u64 barrier = 0;

    if (!found)
        return 0;
    *ret_syn = *found;
    (void)__sync_val_compare_and_swap(&barrier, 0, 1); /* the copy comes before the second look */
    return bpf_map_lookup_elem(map, key) == found;
}

INLINE void delete_pending(const struct pending_key *key)
{
    const struct capture_config *settings = get_settings();

    if (settings && settings->keep_pending)
        return;
    if (bpf_map_delete_elem(&pending, key) == 0)
        count(COUNTER_PENDING_TAKEN, key->family);
    else
        bpf_map_delete_elem(&pending_before, key);
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
    struct shared_entry shared;
    __u64 version;

    if (!old)
        return PROMOTION_NONE;
    shared = (struct shared_entry){&old->claim, &old->version_begin, key, CROWD_OF_LIVE};
    version = *shared.version;
    if (bpf_map_lookup_elem(&live, key) != old)
        return PROMOTION_NONE;
    if (find_dead_owner(&old->claim, &old->scope, holder))
        return PROMOTION_OCCUPIED;
    if (count_joined(join(&shared, version, holder->cookie), key->family))
        tell(WATCH_AMBIGUOUS, key, holder->scope.netns, 0);
    return PROMOTION_STORED;
}

/* Of an entry that has just been put into `live`. */
INLINE enum promotion count_stored(const struct live_entry *entry, __u32 isn)
{
    const struct tuple_key *key = &entry->key;
    __u64 hash = source_hash_of(key);

    count(COUNTER_LIVE_STORED, key->family);
    tell(entry->has_syn ? WATCH_VERIFIED : WATCH_NO_SYN, key, entry->scope.netns, &entry->syn);
    if (entry->has_syn) {
        count(COUNTER_PROMOTED, key->family);
        last_isn_begin_life(hash, isn);
        return is_moved(&entry->syn, key) ? PROMOTION_MOVED : PROMOTION_STORED;
    }
    count(COUNTER_PROMOTE_NO_SYN, key->family);
    if (last_isn_differs(hash, isn))
        count(COUNTER_PROMOTE_ISN_MISMATCH, key->family);
    return PROMOTION_STORED;
}

/* The socket's entry may be there without a SYN: while one set of maps replaces another, the
 * tracker of the old one comes first and does not know the SYNs of the new one.  Returns 1 when it
 * has one now. */
INLINE int complete(struct live_entry *entry, const struct holder *holder)
{
    struct live_entry *old = bpf_map_lookup_elem(&live, &entry->key);

    if (!entry->has_syn || !old || old->has_syn || old->version_begin != holder->cookie)
        return 0;
    entry->claim = old->claim;
    return bpf_map_update_elem(&live, &entry->key, entry, BPF_EXIST) == 0;
}

/* Put the entry of an established socket into `live`. */
INLINE enum promotion store_live(struct live_entry *entry, __u32 isn, const struct holder *holder)
{
    const struct tuple_key *key = &entry->key;
    long r = bpf_map_update_elem(&live, key, entry, BPF_NOEXIST);

    if (r == 0 || (r == -EEXIST && complete(entry, holder)))
        return count_stored(entry, isn);
    if (r == -EEXIST)
        return share_live(key, holder);
    note_full(COUNTER_LIVE_INSERT_FAILED, key->family);
    if (copy == 0)
        tell(WATCH_MAP_FULL, key, holder->scope.netns, 0);
    return PROMOTION_NONE;
}

INLINE int is_captured(const struct tuple_key *key)
{
    const struct capture_config *settings = get_settings();

    return settings && filter_destination(settings, key->destination,
                                          bpf_ntohs(key->destination_port_be)) == FILTER_PASS;
}

NOINLINE enum promotion promote(const struct tcp_sock *tcp, const struct tuple_key *key,
                                const struct holder *holder)
{
    struct pending_key pending_key;
    struct live_entry entry = {
        .version_begin = holder->cookie,
        .key = *key,
        .claim = {.owner = holder->cookie, .tag = (__u32)holder->cookie},
        .scope = holder->scope,
        .version_end = holder->cookie,
    };
    enum promotion result;

    pending_key_of(tcp, key, &pending_key);
    entry.has_syn = copy_pending(&pending, &pending_key, &entry.syn) ||
                    copy_pending(&pending_before, &pending_key, &entry.syn);
    if (!entry.has_syn) {
        __builtin_memset(&entry.syn, 0, sizeof(entry.syn));
        if (!is_captured(key))
            return PROMOTION_NONE;
    }
    result = store_live(&entry, pending_key.isn, holder);
    if (entry.has_syn && (result == PROMOTION_STORED || result == PROMOTION_MOVED))
        delete_pending(&pending_key);
    return result;
}

/* Its owner leaves an entry that has a SYN. */
INLINE void end_syn(const struct live_entry *entry, const struct tuple_key *key, __u64 cookie)
{
    struct tuple_key wire;

    last_isn_end_life(source_hash_of(key), entry->syn.isn);
    if (!is_moved(&entry->syn, key))
        return;
    alias_key_of(entry, &wire);
    release_alias(&wire, cookie);
}

/* The alias goes first, so that whoever finds one finds the entry it means.  Returns 0 when there
 * was nothing of this socket. */
NOINLINE int release(const struct tuple_key *key, __u64 cookie)
{
    struct live_entry *entry = bpf_map_lookup_elem(&live, key);

    if (!entry || !claim_has(&entry->claim, cookie)) {
        leave_crowd_of_alias(cookie);
        return leave_crowd_of_live(cookie);
    }
    if (entry->claim.owner == cookie && entry->has_syn)
        end_syn(entry, key, cookie);
    claim_leave(&entry->claim, cookie);
    remove_live_if_empty(&entry->claim, key);
    return 1;
}

NOINLINE void bury(const struct tuple_key *key, const struct holder *holder)
{
    struct live_entry *old = bpf_map_lookup_elem(&live, key);
    __u64 dead = old ? find_dead_owner(&old->claim, &old->scope, holder) : 0;

    if (!dead)
        return;
    count(COUNTER_LIVE_REPLACED, key->family);
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

/* A socket that never got ESTABLISHED has no entry to miss. */
INLINE void end_socket(const struct tuple_key *key, __u64 cookie, int from)
{
    if (!release(key, cookie) && copy == 0 && from != TCP_SYN_RECV && is_captured(key))
        count(COUNTER_LIVE_DELETE_MISS, key->family);
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
        end_socket(&key, holder.cookie, from);
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
