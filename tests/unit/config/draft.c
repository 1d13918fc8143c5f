/* SPDX-License-Identifier: Apache-2.0 */
/* What only the failures of a draft show: nothing of it is left behind. */
#include "draft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing_memory.h"
#include "policy.h"
#include "policy_file.h"

/* Loads a policy that uses every feature while one allocation fails.  Returns false when there are
 * not so many. */
static bool load_without_memory(size_t number, bool stays)
{
    struct policy *policy = NULL;
    struct diag diag = {0};
    size_t live = failing_memory.live;
    bool failed;
    int r;

    failing_memory_arm(number, stays);
    r = policy_file_load(TEST_DATA "/policy/every_feature.yaml", &policy, &diag);
    failed = failing_memory_disarm();
    if (r == -ENOMEM && failed)
        assert_string_equal(diag.text, "out of memory");
    else if (r < 0)
        fail_msg("allocation %zu: %d, %u:%u: %s", number, r, diag.place.line, diag.place.column,
                 diag.text);
    assert_int_equal(r < 0, policy == NULL);
    policy_unref(policy);
    if (failing_memory.live != live)
        fail_msg("allocation %zu: %zu others are not freed", number, failing_memory.live - live);
    return failed;
}

static void each_allocation_of_a_load_may_fail(void **state)
{
    size_t number = 0;

    (void)state;
    while (load_without_memory(number, false))
        number++;
    print_message("%zu allocations\n", number);
    assert_true(number > 500);
}

static void memory_may_stay_short(void **state)
{
    size_t number = 0;

    (void)state;
    while (load_without_memory(number, true))
        number++;
    assert_true(number > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_a_load_may_fail),
        cmocka_unit_test(memory_may_stay_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
