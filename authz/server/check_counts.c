/* SPDX-License-Identifier: Apache-2.0 */
#include "check_counts.h"

#include <stddef.h>

const uint64_t LATENCY_BOUNDS_US[LATENCY_BOUND_COUNT] = {
    1,    2,    3,    4,    6,     8,     12,    16,    24,    32,    48,
    64,   96,   128,  192,  256,   384,   512,   768,   1024,  1536,  2048,
    3072, 4096, 6144, 8192, 12288, 16384, 24576, 32768, 49152, 65536,
};

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
    add_all(sum->fired, tally->fired, RULE_SERIES_COUNT_);
    add_all(sum->differences, tally->differences, RULE_SERIES_COUNT_);
    add_all(sum->latency, tally->latency, LATENCY_BOUND_COUNT + 1);
    add_all(&sum->latency_ns, &tally->latency_ns, 1);
}

static void count_fired(struct check_tally *tally, const struct decision *decision)
{
    const size_t count = decision->fired_count;

    for (size_t i = 0; i < count && i < DECISION_FIRED_MAX; i++)
        check_tally_count(&tally->fired[decision->fired[i]->series]);
    if (count > DECISION_FIRED_MAX)
        check_tally_add(&tally->fired[RULE_SERIES_OTHER], count - DECISION_FIRED_MAX);
}

void check_tally_decision(struct check_tally *tally, enum check_outcome outcome,
                          const struct decision *decision)
{
    check_tally_count(&tally->checks[outcome][decision->reason]);
    count_fired(tally, decision);
    if (decision->would_be == decision->verdict)
        return;
    check_tally_count(&tally->shadowed[outcome][decision->reason]);
    check_tally_count(&tally->differences[decision->would_be_rule ? decision->would_be_rule->series
                                                                  : RULE_SERIES_OTHER]);
}

/* The first bound that is not below, found without looking at them: above 2^power there is one at
 * a half more, and one at twice that. */
static size_t latency_bucket(uint64_t latency_ns)
{
    const uint64_t us = (latency_ns + 999) / 1000;
    unsigned power;

    if (us <= 1)
        return 0;
    if (us > LATENCY_BOUNDS_US[LATENCY_BOUND_COUNT - 1])
        return LATENCY_BOUND_COUNT;
    power = 63 - (unsigned)__builtin_clzll(us - 1);
    return 2 * power + (2 * us > UINT64_C(3) << power);
}

void check_tally_latency(struct check_tally *tally, uint64_t latency_ns)
{
    check_tally_count(&tally->latency[latency_bucket(latency_ns)]);
    check_tally_add(&tally->latency_ns, latency_ns);
}

uint64_t check_counts_of(const struct check_counts *counts, enum check_outcome outcome)
{
    uint64_t sum = 0;

    for (unsigned reason = 0; reason < DECISION_REASON_COUNT_; reason++)
        sum += counts->checks[outcome][reason];
    return sum;
}
