/* SPDX-License-Identifier: Apache-2.0 */
#include "header_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cleanup.h"

static struct header_table *new_table(void)
{
    struct header_table *table = NULL;

    assert_int_equal(header_table_new(&table), 0);
    return table;
}

enum { FIRST = KNOWN_TRACE_PARENT + 1 }; /* the first slot that a policy gets */

static struct header_match match(const struct header_table *table, const char *name)
{
    return header_table_match(table, str_from(name));
}

static void the_signature_header_is_owned_from_the_start(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();

    (void)state;
    assert_int_equal(header_table_owned_count(table), 1);
    assert_int_equal(match(table, "x-tcp-p0f").owned_index, 0);
    assert_true(match(table, "x-tcp-p0f").exact);
    assert_int_equal(header_table_add_owned(table, STR("X-Tcp-P0f")), 0);
    assert_int_equal(header_table_owned_count(table), 1);
}

static void variants_of_an_owned_name_are_seen_but_not_exact(void **state)
{
    static const char *const VARIANTS[] = {"X-Tcp-P0f", "x_tcp_p0f", "x-tcp_p0f", "X_TCP-P0F"};
    static const char *const OTHERS[] = {"x-tcp-p0",   "x-tcp-p0f-", "xtcpp0f", "x.tcp.p0f",
                                         "x-tcp-p0f ", "",           "-",       "x--tcp-p0f"};
    CLEANUP(header_table_freep) struct header_table *table = new_table();

    (void)state;
    for (size_t i = 0; i < sizeof(VARIANTS) / sizeof(VARIANTS[0]); i++) {
        assert_int_equal(match(table, VARIANTS[i]).owned_index, 0);
        assert_false(match(table, VARIANTS[i]).exact);
    }
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        assert_int_equal(match(table, OTHERS[i]).owned_index, HEADER_NONE);
}

static void read_names_ignore_case_only(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();

    (void)state;
    assert_int_equal(header_table_add_read(table, STR("User-Agent")), FIRST);
    assert_int_equal(header_table_add_read(table, STR("accept")), FIRST + 1);
    assert_int_equal(header_table_add_read(table, STR("user-agent")), FIRST);
    assert_int_equal(header_table_read_count(table), FIRST + 2);
    assert_int_equal(match(table, "USER-AGENT").read_slot, FIRST);
    assert_int_equal(match(table, "accept").read_slot, FIRST + 1);
    assert_int_equal(match(table, "user_agent").read_slot, HEADER_NONE);
    assert_int_equal(match(table, "user-agent").owned_index, HEADER_NONE);
}

/* One header may be read and owned; its variant may be another one that is read. */
static void spellings_of_one_name_are_told_apart(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();
    struct header_match both, variant;

    (void)state;
    assert_int_equal(header_table_add_read(table, STR("x_client")), FIRST);
    assert_int_equal(header_table_add_read(table, STR("x-client")), FIRST + 1);
    assert_int_equal(header_table_add_owned(table, STR("x-client")), 1);
    both = match(table, "x-client");
    assert_int_equal(both.read_slot, FIRST + 1);
    assert_int_equal(both.owned_index, 1);
    assert_true(both.exact);
    variant = match(table, "x_client");
    assert_int_equal(variant.read_slot, FIRST);
    assert_int_equal(variant.owned_index, 1);
    assert_false(variant.exact);
}

static void owned_names_that_are_variants_of_each_other_keep_their_own_index(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();
    int dash, line;

    (void)state;
    line = header_table_add_owned(table, STR("a_b"));
    dash = header_table_add_owned(table, STR("a-b"));
    assert_int_not_equal(line, dash);
    assert_int_equal(match(table, "a_b").owned_index, line);
    assert_int_equal(match(table, "a-b").owned_index, dash);
    assert_true(match(table, "a_b").exact && match(table, "a-b").exact);
    assert_false(match(table, "A-B").exact);
}

