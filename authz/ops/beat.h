/* SPDX-License-Identifier: Apache-2.0 */
/* The heartbeat of a thread: it beats each time around its loop, at least once a second, and
 * whoever wants to know whether the thread turns looks at the age. */
#ifndef BEAT_H
#define BEAT_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum { BEAT_EVERY_MS = 1000, BEAT_STALE_MS = 10000 };

/* All zero before the first beat. */
struct beat {
    atomic_uint_fast64_t at_ms;
};

/* Good to a few milliseconds, and cheap enough for every event. */
static inline uint64_t beat_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static inline void beat_now(struct beat *beat)
{
    atomic_store_explicit(&beat->at_ms, beat_clock_ms(), memory_order_relaxed);
}

/* 0 before the first beat. */
static inline uint64_t beat_age_ms(const struct beat *beat)
{
    const uint64_t at_ms = atomic_load_explicit(&beat->at_ms, memory_order_relaxed);
    const uint64_t now_ms = beat_clock_ms();

    return at_ms != 0 && now_ms > at_ms ? now_ms - at_ms : 0;
}

#endif
