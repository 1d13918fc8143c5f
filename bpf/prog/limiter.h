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

enum {
    LIMITER_SECOND_SHIFT = 30,
    LIMITER_INDEX_BITS = 11,
    LIMITER_BATCH = 16,
    LIMITER_WIPE = 1024
};
_Static_assert(LIMITER_ROWS *LIMITER_CELLS / 2 % LIMITER_WIPE == 0, "wiped whole");
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

/* All cells to 0, once in 2^16 seconds: counts that old would look like those of this second. */
GLOBAL int limiter_wipe(void)
{
    struct limiter *own = bpf_map_lookup_elem(&limiter, &(__u32){0});

    if (!own)
        return 0;
    for (__u32 at = 0; at < sizeof(own->cells) / sizeof(__u64); at += LIMITER_WIPE) {
        volatile __u64 *words = (volatile __u64 *)own->cells + at;

#pragma unroll
        for (int i = 0; i < LIMITER_WIPE; i++) /* few rounds to verify */
            words[i] = 0;
    }
    return 0;
}

INLINE void limiter_begin_second(struct limiter *own, __u64 now_ns)
{
    __u64 second = now_ns >> LIMITER_SECOND_SHIFT;

    if (own->second == second)
        return;
    if (own->second >> LIMITER_EPOCH_SHIFT != second >> LIMITER_EPOCH_SHIFT)
        limiter_wipe();
    own->second = second;
    for (__u32 row = 0; row < LIMITER_ROWS; row++)
        own->crowded[row] = 0;
}

/* Tell what this CPU has stored.  Returns what all have, in this tick. */
INLINE __u32 turnover_add(__u32 tick, __u32 stored)
{
    struct turnover *all = bpf_map_lookup_elem(&turnover, &(__u32){0});
    __u64 old, first = (__u64)tick << 32 | stored;

    if (!all)
        return stored;
    old = *(const volatile __u64 *)&all->tick_and_stored;
    if ((__s32)((__u32)(old >> 32) - tick) < 0 &&
        __sync_val_compare_and_swap(&all->tick_and_stored, old, first) == old)
        return stored;
    return (__u32)__sync_fetch_and_add(&all->tick_and_stored, stored) + stored;
}

INLINE int limiter_is_calm(struct limiter *own, __u32 calm_syns, __u64 now_ns)
{
    __u32 tick = (__u32)(now_ns >> LIMITER_TICK_SHIFT);

    if (own->tick != tick) {
        own->tick = tick;
        own->stored_by_all = 0;
        own->stored_since = 0;
    }
    return own->stored_by_all + own->stored_since < calm_syns;
}

INLINE void limiter_note_stored(struct limiter *own)
{
    if (++own->stored_since < LIMITER_BATCH)
        return;
    own->stored_by_all = turnover_add(own->tick, own->stored_since);
    own->stored_since = 0;
}

/* May a SYN of the source with this hash be stored? */
INLINE enum limiter_answer limiter_ask(struct limiter *own, const struct capture_config *settings,
                                       __u64 hash, __u64 now_ns)
{
    int is_calm = limiter_is_calm(own, settings->calm_syns, now_ns);

    limiter_begin_second(own, now_ns);
    if (settings->syn_rate == 0 || is_calm)
        return LIMITER_CALM;
    return limiter_is_over(own, hash, settings->syn_rate) && !limiter_is_crowded(own)
               ? LIMITER_SKIP
               : LIMITER_ALLOWED;
}

/* It has been stored. */
INLINE void limiter_charge(struct limiter *own, const struct capture_config *settings, __u64 hash)
{
    __u32 half = (settings->syn_rate + 1) / 2;

    limiter_note_stored(own);
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
