/* SPDX-License-Identifier: Apache-2.0 */
/* Bump allocator with a hard cap, for what lives exactly as long as one call.
 *
 * One block, taken once.  Nothing is freed singly; arena_reset() forgets everything at once.  When
 * the cap is reached arena_alloc() answers NULL and `exhausted` stays set until the reset, so that
 * a caller deep inside a decoder may ignore it and the call asks once at the end. One thread at a
 * time. */
#ifndef ARENA_H
#define ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "str.h"

struct arena {
    char *block;
    size_t used;
    size_t cap;
    bool exhausted;
};

/* Returns 0, or -ENOMEM.  `cap` in bytes; pages are touched only when they are used. */
int arena_init(struct arena *arena, size_t cap);
void arena_done(struct arena *arena);
void arena_reset(struct arena *arena);

/* Bytes aligned for any type, not zeroed; NULL at the cap.  A size of 0 gives a valid pointer. */
void *arena_alloc(struct arena *arena, size_t size);

/* `more` bytes behind the newest piece, which `memory` with its `size` then has; NULL when it is
 * not the newest one, or there is no room: it stays as it is. */
void *arena_extend(struct arena *arena, const void *memory, size_t size, size_t more);

/* Zeroed array; NULL at the cap or when the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A copy of `s`; {NULL, 0} at the cap. */
struct str arena_copy(struct arena *arena, struct str s);

#endif
