/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holding and leaving an entry (record.h says what a claim is), by one atomic step each, since
 * sockets of several CPUs may do it at once.  Doing it twice for one socket is doing it once. */
#ifndef CLAIM_H
#define CLAIM_H

#include <linux/errno.h>

#include "maps.h"

enum claim_result {
    CLAIM_HELD = 0, /* this socket has it already, or there is nothing to be had any more */
    CLAIM_JOINED,
    CLAIM_CROWDED,   /* there was no place left, so it is in `crowd` */
    CLAIM_UNCOUNTED, /* nor was there room in that: the entry says so from now on */
};

enum claim_change {
    CLAIM_COME,
    CLAIM_GO,
    CLAIM_LOSE,
};

enum { CLAIM_TRIES = 8 };

/* Does it have one of the claim's own places? */
INLINE int claim_has(const struct claim *claim, __u64 cookie)
{
    if (claim->owner == cookie)
        return 1;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i] == cookie)
            return 1;
    return 0;
}

/* Takes one of the other places.  Returns 0 when there is none. */
INLINE int claim_take_place(struct claim *claim, __u64 cookie)
{
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (__sync_val_compare_and_swap(&claim->others[i], 0, cookie) == 0)
            return 1;
    return 0;
}

/* Gives its place up, of a claim that is not held alone. */
INLINE void claim_leave(struct claim *claim, __u64 cookie)
{
    if (__sync_val_compare_and_swap(&claim->owner, cookie, 0) == cookie)
        return;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (__sync_val_compare_and_swap(&claim->others[i], cookie, 0) == cookie)
            return;
}

INLINE __u32 claim_changed(__u32 crowded, enum claim_change change)
{
    if (change == CLAIM_COME)
        return crowded + 1;
    if (change == CLAIM_LOSE)
        return crowded | CLAIM_LOST;
    return crowded & ~CLAIM_LOST ? crowded - 1 : crowded;
}

/* Change the count of the entry with this version.  Returns 0, or -ESTALE when it is another's by
 * now. */
NOINLINE int claim_change_crowd(struct claim *claim, __u64 version, enum claim_change change)
{
    for (int i = 0; i < CLAIM_TRIES; i++) {
        struct claim old, new;

        old.crowded_and_tag = *(const volatile __u64 *)&claim->crowded_and_tag;
        new.crowded_and_tag = old.crowded_and_tag;
        if (old.tag != (__u32)version)
            return -ESTALE;
        new.crowded = claim_changed(old.crowded, change);
        if (__sync_val_compare_and_swap(&claim->crowded_and_tag, old.crowded_and_tag,
                                        new.crowded_and_tag) == old.crowded_and_tag)
            return 0;
    }
    /* Others came between each time, so it was this entry a moment ago. */
    if (change == CLAIM_LOSE)
        (void)__sync_fetch_and_or(&claim->crowded, CLAIM_LOST);
    else
        (void)__sync_fetch_and_add(&claim->crowded, change == CLAIM_COME ? 1 : -1);
    return 0;
}

INLINE int claim_is_empty(const struct claim *claim)
{
    if (claim->owner || claim->crowded & ~CLAIM_LOST)
        return 0;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i])
            return 0;
    return 1;
}

/* --- sockets without a place ---- */

INLINE struct crowd_key crowd_key_of(__u64 cookie, enum crowd_of of)
{
    return (struct crowd_key){.cookie = cookie, .of = of};
}

/* Is it counted in the entry with this version? */
INLINE int crowd_has(__u64 cookie, enum crowd_of of, __u64 version)
{
    const struct crowd_key key = crowd_key_of(cookie, of);
    const struct crowd_member *member = bpf_map_lookup_elem(&crowd, &key);

    return member && member->version == version;
}

/* Only runs for this one socket write its element, and these come one after the other. */
NOINLINE enum claim_result crowd_join(struct claim *claim, __u64 version, enum crowd_of of,
                                      const struct tuple_key *entry, __u64 cookie)
{
    const struct crowd_key key = crowd_key_of(cookie, of);
    const struct crowd_member member = {.version = version, .key = *entry};

    if (bpf_map_update_elem(&crowd, &key, &member, BPF_ANY) < 0)
        return claim_change_crowd(claim, version, CLAIM_LOSE) == 0 ? CLAIM_UNCOUNTED : CLAIM_HELD;
    if (claim_change_crowd(claim, version, CLAIM_COME) == 0)
        return CLAIM_CROWDED;
    bpf_map_delete_elem(&crowd, &key);
    return CLAIM_HELD;
}

/* Takes the socket out of `crowd`.  Returns 1, and of which entry it was, or 0. */
INLINE int crowd_take(__u64 cookie, enum crowd_of of, struct crowd_member *ret_member)
{
    const struct crowd_key key = crowd_key_of(cookie, of);
    const struct crowd_member *member = bpf_map_lookup_elem(&crowd, &key);

    if (!member)
        return 0;
    *ret_member = *member;
    return bpf_map_delete_elem(&crowd, &key) == 0;
}

#endif
