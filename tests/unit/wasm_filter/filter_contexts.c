/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_contexts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct filter_contexts));
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static void requests_find_the_settings_of_their_root(void **state)
{
    struct filter_contexts *contexts = *state;
    struct filter_settings *old = filter_contexts_add_root(contexts, 1);
    struct filter_settings *new = filter_contexts_add_root(contexts, 7);

    assert_ptr_not_equal(old, new);
    filter_contexts_add_request(contexts, 8, 1);
    filter_contexts_add_request(contexts, 9, 7);
    filter_contexts_add_request(contexts, 8 + FILTER_BUCKETS, 7); /* the same bucket */
    assert_ptr_equal(filter_contexts_find(contexts, 8), old);
    assert_ptr_equal(filter_contexts_find(contexts, 9), new);
    assert_ptr_equal(filter_contexts_find(contexts, 8 + FILTER_BUCKETS), new);
    assert_null(filter_contexts_find(contexts, 10));
    filter_contexts_remove(contexts, 8);
    assert_null(filter_contexts_find(contexts, 8));
    assert_ptr_equal(filter_contexts_find(contexts, 8 + FILTER_BUCKETS), new);
}

static void a_root_that_is_configured_again_begins_anew(void **state)
{
    struct filter_contexts *contexts = *state;
    struct filter_settings *settings = filter_contexts_add_root(contexts, 1);

    settings->refused_count = 3;
    assert_ptr_equal(filter_contexts_add_root(contexts, 1), settings);
    assert_int_equal(settings->refused_count, 0);
}

static void roots_beyond_the_limit_are_refused_until_one_goes(void **state)
{
    struct filter_contexts *contexts = *state;

    for (uint32_t root = 1; root <= FILTER_ROOTS_MAX; root++)
        assert_non_null(filter_contexts_add_root(contexts, root));
    assert_null(filter_contexts_add_root(contexts, 100));
    filter_contexts_remove(contexts, 5);
    assert_non_null(filter_contexts_add_root(contexts, 100));
}

static void a_request_of_no_root_is_unknown(void **state)
{
    struct filter_contexts *contexts = *state;

    filter_contexts_add_request(contexts, 2, 1);
    assert_null(filter_contexts_find(contexts, 2));
    filter_contexts_remove(contexts, 2);
    filter_contexts_remove(contexts, 0);
}

static void requests_beyond_the_limit_are_unknown_until_others_go(void **state)
{
    struct filter_contexts *contexts = *state;
    const uint32_t first = 2, beyond = first + FILTER_REQUESTS_MAX;

    assert_non_null(filter_contexts_add_root(contexts, 1));
    for (uint32_t request = first; request < beyond; request++)
        filter_contexts_add_request(contexts, request, 1);
    assert_non_null(filter_contexts_find(contexts, first));
    assert_non_null(filter_contexts_find(contexts, beyond - 1));
    filter_contexts_add_request(contexts, beyond, 1);
    assert_null(filter_contexts_find(contexts, beyond));
    filter_contexts_remove(contexts, first);
    filter_contexts_add_request(contexts, beyond, 1);
    assert_non_null(filter_contexts_find(contexts, beyond));
    assert_null(filter_contexts_find(contexts, first));
}

/* As a server does for ever: more requests than there are places, few at once. */
static void places_are_used_again(void **state)
{
    enum { FIRST = 2, AT_ONCE = 1000, ALL = 300000 };
    struct filter_contexts *contexts = *state;

    assert_non_null(filter_contexts_add_root(contexts, 1));
    for (uint32_t request = FIRST; request < ALL; request++) {
        filter_contexts_add_request(contexts, request, 1);
        assert_non_null(filter_contexts_find(contexts, request));
        if (request >= FIRST + AT_ONCE)
            filter_contexts_remove(contexts, request - AT_ONCE);
    }
    assert_int_equal(contexts->used, AT_ONCE + 1);
}

#define CONTEXTS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONTEXTS_TEST(requests_find_the_settings_of_their_root),
        CONTEXTS_TEST(a_root_that_is_configured_again_begins_anew),
        CONTEXTS_TEST(roots_beyond_the_limit_are_refused_until_one_goes),
        CONTEXTS_TEST(a_request_of_no_root_is_unknown),
        CONTEXTS_TEST(requests_beyond_the_limit_are_unknown_until_others_go),
        CONTEXTS_TEST(places_are_used_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
