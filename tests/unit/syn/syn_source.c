/* SPDX-License-Identifier: Apache-2.0 */
#include "syn_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void states_and_reasons_have_different_names(void **state)
{
    (void)state;
    for (int i = 0; i < SYN_STATE_COUNT_; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(syn_state_name((enum syn_state)i),
                                    syn_state_name((enum syn_state)j));
    for (int i = 0; i < SYN_REASON_COUNT_; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(syn_reason_name((enum syn_reason)i),
                                    syn_reason_name((enum syn_reason)j));
    assert_string_equal(syn_state_name(SYN_STATE_VERIFIED), "verified");
    assert_string_equal(syn_reason_name(SYN_REASON_NONE), "");
    assert_string_equal(syn_reason_name(SYN_REASON_NO_SYN), "no_syn");
}

static void zeroed_memory_claims_nothing(void **state)
{
    struct syn_answer answer = {0};

    (void)state;
    assert_string_equal(syn_state_name(answer.state), "unavailable");
    assert_false(syn_state_has_syn(answer.state));
}

static void only_verified_and_captured_have_a_syn(void **state)
{
    (void)state;
    for (int i = 0; i < SYN_STATE_COUNT_; i++)
        assert_int_equal(syn_state_has_syn((enum syn_state)i),
                         i == SYN_STATE_VERIFIED || i == SYN_STATE_CAPTURED);
}

static void no_source_knows_no_connection(void **state)
{
    struct syn_source *source = syn_source_none();
    struct syn_answer answer = {.state = SYN_STATE_VERIFIED};
    struct flow flow = {0};

    (void)state;
    source->lookup(source, &flow, &answer);
    assert_int_equal(answer.state, SYN_STATE_MISSING);
    assert_int_equal(answer.reason, SYN_REASON_NO_SOURCE);
    syn_source_freep(&source);
    assert_null(source);
    assert_non_null(syn_source_none());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_and_reasons_have_different_names),
        cmocka_unit_test(zeroed_memory_claims_nothing),
        cmocka_unit_test(only_verified_and_captured_have_a_syn),
        cmocka_unit_test(no_source_knows_no_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
