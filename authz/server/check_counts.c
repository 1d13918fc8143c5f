/* SPDX-License-Identifier: Apache-2.0 */
#include "check_counts.h"

#include <stddef.h>

static void add_all(uint64_t *sums, const atomic_uint_fast64_t *counters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += atomic_load_explicit(&counters[i], memory_order_relaxed);
}

void check_counts_add(struct check_counts *sum, const struct check_tally *tally)
{
    for (unsigned outcome = 0; outcome < CHECK_OUTCOME_COUNT_; outcome++) {
        add_all(sum->checks[outcome], tally->checks[outcome], DECISION_REASON_COUNT_);
        add_all(sum->shadowed[outcome], tally->shadowed[outcome], DECISION_REASON_COUNT_);
    }
    for (unsigned state = 0; state < SYN_STATE_COUNT_; state++)
        add_all(sum->lookups[state], tally->lookups[state], SYN_REASON_COUNT_);
    add_all(sum->peer_headers, tally->peer_headers, PEER_HEADER_COUNT_);
}

uint64_t check_counts_of(const struct check_counts *counts, enum check_outcome outcome)
{
    uint64_t sum = 0;

    for (unsigned reason = 0; reason < DECISION_REASON_COUNT_; reason++)
        sum += counts->checks[outcome][reason];
    return sum;
}
