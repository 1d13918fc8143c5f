/* SPDX-License-Identifier: Apache-2.0 */
#include "fact_key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "header_table.h"

static int make(const char *fact, const struct str *names, size_t count, struct fact_key **ret_key,
                size_t *ret_wrong, struct diag *diag)
{
    CLEANUP(header_table_freep) struct header_table *headers = NULL;

    assert_int_equal(header_table_new(&headers), 0);
    return fact_key_new(fact_find(str_from(fact)), names, count, headers, ret_key, ret_wrong, diag);
}

static void a_key_keeps_its_own_copy_of_the_names(void **state)
{
    char text[] = "namespacekey";
    const struct str names[] = {{text, 9}, {text + 9, 3}};
    CLEANUP(fact_key_freep) struct fact_key *key = NULL;
    size_t wrong;

    (void)state;
    assert_int_equal(make("metadata", names, 2, &key, &wrong, NULL), 0);
    memset(text, 'x', sizeof(text));
    assert_int_equal(key->count, 2);
    assert_true(str_eq(key->names[0], STR("namespace")));
    assert_true(str_eq(key->names[1], STR("key")));
}

static void a_header_gets_one_slot_whatever_its_letter_case(void **state)
{
    static const struct str NAMES[] = {STR_INIT("X-Ticket"), STR_INIT("x-ticket"),
                                       STR_INIT("Traceparent")};
    CLEANUP(header_table_freep) struct header_table *headers = NULL;
    const struct fact *header = fact_find(STR("header"));
    struct fact_key *keys[3];
    size_t wrong;

    (void)state;
    assert_int_equal(header_table_new(&headers), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fact_key_new(header, &NAMES[i], 1, headers, &keys[i], &wrong, NULL), 0);
    assert_int_equal(keys[0]->slot, keys[1]->slot);
    assert_int_equal(keys[2]->slot, header_table_known(headers, KNOWN_TRACE_PARENT));
    for (size_t i = 0; i < 3; i++)
        fact_key_freep(&keys[i]);
}

static void facts_without_a_key_have_none(void **state)
{
    struct fact_key *key = (struct fact_key *)state;
    size_t wrong = 7;

    assert_int_equal(make("http.path", NULL, 0, &key, &wrong, NULL), 0);
    assert_null(key);
}

static const struct {
    const char *fact;
    size_t count;
    struct str names[FACT_PATH_MAX + 1];
    size_t wrong;
    const char *message;
} WRONG[] = {
    {"header", 0, {{NULL, 0}}, 0, "\"header\" needs a name"},
    {"extension", 1, {STR_INIT("")}, 0, "found an empty name for \"extension\""},
    {"header", 2, {STR_INIT("a"), STR_INIT("b")}, 1, "found more than 1 name for \"header\""},
    {"header", 1, {STR_INIT(":path")}, 0, "found \":path\", expected the name of a header"},
    {"metadata", 1, {STR_INIT("ns")}, 0, "\"metadata\" needs a namespace and a path"},
    {"route_metadata",
     3,
     {STR_INIT("ns"), STR_INIT(""), STR_INIT("b")},
     1,
     "found an empty name for \"route_metadata\""},
    {"tls.ja4",
     0,
     {{NULL, 0}},
     0,
     "\"tls.ja4\" comes in a header that Envoy sets; expected the policy to name it: headers: "
     "{ja4: NAME}"},
};

static void wrong_names_are_explained_and_pointed_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct fact_key *key = NULL;
        struct diag diag = {0};
        size_t wrong = 99;

        assert_int_equal(make(WRONG[i].fact, WRONG[i].names, WRONG[i].count, &key, &wrong, &diag),
                         -EINVAL);
        assert_null(key);
        assert_string_equal(diag.text, WRONG[i].message);
        assert_int_equal(wrong, WRONG[i].wrong);
    }
}

static void a_path_has_an_end(void **state)
{
    struct str names[FACT_PATH_MAX + 1];
    CLEANUP(fact_key_freep) struct fact_key *key = NULL;
    size_t wrong;

    (void)state;
    for (size_t i = 0; i <= FACT_PATH_MAX; i++)
        names[i] = STR("a");
    assert_int_equal(make("metadata", names, FACT_PATH_MAX, &key, &wrong, NULL), 0);
    fact_key_freep(&key);
    assert_int_equal(make("metadata", names, FACT_PATH_MAX + 1, &key, &wrong, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_keeps_its_own_copy_of_the_names),
        cmocka_unit_test(a_header_gets_one_slot_whatever_its_letter_case),
        cmocka_unit_test(facts_without_a_key_have_none),
        cmocka_unit_test(wrong_names_are_explained_and_pointed_at),
        cmocka_unit_test(a_path_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
