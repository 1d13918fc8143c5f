/* SPDX-License-Identifier: Apache-2.0 */
/* How Checks ended, and what was known of their SYNs.
 *
 * Each thread that answers has a tally of its own, which it alone writes and anybody may read:
 * counting takes no locked instruction, and nothing is shared on the way of a call. */
#ifndef CHECK_COUNTS_H
#define CHECK_COUNTS_H

#include <stdatomic.h>
#include <stdint.h>

#include "policy.h"
#include "rule_series.h"
#include "syn_source.h"

enum check_outcome {
    CHECK_FAULT = 0, /* our side's: UNAVAILABLE, Envoy's failure mode decides */
    CHECK_MALFORMED, /* bytes that no Envoy sends */
    CHECK_ALLOWED,   /* a reply from here on */
    CHECK_DENIED,
    CHECK_OVERSIZE, /* denied, because the request is beyond our limits */
    CHECK_OUTCOME_COUNT_,
};

/* What the time of Checks is sorted into: in microseconds, two steps to each power of two. */
enum { LATENCY_BOUND_COUNT = 32 };
extern const uint64_t LATENCY_BOUNDS_US[LATENCY_BOUND_COUNT];

/* Sums. */
struct check_counts {
    /* The reason is that of the decision, and 0 for outcomes that have none. */
    uint64_t checks[CHECK_OUTCOME_COUNT_][DECISION_REASON_COUNT_];
    /* Of those, which shadow rules would have answered otherwise, were they enforced. */
    uint64_t shadowed[CHECK_OUTCOME_COUNT_][DECISION_REASON_COUNT_];
    /* Checks that came as far as a look-up that the policy, or the failure mode, was told of. */
    uint64_t lookups[SYN_STATE_COUNT_][SYN_REASON_COUNT_];
    /* And where a peer header was named, what became of it. */
    uint64_t peer_headers[PEER_HEADER_COUNT_];
    /* By their number in rule_series.h: rules that fired, and shadow rules that would have made a
     * difference. */
    uint64_t fired[RULE_SERIES_COUNT_], differences[RULE_SERIES_COUNT_];
    /* From the request's bytes to the reply's; the last bucket is above all bounds. */
    uint64_t latency[LATENCY_BOUND_COUNT + 1];
    uint64_t latency_ns; /* of all together */
};

struct check_tally {
    atomic_uint_fast64_t checks[CHECK_OUTCOME_COUNT_][DECISION_REASON_COUNT_];
    atomic_uint_fast64_t shadowed[CHECK_OUTCOME_COUNT_][DECISION_REASON_COUNT_];
    atomic_uint_fast64_t lookups[SYN_STATE_COUNT_][SYN_REASON_COUNT_];
    atomic_uint_fast64_t peer_headers[PEER_HEADER_COUNT_];
    atomic_uint_fast64_t fired[RULE_SERIES_COUNT_], differences[RULE_SERIES_COUNT_];
    atomic_uint_fast64_t latency[LATENCY_BOUND_COUNT + 1];
    atomic_uint_fast64_t latency_ns;
};

/* So many more; by the tally's own thread. */
static inline void check_tally_add(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* One more. */
static inline void check_tally_count(atomic_uint_fast64_t *counter)
{
    check_tally_add(counter, 1);
}

/* A Check with a verdict: what it was, the rules that fired, and whether shadow rules differ. */
void check_tally_decision(struct check_tally *tally, enum check_outcome outcome,
                          const struct decision *decision);

void check_tally_latency(struct check_tally *tally, uint64_t latency_ns);

/* Adds a tally to `sum`. */
void check_counts_add(struct check_counts *sum, const struct check_tally *tally);

/* All Checks of one outcome. */
uint64_t check_counts_of(const struct check_counts *counts, enum check_outcome outcome);

#endif
