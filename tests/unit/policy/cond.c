/* SPDX-License-Identifier: Apache-2.0 */
#include "cond.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "header_table.h"
#include "signature.h"

/* --- three-valued truth */

static const enum tri VALUES[] = {TRI_NO, TRI_UNKNOWN, TRI_YES};

static const enum tri AND[3][3] = {
    {TRI_NO, TRI_NO, TRI_NO},
    {TRI_NO, TRI_UNKNOWN, TRI_UNKNOWN},
    {TRI_NO, TRI_UNKNOWN, TRI_YES},
};

static const enum tri OR[3][3] = {
    {TRI_NO, TRI_UNKNOWN, TRI_YES},
    {TRI_UNKNOWN, TRI_UNKNOWN, TRI_YES},
    {TRI_YES, TRI_YES, TRI_YES},
};

static const enum tri NOT[3] = {TRI_YES, TRI_UNKNOWN, TRI_NO};

/* A test that is NO, UNKNOWN or YES of the subject below. */
static void add_constant(struct cond_builder *builder, enum tri value)
{
    const struct fact *fact = fact_find(value == TRI_UNKNOWN ? STR("p0f") : STR("http.path"));

    assert_int_equal(cond_builder_test(builder, fact, NULL, COND_PRESENT, value == TRI_YES), 0);
}

static const struct subject SUBJECT = {
    .has_http = true,
    .method = STR_INIT("GET"),
    .path = STR_INIT("/a/b.php"),
    .host = STR_INIT("Www.Example.org"),
    .source = {.addr = {4, {[10] = 0xff, [11] = 0xff, 10, 1, 2, 3}}, .port = 40000},
    .syn_state = SYN_STATE_MISSING,
    .syn_reason = SYN_REASON_NOT_SEEN,
};

static enum tri finish_and_eval(struct cond_builder *builder)
{
    CLEANUP(cond_freep) struct cond *cond = cond_builder_finish(builder);

    return cond_eval(cond, &SUBJECT);
}

static enum tri eval_pair(enum cond_kind kind, enum tri a, enum tri b)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};

    assert_int_equal(cond_builder_open(&builder, kind), 0);
    add_constant(&builder, a);
    add_constant(&builder, b);
    cond_builder_close(&builder);
    return finish_and_eval(&builder);
}

static void all_and_any_follow_the_truth_tables(void **state)
{
    (void)state;
    for (size_t a = 0; a < 3; a++)
        for (size_t b = 0; b < 3; b++) {
            assert_int_equal(tri_and(VALUES[a], VALUES[b]), AND[a][b]);
            assert_int_equal(tri_or(VALUES[a], VALUES[b]), OR[a][b]);
            assert_int_equal(eval_pair(COND_ALL, VALUES[a], VALUES[b]), AND[a][b]);
            assert_int_equal(eval_pair(COND_ANY, VALUES[a], VALUES[b]), OR[a][b]);
        }
}

static void not_unknown_is_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        CLEANUP(cond_builder_done) struct cond_builder builder = {0};

        assert_int_equal(cond_builder_open(&builder, COND_NOT), 0);
        add_constant(&builder, VALUES[i]);
        cond_builder_close(&builder);
        assert_int_equal(finish_and_eval(&builder), NOT[i]);
        assert_int_equal(tri_not(VALUES[i]), NOT[i]);
    }
}

/* any(all(YES, not(NO)), UNKNOWN) and the same with a sibling behind each group */
static void groups_end_where_they_were_closed(void **state)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};

    (void)state;
    assert_int_equal(cond_builder_open(&builder, COND_ALL), 0);
    assert_int_equal(cond_builder_open(&builder, COND_ANY), 0);
    add_constant(&builder, TRI_NO);
    assert_int_equal(cond_builder_open(&builder, COND_NOT), 0);
    add_constant(&builder, TRI_NO);
    cond_builder_close(&builder);
    cond_builder_close(&builder); /* any: YES */
    add_constant(&builder, TRI_UNKNOWN);
    assert_int_equal(cond_builder_open(&builder, COND_ANY), 0);
    add_constant(&builder, TRI_YES);
    cond_builder_close(&builder);
    cond_builder_close(&builder);
    assert_int_equal(finish_and_eval(&builder), TRI_UNKNOWN);
}

