/* SPDX-License-Identifier: Apache-2.0 */
#include "fact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "matcher.h"
#include "signature.h"

static const struct syn SYN = {.node_hops = 1}; /* seen behind one router of this node */
static const struct signature SIGNATURE = {.syn = &SYN, .distance = 12};
static const struct fp_label LABEL = {"unix", "Linux", "3.11 and newer", false};
static const struct match MATCH = {
    .kind = MATCH_FUZZY, .label = &LABEL, .distance = 12, .mtu = 1500, .link = "DSL"};
static const struct match NO_MATCH = {0};
static const struct str HEADERS[] = {STR_INIT("zero"), STR_INIT(""), {NULL, 0}};

static struct endpoint endpoint(const char *text)
{
    struct endpoint result = {0};

    assert_int_equal(endpoint_parse(str_from(text), &result), 0);
    return result;
}

static struct subject full_subject(void)
{
    return (struct subject){
        .peer = PEER_TCP,
        .source = endpoint("192.0.2.7:40000"),
        .destination = endpoint("[2001:db8::1]:443"),
        .syn_state = SYN_STATE_CAPTURED,
        .syn_reason = SYN_REASON_PCAP,
        .signature = &SIGNATURE,
        .p0f = STR("4:64+0:0:1460:mss*44,7:mss:df:0"),
        .match = &MATCH,
        .label = STR("Linux 3.11 and newer"),
        .has_http = true,
        .method = STR("GET"),
        .path = STR("/index"),
        .host = STR("Example.org"),
        .scheme = STR("https"),
        .protocol = STR("HTTP/2"),
        .headers = HEADERS,
    };
}

static const struct {
    const char *name;
    enum fact_case of_nothing; /* a subject that is all zero */
    const char *of_everything; /* what a template shows of full_subject() */
} ROWS[] = {
    {"p0f", FACT_UNOBSERVABLE, "4:64+0:0:1460:mss*44,7:mss:df:0"},
    {"signature", FACT_UNOBSERVABLE, NULL},
    {"tcp.distance", FACT_UNOBSERVABLE, "11"},
    {"tcp.mtu", FACT_UNOBSERVABLE, "1500"},
    {"tcp.link", FACT_UNOBSERVABLE, "DSL"},
    {"label", FACT_UNOBSERVABLE, "Linux 3.11 and newer"},
    {"os.class", FACT_UNOBSERVABLE, "unix"},
    {"os.family", FACT_UNOBSERVABLE, "linux"},
    {"os.name", FACT_UNOBSERVABLE, "Linux"},
    {"os.flavor", FACT_UNOBSERVABLE, "3.11 and newer"},
    {"os.match", FACT_UNOBSERVABLE, "fuzzy"},
    {"fingerprint.state", FACT_PRESENT, "captured"},
    {"fingerprint.reason", FACT_ABSENT, "pcap"},
    {"source.address", FACT_ABSENT, "192.0.2.7"},
    {"source.port", FACT_ABSENT, "40000"},
    {"destination.address", FACT_ABSENT, "2001:db8::1"},
    {"destination.port", FACT_ABSENT, "443"},
    {"http.method", FACT_ABSENT, "GET"},
    {"http.path", FACT_ABSENT, "/index"},
    {"http.host", FACT_ABSENT, "Example.org"},
    {"http.scheme", FACT_ABSENT, "https"},
    {"http.protocol", FACT_ABSENT, "HTTP/2"},
    {"header", FACT_ABSENT, NULL},
};

enum { ROW_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

static void each_fact_of_an_empty_subject_is_absent_or_unobservable(void **state)
{
    static const struct subject nothing = {0};

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct fact *fact = fact_find(str_from(ROWS[i].name));
        struct fact_value value;

        assert_non_null(fact);
        assert_int_equal(fact_read(fact, &nothing, 0, &value), ROWS[i].of_nothing);
        assert_int_equal(fact->may_be_unobservable, ROWS[i].of_nothing == FACT_UNOBSERVABLE);
    }
}

