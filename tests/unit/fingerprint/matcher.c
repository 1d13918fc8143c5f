/* SPDX-License-Identifier: Apache-2.0 */
#include "matcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "syn_text.h"

static struct fp_db *database(const char *text)
{
    struct fp_db *db = NULL;
    struct diag diag = {0};

    assert_int_equal(fp_db_parse(str_from(text), "test", &db, &diag), 0);
    return db;
}

static struct match match_text(const struct fp_db *db, const char *text)
{
    struct syn syn = syn_from_text(text);
    struct signature signature;
    struct match match;

    signature_from_syn(&syn, &signature);
    matcher_match(db, &signature, &match);
    return match;
}

#define HEAD "classes = win,unix\n[tcp:request]\n"

static const char ONE_OF_EACH[] = HEAD "label = g:unix:Generic:\n"
                                       "sig = *:64:0:*:*,*:mss,sok:df,id+:0\n"
                                       "label = s:unix:Fuzzy:\n"
                                       "sig = *:64:0:*:*,0:mss,sok:df,id+,ecn:0\n"
                                       "label = s:unix:Specific:x\n"
                                       "sig = *:64:0:1460:*,7:mss,sok:df,id+:0\n"
                                       "label = s:unix:Second:\n"
                                       "sig = *:64:0:1460:*,*:mss,sok:df,id+:0\n"
                                       "label = s:unix:Random:\n"
                                       "sig = *:255-:00:*:*,*:ws:df,id+:0\n"
                                       "label = s:!:Tool:\n"
                                       "sys = @unix\n"
                                       "sig = *:64:0:*:1024,*:mss::0\n";

static void specific_beats_generic_beats_fuzzy(void **state)
{
    static const struct {
        const char *syn;
        enum match_kind kind;
        const char *name;
        int distance;
        bool excess;
    } ROWS[] = {
        {"4:60+4:0:1460:1,7:mss,sok:df,id+:0", MATCH_SPECIFIC, "Specific", 4, false},
        {"4:60+4:0:1460:1,6:mss,sok:df,id+:0", MATCH_SPECIFIC, "Second", 4, false},
        {"4:60+4:0:1400:1,7:mss,sok:df,id+:0", MATCH_GENERIC, "Generic", 4, false},
        {"4:60+4:0:1400:1,7:mss,sok:df,id+,ecn:0", MATCH_FUZZY, "Generic", 4, false},
        {"4:60+4:0:1400:1,7:mss,sok:df,id+,seq-:0", MATCH_NONE, NULL, 4, false},
        {"4:255+0:0:1460:1,7:mss,sok:df,id+:0", MATCH_FUZZY, "Generic", 0, false},
        {"4:20+12:0:1460:1,7:mss,sok:df,id+:0", MATCH_FUZZY, "Generic", 12, false},
        {"4:70+0:0:1460:1,7:mss,sok,nop:df,id+:0", MATCH_NONE, NULL, 58, true},
        {"6:60+4:0:1460:1,7:mss,sok::0", MATCH_SPECIFIC, "Specific", 4, false},
        {"6:60+4:0:1460:1,7:mss,sok:flow:0", MATCH_NONE, NULL, 4, false}, /* flow is never fuzzy */
        {"4:100+0:0:0:1,1:ws:df,id+:0", MATCH_SPECIFIC, "Random", 155, true},
        {"4:64+0:0:1460:1024,0:mss::0", MATCH_SPECIFIC, "Tool", 0, false},
        {"4:60+4:0:1460:1024,0:mss:ecn:0", MATCH_NONE, NULL, 0,
         false}, /* p0f forgets the distance */
    };
    CLEANUP(fp_db_freep) struct fp_db *db = database(ONE_OF_EACH);

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct match match = match_text(db, ROWS[i].syn);

        print_message("%s\n", ROWS[i].syn);
        assert_int_equal(match.kind, ROWS[i].kind);
        assert_int_equal(match.label != NULL, ROWS[i].name != NULL);
        if (ROWS[i].name)
            assert_string_equal(match.label->name, ROWS[i].name);
        assert_int_equal(match.distance, ROWS[i].distance);
        assert_int_equal(match.excess_distance, ROWS[i].excess);
    }
}

static void a_fuzzy_tool_gives_way_to_a_generic_system(void **state)
{
    CLEANUP(fp_db_freep)
    struct fp_db *db =
        database(HEAD "label = s:!:Tool:\nsys = @unix\nsig = *:64:0:*:1024,*:mss:df:0\n"
                      "label = g:unix:Generic:\nsig = *:64:0:*:*,*:mss::0\n");
    struct match match = match_text(db, "4:60+4:0:1460:1024,0:mss::0");

    (void)state;
    assert_int_equal(match.kind, MATCH_GENERIC);
    assert_int_equal(match.distance, 4);
}

