/* SPDX-License-Identifier: Apache-2.0 */
#include "check_counts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void tallies_of_several_threads_are_summed(void **state)
{
    static struct check_tally one, two;
    static struct check_counts sum;

    (void)state;
    check_tally_count(&one.checks[CHECK_DENIED][DECISION_RULE]);
    check_tally_count(&one.checks[CHECK_DENIED][DECISION_UNKNOWN]);
    check_tally_count(&two.checks[CHECK_DENIED][DECISION_RULE]);
    check_tally_count(&two.checks[CHECK_ALLOWED][DECISION_DEFAULT]);
    check_tally_count(&two.lookups[SYN_STATE_COUNT_ - 1][SYN_REASON_COUNT_ - 1]);
    check_tally_count(&one.peer_headers[PEER_HEADER_IGNORED]);
    check_tally_count(&two.peer_headers[PEER_HEADER_IGNORED]);
    check_tally_count(&one.shadowed[CHECK_DENIED][DECISION_RULE]);
    check_counts_add(&sum, &one);
    check_counts_add(&sum, &two);
    assert_int_equal(sum.checks[CHECK_DENIED][DECISION_RULE], 2);
    assert_int_equal(sum.shadowed[CHECK_DENIED][DECISION_RULE], 1);
    assert_int_equal(check_counts_of(&sum, CHECK_DENIED), 3);
    assert_int_equal(check_counts_of(&sum, CHECK_ALLOWED), 1);
    assert_int_equal(check_counts_of(&sum, CHECK_FAULT), 0);
    assert_int_equal(sum.peer_headers[PEER_HEADER_IGNORED], 2);
    assert_int_equal(sum.lookups[SYN_STATE_COUNT_ - 1][SYN_REASON_COUNT_ - 1], 1);
}

/* Found by arithmetic, compared with the bounds themselves. */
static void a_latency_goes_into_the_first_bucket_that_holds_it(void **state)
{
    (void)state;
    for (uint64_t ns = 0; ns < UINT64_C(200000000); ns += ns < 10000 ? 1 : ns / 777) {
        struct check_tally tally = {0};
        struct check_counts sum = {0};
        size_t bucket = 0;

        while (bucket < LATENCY_BOUND_COUNT && ns > LATENCY_BOUNDS_US[bucket] * 1000)
            bucket++;
        check_tally_latency(&tally, ns);
        check_counts_add(&sum, &tally);
        assert_int_equal(sum.latency[bucket], 1);
        assert_int_equal(sum.latency_ns, ns);
    }
}

static void bounds_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < LATENCY_BOUND_COUNT; i++)
        assert_true(LATENCY_BOUNDS_US[i] > LATENCY_BOUNDS_US[i - 1]);
}

static void rules_that_fired_are_counted_by_their_series(void **state)
{
    static struct check_tally tally;
    static struct check_counts sum;
    const struct rule mine = {.series = 7}, shadow = {.series = 9};
    struct decision decision = {.verdict = VERDICT_ALLOW,
                                .reason = DECISION_RULE,
                                .would_be = VERDICT_DENY,
                                .would_be_rule = &shadow};

    (void)state;
    for (size_t i = 0; i < DECISION_FIRED_MAX; i++)
        decision.fired[i] = &mine;
    decision.fired_count = DECISION_FIRED_MAX + 3; /* three that it has no room for */
    check_tally_decision(&tally, CHECK_ALLOWED, &decision);
    decision.would_be = VERDICT_ALLOW;
    decision.fired_count = 0;
    check_tally_decision(&tally, CHECK_ALLOWED, &decision);
    check_counts_add(&sum, &tally);
    assert_int_equal(sum.checks[CHECK_ALLOWED][DECISION_RULE], 2);
    assert_int_equal(sum.shadowed[CHECK_ALLOWED][DECISION_RULE], 1);
    assert_int_equal(sum.fired[7], DECISION_FIRED_MAX);
    assert_int_equal(sum.fired[RULE_SERIES_OTHER], 3);
    assert_int_equal(sum.differences[9], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tallies_of_several_threads_are_summed),
        cmocka_unit_test(a_latency_goes_into_the_first_bucket_that_holds_it),
        cmocka_unit_test(bounds_ascend),
        cmocka_unit_test(rules_that_fired_are_counted_by_their_series),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