static void each_fact_of_a_full_subject_is_present_and_shown(void **state)
{
    struct subject subject = full_subject();

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct fact *fact = fact_find(str_from(ROWS[i].name));
        char buffer[FACT_TEXT_MAX];
        struct fact_value value;
        struct str shown;

        assert_int_equal(fact_read(fact, &subject, 0, &value), FACT_PRESENT);
        assert_int_equal(fact_is_showable(fact), ROWS[i].of_everything != NULL);
        if (!ROWS[i].of_everything)
            continue;
        shown = fact_show(fact, &value, buffer);
        assert_int_equal(shown.len, strlen(ROWS[i].of_everything));
        assert_memory_equal(shown.ptr, ROWS[i].of_everything, shown.len);
    }
}

static void the_rows_above_are_all_facts(void **state)
{
    const char *names[FACT_NAMES_MAX];

    (void)state;
    assert_int_equal(fact_names(false, names), ROW_COUNT);
    for (size_t i = 0; i < ROW_COUNT; i++)
        assert_string_equal(names[i], ROWS[i].name);
    assert_int_equal(fact_names(true, names), ROW_COUNT - 2);
}

static void unknown_names_and_other_letter_case_are_no_facts(void **state)
{
    static const char *const NAMES[] = {"", "P0f", "http", "http.", "http.path ", "source"};

    (void)state;
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        assert_null(fact_find(str_from(NAMES[i])));
}

static void a_header_is_read_from_its_slot(void **state)
{
    struct subject subject = full_subject();
    const struct fact *header = fact_find(STR("header"));
    struct fact_value value;

    (void)state;
    assert_int_equal(fact_read(header, &subject, 1, &value), FACT_PRESENT);
    assert_int_equal(value.text.len, 0); /* sent with an empty value is not absent */
    assert_int_equal(fact_read(header, &subject, 2, &value), FACT_ABSENT);
}

/* The system of a SYN that no database knows is unknown, which is a value; a system has no name. */
static void a_syn_without_a_label_is_of_an_unknown_family(void **state)
{
    static const struct {
        const char *name, *shown; /* NULL: absent */
    } FACTS[] = {{"os.family", "unknown"}, {"os.match", "none"}, {"label", NULL},
                 {"os.class", NULL},       {"os.name", NULL},    {"os.flavor", NULL},
                 {"tcp.mtu", NULL},        {"tcp.link", NULL}};
    const struct subject subject = {.signature = &SIGNATURE, .match = &NO_MATCH};

    (void)state;
    for (size_t i = 0; i < sizeof(FACTS) / sizeof(FACTS[0]); i++) {
        const struct fact *fact = fact_find(str_from(FACTS[i].name));
        char buffer[FACT_TEXT_MAX];
        struct fact_value value;

        assert_int_equal(fact_read(fact, &subject, 0, &value),
                         FACTS[i].shown ? FACT_PRESENT : FACT_ABSENT);
        if (FACTS[i].shown)
            assert_true(str_eq(fact_show(fact, &value, buffer), str_from(FACTS[i].shown)));
    }
}

static void a_matched_label_knows_the_distance_better(void **state)
{
    static const struct match NEAR = {.distance = 3}, RANDOM = {.distance = 3, .random_ttl = true};
    const struct fact *distance = fact_find(STR("tcp.distance"));
    struct fact_value value;

    (void)state;
    (void)fact_read(distance, &(struct subject){.signature = &SIGNATURE, .match = &NEAR}, 0,
                    &value);
    assert_int_equal(value.number, 2);
    (void)fact_read(distance, &(struct subject){.signature = &SIGNATURE, .match = &RANDOM}, 0,
                    &value);
    assert_int_equal(value.number, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fact_of_an_empty_subject_is_absent_or_unobservable),
        cmocka_unit_test(each_fact_of_a_full_subject_is_present_and_shown),
        cmocka_unit_test(the_rows_above_are_all_facts),
        cmocka_unit_test(unknown_names_and_other_letter_case_are_no_facts),
        cmocka_unit_test(a_header_is_read_from_its_slot),
        cmocka_unit_test(a_syn_without_a_label_is_of_an_unknown_family),
        cmocka_unit_test(a_matched_label_knows_the_distance_better),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