/* --- tests of facts */

static const struct {
    const char *fact;
    enum cond_operator op;
    const char *operands[3];
    enum tri result;
} TESTS[] = {
    {"http.method", COND_EQUALS, {"GET"}, TRI_YES},
    {"http.method", COND_EQUALS, {"get"}, TRI_NO}, /* RFC 9110 9.1: case-sensitive */
    {"http.method", COND_IN, {"PUT", "GET"}, TRI_YES},
    {"http.method", COND_IN, {"PUT", "POST", ""}, TRI_NO},
    {"http.path", COND_PREFIX, {"/a"}, TRI_YES},
    {"http.path", COND_PREFIX, {"/a/b.php5"}, TRI_NO},
    {"http.path", COND_SUFFIX, {".php"}, TRI_YES},
    {"http.path", COND_SUFFIX, {".PHP"}, TRI_NO},
    {"http.path", COND_CONTAINS, {"/b"}, TRI_YES},
    {"http.path", COND_CONTAINS, {"/c"}, TRI_NO},
    {"http.host", COND_EQUALS, {"www.example.ORG"}, TRI_YES}, /* RFC 9110 4.2.3: any case */
    {"http.host", COND_EQUALS, {"example.org"}, TRI_NO},
    {"http.host", COND_PREFIX, {"www."}, TRI_YES},
    {"http.host", COND_PREFIX, {"www.example.org."}, TRI_NO},
    {"http.host", COND_SUFFIX, {".example.org"}, TRI_YES},
    {"http.host", COND_SUFFIX, {"xwww.example.org"}, TRI_NO},
    {"http.host", COND_CONTAINS, {"EXAMPLE"}, TRI_YES},
    {"http.host", COND_CONTAINS, {"www.example.org.uk"}, TRI_NO},
    {"http.scheme", COND_EQUALS, {"http"}, TRI_NO}, /* absent */
    {"source.address", COND_EQUALS, {"10.0.0.0/8"}, TRI_YES},
    {"source.address", COND_EQUALS, {"10.1.2.4"}, TRI_NO},
    {"source.address", COND_IN, {"::/0", "10.1.2.3"}, TRI_YES},
    {"source.address", COND_EQUALS, {"::/0"}, TRI_NO}, /* an IPv4 peer is in no IPv6 prefix */
    {"destination.address", COND_EQUALS, {"0.0.0.0/0"}, TRI_NO},
    {"source.port", COND_EQUALS, {"40000"}, TRI_YES},
    {"source.port", COND_IN, {"1", "40001"}, TRI_NO},
    {"destination.port", COND_EQUALS, {"0"}, TRI_NO},
    {"fingerprint.state", COND_EQUALS, {"missing"}, TRI_YES},
    {"fingerprint.state", COND_IN, {"verified", "captured"}, TRI_NO},
    {"fingerprint.reason", COND_EQUALS, {"not_seen"}, TRI_YES},
    {"p0f", COND_EQUALS, {"x"}, TRI_UNKNOWN},
    {"p0f", COND_CONTAINS, {"x"}, TRI_UNKNOWN},
    {"signature", COND_EQUALS, {"4:64:0:*:*,*:mss:df:0"}, TRI_UNKNOWN},
};

static struct cond *build_test(const char *fact, enum cond_operator op, const char *const *operands,
                               size_t count)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};

    assert_int_equal(cond_builder_test(&builder, fact_find(str_from(fact)), NULL, op, false), 0);
    for (size_t i = 0; i < count && operands[i]; i++) {
        struct diag diag = {0};
        size_t offset;

        assert_int_equal(cond_builder_operand(&builder, str_from(operands[i]), &offset, &diag), 0);
    }
    return cond_builder_finish(&builder);
}

static void each_operator_answers_for_its_fact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(TESTS) / sizeof(TESTS[0]); i++) {
        CLEANUP(cond_freep)
        struct cond *cond = build_test(TESTS[i].fact, TESTS[i].op, TESTS[i].operands, 3);

        if (cond_eval(cond, &SUBJECT) != TESTS[i].result)
            fail_msg("%s %s %s: not %d", TESTS[i].fact, cond_operator_name(TESTS[i].op),
                     TESTS[i].operands[0], TESTS[i].result);
    }
}

