/* SPDX-License-Identifier: Apache-2.0 */
#include "name_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "cleanup.h"

static void an_empty_table_knows_no_name(void **state)
{
    struct name_table table = {0};
    size_t at = 0;

    (void)state;
    assert_int_equal(name_table_find(&table, STR("a")), NAME_NONE);
    assert_int_equal(name_table_find(&table, STR("")), NAME_NONE);
    assert_int_equal(name_table_next(&table, name_hash(STR("a")), &at), NAME_NONE);
    name_table_done(&table);
}

static void each_name_has_one_number(void **state)
{
    CLEANUP(name_table_done) struct name_table table = {0};
    char text[] = "b";

    (void)state;
    assert_int_equal(name_table_add(&table, STR("a")), 0);
    assert_int_equal(name_table_add(&table, str_from(text)), 1);
    text[0] = 'x'; /* the table has a copy */
    assert_int_equal(name_table_add(&table, STR("A")), 2);
    assert_int_equal(name_table_add(&table, STR("")), 3);
    assert_int_equal(name_table_add(&table, STR("b")), 1);
    assert_int_equal(name_table_add(&table, STR("a\0")), 4);
    assert_int_equal(table.count, 5);
    assert_int_equal(name_table_find(&table, STR("A")), 2);
    assert_int_equal(name_table_find(&table, STR("")), 3);
    assert_int_equal(name_table_find(&table, STR("B")), NAME_NONE);
    assert_string_equal(table.names[1].ptr, "b");
}

/* With the same hash, and others of other hashes between them. */
static void a_walk_meets_all_spellings_in_their_order(void **state)
{
    static const struct str SPELLINGS[] = {STR_INIT("x-a-b"), STR_INIT("X-A-B"), STR_INIT("x_a_b"),
                                           STR_INIT("x-a_b"), STR_INIT("X_a-B")};
    enum { SPELLING_COUNT = sizeof(SPELLINGS) / sizeof(SPELLINGS[0]), OTHERS = 200 };
    CLEANUP(name_table_done) struct name_table table = {0};
    size_t at = 0, met = 0;
    int number;

    (void)state;
    for (int i = 0; i < SPELLING_COUNT * OTHERS; i++) {
        char other[16];

        (void)snprintf(other, sizeof(other), "other-%d", i);
        assert_true(name_table_add(&table, str_from(other)) >= 0);
        if (i % OTHERS == 0)
            assert_true(name_table_add(&table, SPELLINGS[i / OTHERS]) >= 0);
    }
    while ((number = name_table_next(&table, name_hash(STR("x-a-b")), &at)) != NAME_NONE)
        if (name_is_variant(table.names[number], STR("X_A_B")))
            assert_true(str_eq(table.names[number], SPELLINGS[met++]));
    assert_int_equal(met, SPELLING_COUNT);
    assert_false(name_is_variant(STR("x.a.b"), STR("x-a-b")));
    assert_false(name_is_variant(STR("x-a-"), STR("x-a-b")));
}

static void names_are_spread_over_the_table(void **state)
{
    enum { COUNT = 20000 };
    CLEANUP(name_table_done) struct name_table table = {0};
    size_t steps = 0;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "x-header-%d", i);
        assert_int_equal(name_table_add(&table, str_from(name)), i);
    }
    assert_true(table.bucket_count >= 2 * COUNT && table.bucket_count < 8 * COUNT);
    for (int i = 0; i < COUNT; i++) {
        size_t at = 0;

        while (name_table_next(&table, table.hashes[i], &at) != i)
            ;
        steps += at;
    }
    assert_true(steps < 4 * COUNT); /* buckets looked at, two of three being the rule */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_knows_no_name),
        cmocka_unit_test(each_name_has_one_number),
        cmocka_unit_test(a_walk_meets_all_spellings_in_their_order),
        cmocka_unit_test(names_are_spread_over_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
