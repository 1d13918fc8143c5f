/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The last SYN of each source and port, for counting only (record.h, struct last_isn).  `hash` is
 * hash_source(). */
#ifndef LAST_ISN_H
#define LAST_ISN_H

#include "maps.h"

enum { LAST_ISN_LIVE = 1, LAST_ISN_USED = 2 };

enum last_isn_answer {
    LAST_ISN_SAME = 0, /* or not known */
    LAST_ISN_CONFLICT,
    LAST_ISN_ON_LIVE,
};

INLINE struct last_isn *last_isn_cell(__u64 hash)
{
    return bpf_map_lookup_elem(&last_isn, &(__u32){hash & (LAST_ISN_CELLS - 1)});
}

INLINE __u32 last_isn_tag(__u64 hash)
{
    return ((__u32)(hash >> 32) | LAST_ISN_USED) & ~(__u32)LAST_ISN_LIVE;
}

INLINE int last_isn_is_of(const struct last_isn *cell, __u64 hash)
{
    return (cell->tag & ~(__u32)LAST_ISN_LIVE) == last_isn_tag(hash);
}

/* A SYN with this ISN has been stored.  It takes the place of the last one, unless that one's
 * connection lives. */
INLINE enum last_isn_answer last_isn_note(__u64 hash, __u32 isn)
{
    struct last_isn *cell = last_isn_cell(hash);
    enum last_isn_answer answer = LAST_ISN_SAME;

    if (!cell)
        return LAST_ISN_SAME;
    if (last_isn_is_of(cell, hash) && cell->isn != isn) {
        if (cell->tag & LAST_ISN_LIVE)
            return LAST_ISN_ON_LIVE;
        answer = LAST_ISN_CONFLICT;
    }
    cell->isn = isn;
    cell->tag = last_isn_tag(hash);
    return answer;
}

/* Is the last SYN of the source another one? */
INLINE int last_isn_differs(__u64 hash, __u32 isn)
{
    const struct last_isn *cell = last_isn_cell(hash);

    return cell && last_isn_is_of(cell, hash) && cell->isn != isn;
}

INLINE void last_isn_begin_life(__u64 hash, __u32 isn)
{
    struct last_isn *cell = last_isn_cell(hash);

    if (!cell)
        return;
    cell->isn = isn;
    cell->tag = last_isn_tag(hash) | LAST_ISN_LIVE;
}

INLINE void last_isn_end_life(__u64 hash, __u32 isn)
{
    struct last_isn *cell = last_isn_cell(hash);

    if (cell && last_isn_is_of(cell, hash) && cell->isn == isn)
        cell->tag = 0;
}

#endif