/* present: true and false, of a value, of what is observed absent, of what cannot be observed */
static void present_tells_absent_from_unobservable(void **state)
{
    static const struct {
        const char *fact;
        enum tri if_true, if_false;
    } ROWS[] = {
        {"http.path", TRI_YES, TRI_NO},         {"http.scheme", TRI_NO, TRI_YES},
        {"p0f", TRI_UNKNOWN, TRI_UNKNOWN},      {"signature", TRI_UNKNOWN, TRI_UNKNOWN},
        {"fingerprint.state", TRI_YES, TRI_NO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        for (int present = 0; present < 2; present++) {
            CLEANUP(cond_builder_done) struct cond_builder builder = {0};

            assert_int_equal(cond_builder_test(&builder, fact_find(str_from(ROWS[i].fact)), NULL,
                                               COND_PRESENT, present),
                             0);
            assert_int_equal(finish_and_eval(&builder),
                             present ? ROWS[i].if_true : ROWS[i].if_false);
        }
}

static void headers_are_tested_by_slot(void **state)
{
    static const struct str NAMES[] = {STR_INIT("user-agent"), STR_INIT("accept")};
    struct str values[KNOWN_HEADER_COUNT_ + 2] = {{NULL, 0}};
    const struct subject subject = {.has_http = true, .headers = values};
    const struct subject network = {0};
    const struct fact *header = fact_find(STR("header"));
    CLEANUP(header_table_freep) struct header_table *headers = NULL;

    (void)state;
    assert_int_equal(header_table_new(&headers), 0);
    for (int i = 0; i < 2; i++) {
        CLEANUP(cond_builder_done) struct cond_builder builder = {0};
        CLEANUP(cond_freep) struct cond *cond = NULL;
        struct fact_key *key;
        size_t offset, wrong;

        assert_int_equal(fact_key_new(header, &NAMES[i], 1, headers, &key, &wrong, NULL), 0);
        if (i == 0)
            values[key->slot] = STR("curl/8.0");
        assert_int_equal(cond_builder_test(&builder, header, key, COND_PREFIX, false), 0);
        assert_int_equal(cond_builder_operand(&builder, STR("curl"), &offset, NULL), 0);
        cond = cond_builder_finish(&builder);
        assert_int_equal(cond_eval(cond, &subject), i == 0 ? TRI_YES : TRI_NO);
        assert_int_equal(cond_eval(cond, &network), TRI_NO);
    }
}

/* A Linux client's SYN: 4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0 */
static const struct syn LINUX_SYN = {
    .quirks = QUIRK_DF | QUIRK_ID_NONZERO,
    .ts_value = 1,
    .mss = 1460,
    .window = 64240,
    .header_length = 60,
    .ip_version = 4,
    .ttl = 64,
    .scale = 7,
    .layout_length = 5,
    .layout = {TCP_OPTION_MSS, TCP_OPTION_SACK_PERMITTED, TCP_OPTION_TIMESTAMPS, TCP_OPTION_NOP,
               TCP_OPTION_WS},
};

static void a_signature_matches_its_patterns(void **state)
{
    static const struct {
        const char *patterns[3];
        enum tri result;
    } ROWS[] = {
        {{"4:64:0:*:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"}, TRI_YES},
        {{"*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0"}, TRI_YES},
        {{"6:64:0:*:*,*:mss,sok,ts,nop,ws:flow:0"}, TRI_NO},
        {{"4:64:0:*:*,*:mss,nop,nop,sok,nop,ws:df,id+:0",
          "4:64:0:1460:*,*:mss,sok,ts,nop,ws:df,id+:0"},
         TRI_YES},
    };
    struct signature signature;
    struct subject subject = {.signature = &signature, .syn_state = SYN_STATE_VERIFIED};

    (void)state;
    signature_from_syn(&LINUX_SYN, &signature);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(cond_freep)
        struct cond *cond = build_test("signature", COND_IN, ROWS[i].patterns, 3);

        assert_int_equal(cond_eval(cond, &subject), ROWS[i].result);
        assert_int_equal(cond_eval(cond, &SUBJECT), TRI_UNKNOWN);
    }
}

/* --- building */

static void only_what_needs_a_syn_can_be_unknown(void **state)
{
    const char *state_word[] = {"verified"}, *text[] = {"x"};
    CLEANUP(cond_freep)
    struct cond *known = build_test("fingerprint.state", COND_EQUALS, state_word, 1);
    CLEANUP(cond_freep) struct cond *unknown = build_test("p0f", COND_EQUALS, text, 1);

    (void)state;
    assert_false(cond_can_be_unknown(known));
    assert_true(cond_can_be_unknown(unknown));
}

static void an_unknown_fact_deep_inside_is_found(void **state)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};
    CLEANUP(cond_freep) struct cond *cond = NULL;

    (void)state;
    assert_int_equal(cond_builder_open(&builder, COND_ANY), 0);
    add_constant(&builder, TRI_YES);
    assert_int_equal(cond_builder_open(&builder, COND_NOT), 0);
    add_constant(&builder, TRI_UNKNOWN);
    cond_builder_close(&builder);
    cond_builder_close(&builder);
    cond = cond_builder_finish(&builder);
    assert_true(cond_can_be_unknown(cond));
}

