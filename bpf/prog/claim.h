/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holding and leaving an entry (record.h says what a claim is), by one atomic step each, since
 * sockets of several CPUs may do it at once.  Doing it twice for one socket is doing it once. */
#ifndef CLAIM_H
#define CLAIM_H

#include "maps.h"

enum claim_result {
    CLAIM_HELD = 0, /* this socket has it already */
    CLAIM_JOINED,
    CLAIM_CROWDED, /* there is no place left; the entry says so from now on */
};

INLINE int claim_has(const struct claim *claim, __u64 cookie)
{
    if (claim->owner == cookie)
        return 1;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i] == cookie)
            return 1;
    return 0;
}

INLINE enum claim_result claim_join(struct claim *claim, __u64 cookie)
{
    if (claim_has(claim, cookie))
        return CLAIM_HELD;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (__sync_val_compare_and_swap(&claim->others[i], 0, cookie) == 0)
            return CLAIM_JOINED;
    claim->crowded = 1;
    return CLAIM_CROWDED;
}

/* Leaves a claim that is not held alone. */
INLINE void claim_leave(struct claim *claim, __u64 cookie)
{
    if (__sync_val_compare_and_swap(&claim->owner, cookie, 0) == cookie)
        return;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (__sync_val_compare_and_swap(&claim->others[i], cookie, 0) == cookie)
            return;
}

INLINE int claim_is_empty(const struct claim *claim)
{
    if (claim->owner || claim->crowded)
        return 0;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i])
            return 0;
    return 1;
}

#endif
