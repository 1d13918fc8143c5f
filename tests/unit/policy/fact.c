/* SPDX-License-Identifier: Apache-2.0 */
#include "fact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "fact_key.h"
#include "header_table.h"
#include "matcher.h"
#include "signature.h"

static const struct syn SYN = {.node_hops = 1}; /* seen behind one router of this node */
static const struct signature SIGNATURE = {.syn = &SYN, .distance = 12};
static const struct fp_label LABEL = {"unix", "Linux", "3.11 and newer", false};
static const struct match MATCH = {
    .kind = MATCH_FUZZY, .label = &LABEL, .distance = 12, .mtu = 1500, .link = "DSL"};
static const struct match NO_MATCH = {0};
static const struct str HEADERS[] = {STR_INIT("zero"), STR_INIT(""), {NULL, 0}};
static const struct extension EXTENSIONS[] = {
    {STR_INIT("name"), STR_INIT("repeated, so this one does not count")},
    {STR_INIT("name"), STR_INIT("value")},
    {STR_INIT("empty"), STR_INIT("")},
};
/* {filter_metadata: {"name": {"key": "joe"}}}, and {labels: {"name": "app"}} */
static const struct str METADATA =
    STR_INIT("\x0a\x16\x0a\x04name\x12\x0e\x0a\x0c\x0a\x03key\x12\x05\x1a\x03joe");
static const struct str PEER = STR_INIT("\x1a\x0b\x0a\x04name\x12\x03"
                                        "app");

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
        .source_principal = STR("spiffe://client"),
        .source_service = STR("client"),
        .destination_principal = STR("spiffe://server"),
        .destination_service = STR("server"),
        .destination_peer = PEER,
        .sni = STR("example.org"),
        .ja3 = STR("e7d705a3286e19ea42f587b344ee6865"),
        .ja4 = STR("t13d1516h2_8daaf6152771_b186095e22b6"),
        .extensions = EXTENSIONS,
        .extension_count = 3,
        .metadata = METADATA,
        .route_metadata = METADATA,
        .syn_state = SYN_STATE_CAPTURED,
        .syn_reason = SYN_REASON_PCAP,
        .signature = &SIGNATURE,
        .p0f = STR("4:64+0:0:1460:mss*44,7:mss:df:0"),
        .match = &MATCH,
        .label = STR("Linux 3.11 and newer"),
        .has_http = true,
        .method = STR("GET"),
        .path = STR("/index"),
        .query = STR("a=b"),
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
    {"source.principal", FACT_ABSENT, "spiffe://client"},
    {"source.service", FACT_ABSENT, "client"},
    {"destination.principal", FACT_ABSENT, "spiffe://server"},
    {"destination.service", FACT_ABSENT, "server"},
    {"destination.label", FACT_ABSENT, "app"},
    {"tls.sni", FACT_ABSENT, "example.org"},
    {"tls.ja3", FACT_UNOBSERVABLE, "e7d705a3286e19ea42f587b344ee6865"},
    {"tls.ja4", FACT_UNOBSERVABLE, "t13d1516h2_8daaf6152771_b186095e22b6"},
    {"http.method", FACT_ABSENT, "GET"},
    {"http.path", FACT_ABSENT, "/index"},
    {"http.query", FACT_ABSENT, "a=b"},
    {"http.host", FACT_ABSENT, "Example.org"},
    {"http.scheme", FACT_ABSENT, "https"},
    {"http.protocol", FACT_ABSENT, "HTTP/2"},
    {"header", FACT_ABSENT, "zero"},
    {"extension", FACT_ABSENT, "value"},
    {"metadata", FACT_UNOBSERVABLE, "joe"},
    {"route_metadata", FACT_UNOBSERVABLE, "joe"},
};

enum { ROW_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

/* The first header, and for others the names above. */
static struct fact_key *key_of(const struct fact *fact)
{
    static const struct str NAMES[] = {STR_INIT("name"), STR_INIT("key")};
    static const struct str HEADER = STR_INIT("content-type");
    CLEANUP(header_table_freep) struct header_table *headers = NULL;
    struct fact_key *key = NULL;
    size_t wrong;