static void mtu_and_link_are_for_systems_only(void **state)
{
    static const struct {
        const char *syn;
        int mtu;
        const char *link;
    } ROWS[] = {
        {"4:64+0:0:1460:1,0:nop::0", 1500, "Ethernet"},
        {"6:64+0:0:1440:1,0:nop::0", 1500, "Ethernet"},
        {"4:64+0:0:1400:1,0:nop::0", 1440, NULL},
        {"4:64+0:0:65535:1,0:nop::0", 65575, NULL},
        {"4:64+0:0:0:1,0:nop::0", 0, NULL},
        {"4:64+0:0:1460:1024,0:mss::0", 0, NULL},             /* a tool */
        {"4:64+0:0:1460:1024,0:mss:ecn:0", 1500, "Ethernet"}, /* not quite */
        {"4:64+0:0:1331:1337,0:nop::0", 0, NULL},             /* sendsyn */
    };
    CLEANUP(fp_db_freep)
    struct fp_db *db =
        database(HEAD "label = s:!:Tool:\nsys = @unix\nsig = *:64:0:*:1024,*:mss::0\n"
                      "[mtu]\nlabel = Ethernet\nsig = 1500\nlabel = Other\nsig = 1500\nsig = 39\n");

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct match match = match_text(db, ROWS[i].syn);

        assert_int_equal(match.mtu, ROWS[i].mtu);
        if (ROWS[i].link)
            assert_string_equal(match.link, ROWS[i].link);
        else
            assert_null(match.link);
    }
}

static void without_a_database_the_distance_is_a_guess(void **state)
{
    struct match match = match_text(NULL, "4:60+4:0:1460:1,0:nop::0");

    (void)state;
    assert_int_equal(match.kind, MATCH_NONE);
    assert_null(match.label);
    assert_int_equal(match.distance, 4);
    assert_int_equal(match.mtu, 1500);
    assert_null(match.link);
}

static void params_are_listed_in_p0f_s_order(void **state)
{
    static const struct {
        struct match match;
        uint8_t dscp;
        const char *params;
    } ROWS[] = {
        {{.kind = MATCH_NONE}, 0, "none"},
        {{.kind = MATCH_SPECIFIC}, 0, "none"},
        {{.kind = MATCH_GENERIC, .generic = true}, 0, "generic"},
        {{.kind = MATCH_FUZZY}, 0, "fuzzy"},
        {{.kind = MATCH_FUZZY, .generic = true, .random_ttl = true, .excess_distance = true},
         0x3f,
         "generic fuzzy random_ttl excess_dist tos:0x3f"},
        {{.kind = MATCH_NONE}, 4, "tos:0x04"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn syn = {.dscp = ROWS[i].dscp};
        struct signature signature = {.syn = &syn};
        char params[MATCH_PARAMS_MAX];

        assert_int_equal(matcher_params(&ROWS[i].match, &signature, params),
                         strlen(ROWS[i].params));
        assert_string_equal(params, ROWS[i].params);
    }
}

static void the_first_database_that_knows_a_label_wins(void **state)
{
    CLEANUP(fp_db_freep) struct fp_db *nothing = database("");
    CLEANUP(fp_db_freep)
    struct fp_db *fuzzy = database(HEAD "label = s:unix:Fuzzy:\nsig = *:32:0:*:*,*:mss::0\n");
    CLEANUP(fp_db_freep)
    struct fp_db *exact = database(HEAD "label = s:unix:Exact:\nsig = *:64:0:*:*,*:mss::0\n"
                                        "[mtu]\nlabel = Ethernet\nsig = 1500\n");
    const struct fp_db *const dbs[] = {nothing, fuzzy, exact};
    struct syn syn = syn_from_text("4:64+0:0:1460:1,0:mss::0");
    struct signature signature;
    struct match match;

    (void)state;
    signature_from_syn(&syn, &signature);
    matcher_match_first(dbs, 3, &signature, &match);
    assert_string_equal(match.label->name, "Fuzzy");
    assert_string_equal(match.link, "Ethernet");
    matcher_match_first(dbs + 2, 1, &signature, &match);
    assert_string_equal(match.label->name, "Exact");
    matcher_match_first(dbs, 1, &signature, &match);
    assert_null(match.label);
    matcher_match_first(NULL, 0, &signature, &match);
    assert_null(match.label);
    assert_int_equal(match.mtu, 1500);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(match_kind_name(MATCH_NONE), "none");
    assert_string_equal(match_kind_name(MATCH_SPECIFIC), "specific");
    assert_string_equal(match_kind_name(MATCH_GENERIC), "generic");
    assert_string_equal(match_kind_name(MATCH_FUZZY), "fuzzy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specific_beats_generic_beats_fuzzy),
        cmocka_unit_test(a_fuzzy_tool_gives_way_to_a_generic_system),
        cmocka_unit_test(mtu_and_link_are_for_systems_only),
        cmocka_unit_test(without_a_database_the_distance_is_a_guess),
        cmocka_unit_test(params_are_listed_in_p0f_s_order),
        cmocka_unit_test(the_first_database_that_knows_a_label_wins),
        cmocka_unit_test(kinds_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