static void every_name_is_found_after_growing(void **state)
{
    enum { COUNT = 2000 };
    CLEANUP(header_table_freep) struct header_table *table = new_table();
    char name[32];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof(name), "X-Header-%d", i);
        assert_int_equal(header_table_add_owned(table, str_from(name)), i + 1);
        assert_int_equal(header_table_add_read(table, str_from(name)), FIRST + i);
    }
    assert_int_equal(header_table_owned_count(table), COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        struct header_match found;
        struct str owned;

        (void)snprintf(name, sizeof(name), "x-header-%d", i);
        found = match(table, name);
        assert_int_equal(found.read_slot, FIRST + i);
        assert_int_equal(found.owned_index, i + 1);
        assert_true(found.exact);
        owned = header_table_owned_name(table, (size_t)i + 1);
        assert_true(str_eq(owned, str_from(name)));
        (void)snprintf(name, sizeof(name), "x-headers-%d", i);
        assert_int_equal(match(table, name).owned_index, HEADER_NONE);
    }
}

static void headers_of_the_product_have_slots_in_every_table(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();

    (void)state;
    assert_int_equal(header_table_known(table, KNOWN_CONTENT_TYPE),
                     match(table, "Content-Type").read_slot);
    assert_int_equal(header_table_known(table, KNOWN_REQUEST_ID),
                     match(table, "x-request-id").read_slot);
    assert_int_equal(header_table_known(table, KNOWN_TRACE_PARENT),
                     match(table, "traceparent").read_slot);
    assert_int_equal(match(table, "x-request-id").owned_index, HEADER_NONE);
    assert_int_equal(header_table_known(table, KNOWN_JA3), HEADER_NONE);
    assert_int_equal(header_table_set_known(table, KNOWN_JA3, STR("X-Ja3")), 0);
    assert_int_not_equal(match(table, "x-ja3").read_slot, HEADER_NONE);
    assert_int_equal(header_table_known(table, KNOWN_JA3), match(table, "x-ja3").read_slot);
}

/* Names are sorted out by their length first; the long ones share a class. */
static void names_of_any_length_are_found(void **state)
{
    CLEANUP(header_table_freep) struct header_table *table = new_table();
    char name[200];

    (void)state;
    memset(name, 'x', sizeof(name));
    for (size_t length = 1; length <= sizeof(name); length += 3)
        assert_true(header_table_add_read(table, (struct str){name, length}) >= FIRST);
    for (size_t length = 1; length <= sizeof(name); length++) {
        int slot = header_table_match(table, (struct str){name, length}).read_slot;

        assert_int_equal(slot != HEADER_NONE, length % 3 == 1);
    }
}

static void header_names_are_tokens(void **state)
{
    static const char *const GOOD[] = {"a", "X-Tcp-P0f", "x_a", "!#$%&'*+-.^_`|~09az"};
    static const struct str BAD[] = {
        STR_INIT(""),    STR_INIT(":path"), STR_INIT("a b"), STR_INIT("a:"),     STR_INIT("a\r"),
        STR_INIT("a\0"), STR_INIT("\x80"),  STR_INIT("(a)"), STR_INIT("a,b"),    STR_INIT("a\"b"),
        STR_INIT("a/b"), STR_INIT("a\x7f"), STR_INIT("a;"),  STR_INIT("[a]{b}"), STR_INIT("a@b"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++)
        assert_true(header_name_is_valid(str_from(GOOD[i])));
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        assert_false(header_name_is_valid(BAD[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_signature_header_is_owned_from_the_start),
        cmocka_unit_test(variants_of_an_owned_name_are_seen_but_not_exact),
        cmocka_unit_test(read_names_ignore_case_only),
        cmocka_unit_test(spellings_of_one_name_are_told_apart),
        cmocka_unit_test(owned_names_that_are_variants_of_each_other_keep_their_own_index),
        cmocka_unit_test(every_name_is_found_after_growing),
        cmocka_unit_test(headers_of_the_product_have_slots_in_every_table),
        cmocka_unit_test(names_of_any_length_are_found),
        cmocka_unit_test(header_names_are_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
