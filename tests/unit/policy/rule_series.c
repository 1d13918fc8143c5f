/* SPDX-License-Identifier: Apache-2.0 */
#include "rule_series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "policy.h"

enum { RULES_MAX = RULE_SERIES_MAX + 10 };

static char *copy(const char *text)
{
    char *copied = str_dup(str_from(text));

    assert_non_null(copied);
    return copied;
}

/* A policy that has rules with these ids and no more. */
static struct policy *policy_of(const char *name, const char *const *ids, size_t count)
{
    struct policy *policy = NULL;

    assert_int_equal(policy_new(&policy), 0);
    free((void *)(uintptr_t)policy->name.ptr);
    policy->name = str_from(copy(name));
    policy->rules = calloc(count, sizeof(*policy->rules));
    assert_non_null(policy->rules);
    policy->rule_count = count;
    for (size_t i = 0; i < count; i++)
        policy->rules[i].id = str_from(copy(ids[i]));
    return policy;
}

static void number(struct rule_series *series, const char *name, const char *const *ids,
                   size_t count, unsigned *ret_numbers)
{
    struct policy *policy = policy_of(name, ids, count);

    rule_series_number(series, policy);
    for (size_t i = 0; i < count; i++)
        ret_numbers[i] = policy->rules[i].series;
    policy_unref(policy);
}

static void a_rule_keeps_its_number_through_reloads(void **state)
{
    static const char *const BEFORE[] = {"a", "b"}, *const AFTER[] = {"c", "b", "a"};
    struct rule_series series;
    struct rule_series_name names[RULE_SERIES_COUNT_];
    unsigned numbers[3];

    (void)state;
    rule_series_init(&series);
    number(&series, "default", BEFORE, 2, numbers);
    assert_int_equal(numbers[0], 1);
    assert_int_equal(numbers[1], 2);
    number(&series, "default", AFTER, 3, numbers);
    assert_int_equal(numbers[0], 3);
    assert_int_equal(numbers[1], 2);
    assert_int_equal(numbers[2], 1);
    number(&series, "other", BEFORE, 2, numbers); /* of another policy it is another rule */
    assert_int_equal(numbers[0], 4);
    assert_int_equal(rule_series_names(&series, names), 5);
    assert_string_equal(names[3].policy, "default");
    assert_string_equal(names[3].rule, "c");
    assert_string_equal(names[4].policy, "other");
    rule_series_done(&series);
}

static void beyond_the_last_number_rules_share_one(void **state)
{
    static char texts[RULES_MAX][8];
    const char *ids[RULES_MAX];
    struct rule_series series;
    unsigned numbers[RULES_MAX];

    (void)state;
    for (unsigned i = 0; i < RULES_MAX; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "r%u", i);
        ids[i] = texts[i];
    }
    rule_series_init(&series);
    number(&series, "default", ids, RULES_MAX, numbers);
    for (unsigned i = 0; i < RULES_MAX; i++)
        assert_int_equal(numbers[i], i < RULE_SERIES_MAX ? i + 1 : RULE_SERIES_OTHER);
    number(&series, "default", ids + 1, 1, numbers);
    assert_int_equal(numbers[0], 2);
    rule_series_done(&series);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_keeps_its_number_through_reloads),
        cmocka_unit_test(beyond_the_last_number_rules_share_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
