/* SPDX-License-Identifier: Apache-2.0 */
/* The members that every line about a SYN has. */
#include "finding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "output.h"
#include "syn_text.h"

enum { TEXT_MAX = 1024 };

static const char DATABASE[] = "classes = unix\n"
                               "[tcp:request]\n"
                               "label = s:unix:Linux:4\n"
                               "sig = 4:64:0:1460:mss*44,7:mss:df:0\n"
                               "label = s:!:scanner:\n"
                               "sys = Linux\n"
                               "sig = 4:64-:0:0:1024,0::df:0\n";

/* Of one SYN: all members, or the words for people. */
static void show(const struct finding *finding, bool words, char ret_text[TEXT_MAX])
{
    static void (*const MEMBERS[])(const struct finding *finding) = {
        finding_print_label, finding_print_os, finding_print_match, finding_print_distance,
        finding_print_link};
    struct output output = output_begin();

    if (words) {
        finding_print_label_text(finding);
        finding_print_path_text(finding);
    }
    for (size_t i = 0; !words && i < sizeof(MEMBERS) / sizeof(MEMBERS[0]); i++) {
        MEMBERS[i](finding);
        (void)putchar(i + 1 < sizeof(MEMBERS) / sizeof(MEMBERS[0]) ? ' ' : '.');
    }
    output_end(&output, ret_text, TEXT_MAX);
}

static void each_syn_is_shown_by_what_the_database_knows(void **state)
{
    static const struct {
        const char *syn;
        uint8_t node_hops;
        const char *kind, *members, *words;
    } ROWS[] = {
        {"4:61+3:0:1460:mss*44,7:mss:df:0", 0, "os",
         "\"label\":\"Linux 4\" \"os\":{\"class\":\"unix\",\"name\":\"Linux\",\"flavor\":\"4\","
         "\"family\":\"linux\"} \"match\":\"specific\" \"distance\":3 \"mtu\":1500,\"link\":null.",
         "Linux 4, distance 3, MTU 1500"},
        {"4:61+3:0:1460:mss*44,7:mss:df:0", 2, "os",
         "\"label\":\"Linux 4\" \"os\":{\"class\":\"unix\",\"name\":\"Linux\",\"flavor\":\"4\","
         "\"family\":\"linux\"} \"match\":\"specific\" \"distance\":1 \"mtu\":1500,\"link\":null.",
         "Linux 4, distance 1, MTU 1500"},
        {"4:61+3:0:1460:mss*44,7:mss:df:0", 9, "os",
         "\"label\":\"Linux 4\" \"os\":{\"class\":\"unix\",\"name\":\"Linux\",\"flavor\":\"4\","
         "\"family\":\"linux\"} \"match\":\"specific\" \"distance\":0 \"mtu\":1500,\"link\":null.",
         "Linux 4, distance 0, MTU 1500"},
        /* a random TTL says nothing about the distance, no MSS nothing about the link */
        {"4:61+3:0:0:1024,0::df:0", 0, "app",
         "\"label\":\"scanner\" \"os\":{\"class\":\"!\",\"name\":\"scanner\",\"flavor\":null,"
         "\"family\":\"tool\"} \"match\":\"specific\" \"distance\":null \"mtu\":null,"
         "\"link\":null.",
         "scanner"},
        {"4:61+3:0:1460:1024,0:mss::0", 0, "os",
         "\"label\":null \"os\":{\"class\":null,\"name\":null,\"flavor\":null,"
         "\"family\":\"unknown\"} \"match\":\"none\" \"distance\":3 \"mtu\":1500,\"link\":null.",
         "???, distance 3, MTU 1500"},
    };
    struct fp_db *db = NULL;
    struct diag diag = {0};
    const struct databases databases = {&db, 1};

    (void)state;
    if (fp_db_parse(str_from(DATABASE), "test", &db, &diag) < 0)
        fail_msg("%s", diag.text);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn syn = syn_from_text(ROWS[i].syn);
        struct finding finding;
        char text[TEXT_MAX];

        syn.node_hops = ROWS[i].node_hops;
        finding_make(&syn, &databases, &finding);
        assert_string_equal(finding.signature, ROWS[i].syn); /* whatever the hops */
        assert_string_equal(finding.kind, ROWS[i].kind);
        show(&finding, false, text);
        assert_string_equal(text, ROWS[i].members);
        show(&finding, true, text);
        assert_string_equal(text, ROWS[i].words);
    }
    fp_db_freep(&db);
}

static void without_a_syn_all_members_are_null(void **state)
{
    char text[TEXT_MAX];

    (void)state;
    show(NULL, false, text);
    assert_string_equal(text, "\"label\":null \"os\":null \"match\":null \"distance\":null "
                              "\"mtu\":null,\"link\":null.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_syn_is_shown_by_what_the_database_knows),
        cmocka_unit_test(without_a_syn_all_members_are_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
