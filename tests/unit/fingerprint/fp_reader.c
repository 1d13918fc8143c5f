/* SPDX-License-Identifier: Apache-2.0 */
#include "fp_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cleanup.h"

#define HEAD  "classes = win,unix\n[tcp:request]\n"
#define LABEL "label = s:unix:A:x\n"
#define SIG   "sig = *:64:0:*:*,*:mss::0\n"

static void what_p0f_refuses_is_refused_at_its_place(void **state)
{
    static const struct {
        const char *text;
        unsigned line, column;
        const char *says;
    } ROWS[] = {
        {"nonsense\n", 1, 9, "KEY = VALUE"},
        {"\n; comment\n  colour = red\n", 3, 3, "keys are"},
        {"[tcp]\n", 1, 1, "sections are"},
        {"[tcp:foo]\n", 1, 1, "sections are"},
        {"classes = a b\n", 1, 12, "separated by commas"},
        {"classes = a,\n", 1, 13, "names of classes"},
        {"[mtu]\nclasses = a\n", 2, 1, "before the first section"},
        {"sig = 1500\n", 1, 1, "cannot be here"},
        {"label = x\n", 1, 1, "cannot be here"},
        {"[mtu]\nsig = 1500\n", 2, 1, "cannot be here"},
        {"[mtu]\nlabel =\n", 2, 8, "empty"},
        {"[mtu]\nlabel = x\nsig = 0\n", 3, 8, "1..65535"},
        {"[mtu]\nlabel = x\nsig =\n", 3, 6, "1..65535"},
        {"[mtu]\nlabel = x\nsys = Linux\n", 3, 1, "application"},
        {HEAD "label = x:unix:A:\n", 3, 9, "specific or generic"},
        {HEAD "label = s-unix:A:\n", 3, 10, "specific or generic"},
        {HEAD "label = s::A:\n", 3, 11, "a class"},
        {HEAD "label = s:unix\n", 3, 15, "a class"},
        {HEAD "label = s:bsd:A:\n", 3, 11, "list of classes"},
        {HEAD "label = s:!!:A:\n", 3, 11, "list of classes"},
        {HEAD "label = s:unix::\n", 3, 16, "a name"},
        {HEAD "label = s:unix:A\n", 3, 17, "a name"},
        {HEAD "label = s:unix:A,B:\n", 3, 17, "a name"},
        {HEAD "label = s:!:A:\n" SIG, 4, 1, "cannot be here"},
        {HEAD "label = s:!:A:\n" LABEL, 4, 1, "cannot be here"},
        {HEAD "label = s:!:A:\nsys = @bsd\n", 4, 8, "list of classes"},
        {HEAD "label = s:!:A:\nsys = A;B\n", 4, 8, "separated by commas"},
        {HEAD LABEL "sys = Linux\n", 4, 1, "application"},
        {HEAD LABEL "sig = *:64:0:*:*,*:mms::0\n", 4, 20, "TCP option"},
        {HEAD LABEL SIG SIG, 5, 7, "line 4 covers"},
        {HEAD LABEL "\n" SIG "[tcp:response]\n" LABEL SIG SIG, 9, 7, "line 8 covers"},
        {HEAD "ua_os = Linux\n", 3, 1, "[http:request]"},
        {"[http:response]\nua_os = Linux\n", 2, 1, "[http:request]"},
        {"[http:request]\nua_os = ,\n", 2, 9, "a name"},
        {"[http:request]\nua_os = iOS=iPad\n", 2, 13, "'['"},
        {"[http:request]\nua_os = iOS=[]\n", 2, 13, "'['"},
        {"classes = unix\n[http:request]\n" LABEL "sig = 2:A::\n", 4, 7, "HTTP version"},
        {"classes = unix\n[http:request]\n" LABEL "sig = 1:A::\nsig = 1:A::\n", 5, 7,
         "line 4 covers"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct fp_db *db = NULL;
        struct diag diag = {0};

        print_message("%s\n", ROWS[i].text);
        assert_int_equal(fp_db_parse(str_from(ROWS[i].text), "a.fp", &db, &diag), -EINVAL);
        assert_null(db);
        assert_string_equal(diag.file, "a.fp");
        assert_int_equal(diag.place.line, ROWS[i].line);
        assert_int_equal(diag.place.column, ROWS[i].column);
        assert_non_null(strstr(diag.text, ROWS[i].says));
    }
}

static void what_p0f_accepts_is_accepted(void **state)
{
    static const char *const TEXTS[] = {
        "",
        "\n\n;\n \t;x\n",
        "classes = a,,b\nclasses=c\n[tcp:request]\nlabel=s:C:A:\n" SIG,
        HEAD LABEL SIG "[tcp:response]\n" LABEL SIG,
        HEAD "label = g:unix:A:\n" SIG SIG LABEL SIG,
        HEAD LABEL LABEL,
        HEAD "label = s:!:A:\nsys = Linux,@UNIX,,B\n" SIG,
        "[mtu]\nlabel = a b:c;\nsig = 1500\nsig = 1500\n[mtu]\nlabel=x\nsig=65535",
        "[http:request]\nua_os = Linux,iOS=[iPad],Mac OS X,\nua_os=x\n",
        "classes = unix\n[http:request]\n" LABEL "sig = *:A=[x:y],?B:C,:Firefox/\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct fp_db *db = NULL;
        struct diag diag = {0};
        unsigned line;

        print_message("%s\n", TEXTS[i]);
        assert_int_equal(fp_db_parse(str_from(TEXTS[i]), "a.fp", &db, &diag), 0);
        assert_int_equal(fp_db_tolerated(db, &line), 0);
        fp_db_freep(&db);
    }
}

static const struct fp_label *only_label(const struct fp_db *db)
{
    static const uint8_t MSS[] = {TCP_OPTION_MSS};
    const struct fp_entry *const *entries = NULL;

    assert_int_equal(fp_db_candidates(db, MSS, sizeof(MSS), &entries), 1);
    return entries[0]->label;
}

static void blanks_and_carriage_returns_are_tolerated_and_counted(void **state)
{
    static const struct {
        const char *text;
        unsigned count, first;
        const char *flavor;
    } ROWS[] = {
        {"classes = unix\r\n[tcp:request]\r\nlabel = s:unix:A:x\r\n" SIG, 3, 1, "x"},
        {"classes = unix\n[tcp:request] \nlabel = s:unix:A:x\n" SIG, 1, 2, "x"},
        {"classes = unix\n[tcp:request]\nlabel = s:unix:A:x \nsig = *:64:0:*:*,*:mss::0 \t\n", 1, 4,
         "x "}, /* part of the label, for p0f as well */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        CLEANUP(fp_db_freep) struct fp_db *db = NULL;
        struct diag diag = {0};
        unsigned first = 0;

        assert_int_equal(fp_db_parse(str_from(ROWS[i].text), "a.fp", &db, &diag), 0);
        assert_int_equal(fp_db_tolerated(db, &first), ROWS[i].count);
        assert_int_equal(first, ROWS[i].first);
        assert_string_equal(only_label(db)->flavor, ROWS[i].flavor);
    }
}

static void names_keep_their_first_spelling(void **state)
{
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(fp_db_parse(str_from("classes = UniX\n[tcp:request]\n"
                                          "label = s:!:Tool:\nsys = LINUX\n"
                                          "label = s:unix:Linux:a:b = c\n" SIG),
                                 "a.fp", &db, &diag),
                     0);
    assert_string_equal(only_label(db)->name, "LINUX");
    assert_string_equal(only_label(db)->class_name, "UniX");
    assert_string_equal(only_label(db)->flavor, "a:b = c");
    assert_false(only_label(db)->generic);
}

static void a_nul_ends_the_text(void **state)
{
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(
        fp_db_parse(STR("[mtu]\nlabel = x\nsig = 1500\n\0nonsense"), "a.fp", &db, &diag), 0);
    assert_string_equal(fp_db_link(db, 1500), "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_p0f_refuses_is_refused_at_its_place),
        cmocka_unit_test(what_p0f_accepts_is_accepted),
        cmocka_unit_test(blanks_and_carriage_returns_are_tolerated_and_counted),
        cmocka_unit_test(names_keep_their_first_spelling),
        cmocka_unit_test(a_nul_ends_the_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