static void nesting_is_bounded(void **state)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};

    (void)state;
    for (int i = 0; i < COND_DEPTH_MAX; i++)
        assert_int_equal(cond_builder_open(&builder, COND_NOT), 0);
    assert_int_equal(cond_builder_open(&builder, COND_NOT), -E2BIG);
}

static void operators_fit_the_types_that_have_them(void **state)
{
    (void)state;
    for (int type = 0; type < FACT_TYPE_COUNT_; type++) {
        assert_true(cond_operator_fits(COND_EQUALS, (enum fact_type)type));
        assert_true(cond_operator_fits(COND_IN, (enum fact_type)type));
        assert_true(cond_operator_fits(COND_PRESENT, (enum fact_type)type));
        assert_int_equal(cond_operator_fits(COND_PREFIX, (enum fact_type)type), type == FACT_TEXT);
        assert_int_equal(cond_operator_fits(COND_SUFFIX, (enum fact_type)type), type == FACT_TEXT);
        assert_int_equal(cond_operator_fits(COND_CONTAINS, (enum fact_type)type),
                         type == FACT_TEXT);
    }
}

static void a_wrong_operand_is_explained(void **state)
{
    static const struct {
        const char *fact;
        enum cond_operator op;
        const char *operand, *message;
    } ROWS[] = {
        {"source.port", COND_EQUALS, "70000", "found \"70000\", expected a number from 0 to 65535"},
        {"source.address", COND_EQUALS, "here",
         "found \"here\", expected an address or a prefix like 192.0.2.0/24"},
        {"fingerprint.state", COND_EQUALS, "mising",
         "found \"mising\", which is no fingerprint.state; did you mean \"missing\"?"},
        {"http.path", COND_CONTAINS, "",
         "\"contains\" of an empty text is always true; expected a text"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(cond_builder_done) struct cond_builder builder = {0};
        struct diag diag = {0};
        size_t offset;

        assert_int_equal(
            cond_builder_test(&builder, fact_find(str_from(ROWS[i].fact)), NULL, ROWS[i].op, false),
            0);
        assert_int_equal(cond_builder_operand(&builder, str_from(ROWS[i].operand), &offset, &diag),
                         -EINVAL);
        assert_string_equal(diag.text, ROWS[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_and_any_follow_the_truth_tables),
        cmocka_unit_test(not_unknown_is_unknown),
        cmocka_unit_test(groups_end_where_they_were_closed),
        cmocka_unit_test(each_operator_answers_for_its_fact),
        cmocka_unit_test(present_tells_absent_from_unobservable),
        cmocka_unit_test(headers_are_tested_by_slot),
        cmocka_unit_test(a_signature_matches_its_patterns),
        cmocka_unit_test(only_what_needs_a_syn_can_be_unknown),
        cmocka_unit_test(an_unknown_fact_deep_inside_is_found),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(operators_fit_the_types_that_have_them),
        cmocka_unit_test(a_wrong_operand_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
