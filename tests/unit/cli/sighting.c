/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of `lookup` and `watch`, byte for byte. */
#include "sighting.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "output.h"
#include "record.h"

enum { LINE_MAX_ = 2048 };

static const char DATABASE[] = "classes = unix\n"
                               "[tcp:request]\n"
                               "label = s:unix:Linux:4 \"x\"\n"
                               "sig = 4:64:0:1460:mss*44,7:mss:df:0\n"
                               "[mtu]\n"
                               "label = Ethernet\n"
                               "sig = 1500\n";

static struct endpoint endpoint(const char *text)
{
    struct endpoint result = {0};

    assert_int_equal(endpoint_parse(str_from(text), &result), 0);
    return result;
}

/* Seen at the beginning of the clock; three hops away, one of them inside this node. */
static struct syn_answer verified(void)
{
    return (struct syn_answer){
        .state = SYN_STATE_VERIFIED,
        .syn = {.isn = 4000000000u,
                .quirks = QUIRK_DF,
                .mss = 1460,
                .window = 44 * 1460,
                .scale = 7,
                .header_length = 44,
                .ip_version = 4,
                .ttl = 61,
                .hook = SYN_HOOK_CGROUP,
                .node_hops = 1,
                .layout_length = 1,
                .layout = {TCP_OPTION_MSS}},
    };
}

static struct databases databases_of(const char *text)
{
    struct databases databases = {.items = calloc(1, sizeof(struct fp_db *)), .count = 1};
    struct diag diag = {0};

    assert_non_null(databases.items);
    if (fp_db_parse(str_from(text), "test", &databases.items[0], &diag) < 0)
        fail_msg("%s", diag.text);
    return databases;
}

/* What sighting_print() writes to standard output. */
static void print(const char *destination, const struct syn_answer *answer,
                  const struct databases *databases, enum output_format format,
                  char ret_line[LINE_MAX_])
{
    const struct endpoint source = endpoint("192.0.2.9:40000");
    struct endpoint other;
    struct output output;

    if (destination)
        other = endpoint(destination);
    output = output_begin();
    sighting_print(&source, destination ? &other : NULL, answer, databases, format);
    output_end(&output, ret_line, LINE_MAX_);
}

/* The age is the time since the machine was started: its digits become a 0. */
static void hide_age(char *line)
{
    char *age = strstr(line, "\"age_ms\":");
    size_t digits;

    assert_non_null(age);
    age += strlen("\"age_ms\":");
    digits = strspn(age, "0123456789");
    assert_true(digits > 0);
    *age = '0';
    memmove(age + 1, age + digits, strlen(age + digits) + 1);
}

static void a_verified_connection_has_all_its_facts(void **state)
{
    struct databases databases = databases_of(DATABASE);
    const struct syn_answer answer = verified();
    char line[LINE_MAX_];

    (void)state;
    print("[2001:db8::1]:443", &answer, &databases, OUTPUT_JSON, line);
    hide_age(line);
    assert_string_equal(
        line,
        "{\"source\":\"192.0.2.9:40000\",\"destination\":\"[2001:db8::1]:443\","
        "\"state\":\"verified\",\"reason\":null,\"p0f\":\"4:61+3:0:1460:mss*44,7:mss:df:0\","
        "\"label\":\"Linux 4 \\\"x\\\"\",\"os\":{\"class\":\"unix\",\"name\":\"Linux\","
        "\"flavor\":\"4 \\\"x\\\"\",\"family\":\"linux\"},\"match\":\"specific\",\"distance\":2,"
        "\"mtu\":1500,\"link\":\"Ethernet\",\"hook\":\"cgroup\",\"age_ms\":0,"
        "\"isn\":4000000000}\n");
    databases_done(&databases);
}

static void without_a_database_nothing_is_named(void **state)
{
    const struct databases none = {0};
    const struct syn_answer answer = verified();
    char line[LINE_MAX_];

    (void)state;
    print("192.0.2.1:443", &answer, &none, OUTPUT_JSON, line);
    assert_non_null(strstr(line, "\"label\":null,\"os\":{\"class\":null,\"name\":null,"
                                 "\"flavor\":null,\"family\":\"unknown\"},\"match\":\"none\","
                                 "\"distance\":2,\"mtu\":1500,\"link\":null,"));
}

static void without_a_syn_all_facts_are_null(void **state)
{
    static const struct {
        const char *destination;
        enum syn_state state;
        enum syn_reason reason;
        const char *begin;
    } ROWS[] = {
        {"192.0.2.1:443", SYN_STATE_MISSING, SYN_REASON_FILTERED,
         "\"192.0.2.1:443\",\"state\":\"missing\",\"reason\":\"filtered\""},
        {NULL, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN,
         "null,\"state\":\"missing\",\"reason\":\"not_seen\""},
        {"192.0.2.1:443", SYN_STATE_AMBIGUOUS, SYN_REASON_NONE,
         "\"192.0.2.1:443\",\"state\":\"ambiguous\",\"reason\":null"},
        {"192.0.2.1:443", SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR,
         "\"192.0.2.1:443\",\"state\":\"unavailable\",\"reason\":\"map_error\""},
    };
    const struct databases none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct syn_answer answer = {.state = ROWS[i].state, .reason = ROWS[i].reason};
        char line[LINE_MAX_], wanted[LINE_MAX_];

        print(ROWS[i].destination, &answer, &none, OUTPUT_JSON, line);
        (void)snprintf(wanted, sizeof(wanted),
                       "{\"source\":\"192.0.2.9:40000\",\"destination\":%s,\"p0f\":null,"
                       "\"label\":null,\"os\":null,\"match\":null,\"distance\":null,"
                       "\"mtu\":null,\"link\":null,\"hook\":null,\"age_ms\":null,"
                       "\"isn\":null}\n",
                       ROWS[i].begin);
        assert_string_equal(line, wanted);
    }
}

static void people_read_words(void **state)
{
    struct databases databases = databases_of(DATABASE);
    const struct syn_answer answer = verified();
    const struct syn_answer missing = {.state = SYN_STATE_MISSING, .reason = SYN_REASON_NO_SYN};
    static const char WORDS[] =
        "192.0.2.9:40000 > 192.0.2.1:443  verified  4:61+3:0:1460:mss*44,7:mss:df:0  Linux 4 "
        "\\\"x\\\" (specific), distance 2, MTU 1500 (Ethernet), by cgroup ";
    char line[LINE_MAX_];

    (void)state;
    print("192.0.2.1:443", &answer, &databases, OUTPUT_TEXT, line);
    assert_memory_equal(line, WORDS, strlen(WORDS));
    print(NULL, &missing, &databases, OUTPUT_TEXT, line);
    assert_string_equal(line, "192.0.2.9:40000 > ?  missing (no_syn)\n");
    databases_done(&databases);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verified_connection_has_all_its_facts),
        cmocka_unit_test(without_a_database_nothing_is_named),
        cmocka_unit_test(without_a_syn_all_facts_are_null),
        cmocka_unit_test(people_read_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
