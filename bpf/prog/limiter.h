/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which SYNs are not worth a place in the LRU: those of a source that sends too many.  It protects
 * the map and nothing else; the packets go on.  What it promises: record.h, struct limiter. */
#ifndef LIMITER_H
#define LIMITER_H

#include "maps.h"

enum limiter_answer {
    LIMITER_CALM = 0, /* not asked: there is no limit, or there are few SYNs */
    LIMITER_ALLOWED,
    LIMITER_SKIP,
};

enum { LIMITER_SECOND_SHIFT = 30, LIMITER_INDEX_BITS = 11 };
_Static_assert(LIMITER_CELLS == 1 << LIMITER_INDEX_BITS, "one hash has an index for each row");
_Static_assert(LIMITER_ROWS *LIMITER_INDEX_BITS <= 64, "one hash has an index for each row");

INLINE __u32 *limiter_cell(struct limiter *own, __u32 row, __u64 hash)
{
    return &own->cells[row][hash >> row * LIMITER_INDEX_BITS & (LIMITER_CELLS - 1)];
}

/* What the cell has counted in this second. */
INLINE __u32 limiter_count(const struct limiter *own, const __u32 *cell)
{
    return *cell >> 16 == (own->second & 0xffff) ? *cell & 0xffff : 0;
}

INLINE int limiter_is_crowded(const struct limiter *own)
{
    for (__u32 row = 0; row < LIMITER_ROWS; row++)
        if (own->crowded[row] >= LIMITER_CELLS / 4)
            return 1;
    return 0;
}

INLINE int limiter_is_over(struct limiter *own, __u64 hash, __u32 limit)
{
    for (__u32 row = 0; row < LIMITER_ROWS; row++)
        if (limiter_count(own, limiter_cell(own, row, hash)) < limit)
            return 0;
    return 1;
}

INLINE void limiter_begin_second(struct limiter *own, __u64 now_ns)
{
    __u64 second = now_ns >> LIMITER_SECOND_SHIFT;

    if (own->second == second)
        return;
    own->second = second;
    own->stored = 0;
    for (__u32 row = 0; row < LIMITER_ROWS; row++)
        own->crowded[row] = 0;
}

/* May a SYN of the source with this hash be stored? */
INLINE enum limiter_answer limiter_ask(struct limiter *own, const struct capture_config *settings,
                                       __u64 hash, __u64 now_ns)
{
    limiter_begin_second(own, now_ns);
    if (settings->syn_rate == 0 || own->stored < settings->calm_syns)
        return LIMITER_CALM;
    return limiter_is_over(own, hash, settings->syn_rate) && !limiter_is_crowded(own)
               ? LIMITER_SKIP
               : LIMITER_ALLOWED;
}

/* It has been stored. */
INLINE void limiter_charge(struct limiter *own, const struct capture_config *settings, __u64 hash)
{
    __u32 half = (settings->syn_rate + 1) / 2;

    own->stored++;
    if (settings->syn_rate == 0)
        return;
    for (__u32 row = 0; row < LIMITER_ROWS; row++) {
        __u32 *cell = limiter_cell(own, row, hash);
        __u32 count = limiter_count(own, cell);

        if (count < LIMITER_MAX)
            count++;
        if (count == half)
            own->crowded[row]++;
        *cell = (__u32)own->second << 16 | count;
    }
}

#endif