    assert_int_equal(header_table_new(&headers), 0);
    assert_int_equal(header_table_set_known(headers, KNOWN_JA3, STR("x-ja3")), 0);
    assert_int_equal(header_table_set_known(headers, KNOWN_JA4, STR("x-ja4")), 0);
    assert_int_equal(fact_key_new(fact, fact->key == FACT_KEY_HEADER ? &HEADER : NAMES,
                                  fact->key == FACT_KEY_PATH   ? 2
                                  : fact->key == FACT_KEY_NONE ? 0
                                                               : 1,
                                  headers, &key, &wrong, NULL),
                     0);
    assert_int_equal(key != NULL, fact->key != FACT_KEY_NONE);
    return key;
}

static void each_fact_of_an_empty_subject_is_absent_or_unobservable(void **state)
{
    static const struct subject nothing = {0};

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct fact *fact = fact_find(str_from(ROWS[i].name));
        CLEANUP(fact_key_freep) struct fact_key *key = NULL;
        struct fact_value value;

        assert_non_null(fact);
        key = key_of(fact);
        assert_int_equal(fact_read(fact, &nothing, key, &value), ROWS[i].of_nothing);
        assert_int_equal(fact->may_be_unobservable, ROWS[i].of_nothing == FACT_UNOBSERVABLE);
    }
}

static void each_fact_of_a_full_subject_is_present_and_shown(void **state)
{
    struct subject subject = full_subject();

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct fact *fact = fact_find(str_from(ROWS[i].name));
        CLEANUP(fact_key_freep) struct fact_key *key = key_of(fact);
        char buffer[FACT_TEXT_MAX];
        struct fact_value value;
        struct str shown;

        assert_int_equal(fact_read(fact, &subject, key, &value), FACT_PRESENT);
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
    assert_int_equal(fact_names(true, names), ROW_COUNT - 1);
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
    CLEANUP(fact_key_freep) struct fact_key *key = key_of(header);
    struct fact_value value;

    (void)state;
    key->slot = 1;
    assert_int_equal(fact_read(header, &subject, key, &value), FACT_PRESENT);
    assert_int_equal(value.text.len, 0); /* sent with an empty value is not absent */
    key->slot = 2;
    assert_int_equal(fact_read(header, &subject, key, &value), FACT_ABSENT);
}

/* Envoy sets it always, so what is not one value of Envoy's is not observed. */
static void a_tls_hash_is_one_value_that_envoy_has_set(void **state)
{
    static const struct {
        struct str value;
        enum fact_case found;
    } VALUES[] = {
        {{NULL, 0}, FACT_UNOBSERVABLE},
        {STR_INIT("-"), FACT_ABSENT}, /* no ClientHello was seen */
        {STR_INIT(""), FACT_ABSENT},
        {STR_INIT("abc"), FACT_PRESENT},
        {STR_INIT("abc,abc"), FACT_UNOBSERVABLE},
    };
    const struct fact *ja3 = fact_find(STR("tls.ja3"));

    (void)state;
    for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
        const struct subject subject = {.ja3 = VALUES[i].value};
        struct fact_value value;

        assert_int_equal(fact_read(ja3, &subject, NULL, &value), VALUES[i].found);
    }
}

static void an_extension_may_be_empty(void **state)
{
    struct subject subject = full_subject();

    (void)state;
    assert_non_null(subject_extension(&subject, STR("empty")).ptr);
    assert_int_equal(subject_extension(&subject, STR("empty")).len, 0);
    assert_null(subject_extension(&subject, STR("Name")).ptr);
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

        assert_int_equal(fact_read(fact, &subject, NULL, &value),
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
    (void)fact_read(distance, &(struct subject){.signature = &SIGNATURE, .match = &NEAR}, NULL,
                    &value);
    assert_int_equal(value.number, 2);
    (void)fact_read(distance, &(struct subject){.signature = &SIGNATURE, .match = &RANDOM}, NULL,
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
        cmocka_unit_test(a_tls_hash_is_one_value_that_envoy_has_set),
        cmocka_unit_test(an_extension_may_be_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
