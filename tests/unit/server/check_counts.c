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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tallies_of_several_threads_are_summed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
