/* SPDX-License-Identifier: Apache-2.0 */
#include "decision_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "matcher.h"
#include "record_keys.h"
#include "signature.h"
#include "test_policy.h"

static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: no-entry\n"
                             "    when: {http.path: /deny}\n"
                             "    then: deny\n"
                             "  - id: shadowed\n"
                             "    mode: shadow\n"
                             "    when: {header: {name: user-agent, prefix: x}}\n"
                             "    then: deny\n"
                             "default: allow\n"
                             "on_unknown: skip\n";

struct fixture {
    struct policy *policy;
    struct subject subject;
    struct decision decision;
    struct decision_record record;
    struct record_settings settings;
    struct str headers[8];
    char line[RECORD_LINE_MAX + 1];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->policy = test_policy_parse(POLICY);
    if (!f->policy || header_table_read_count(f->policy->headers) > 8)
        return -1;
    f->subject = (struct subject){
        .syn_state = SYN_STATE_MISSING, .syn_reason = SYN_REASON_NOT_SEEN, .headers = f->headers};
    f->record = (struct decision_record){.outcome = RECORD_DECIDED,
                                         .time_ns = 1795273200123456789,
                                         .latency_ns = 3217,
                                         .decision_id = STR("0123456789abcdef0000000000000001"),
                                         .policy = f->policy,
                                         .subject = &f->subject,
                                         .decision = &f->decision,
                                         .sample = 1};
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    policy_unref(f->policy);
    free(f);
    return 0;
}

static const char *written(struct fixture *f)
{
    const size_t length = decision_record_write(&f->record, &f->settings, f->line);

    assert_true(length > 2 && length <= RECORD_LINE_MAX);
    assert_memory_equal(f->line + length - 2, "}\n", 2);
    assert_null(memchr(f->line, '\n', length - 1));
    f->line[length] = '\0';
    assert_int_equal(strlen(f->line), length);
    return f->line;
}

static void holds(struct fixture *f, const char *member)
{
    if (!strstr(written(f), member))
        fail_msg("no %s in %s", member, f->line);
}

static void all_keys_are_there_in_order_whatever_is_known(void **state)
{
    struct fixture *f = *state;
    const char *at;

    for (unsigned step = 0; step < 3; step++) {
        if (step == 1)
            f->record.decision = NULL, f->record.outcome = RECORD_OVERSIZE;
        if (step == 2)
            f->record.subject = NULL, f->record.policy = NULL, f->record.outcome = RECORD_FAULT;
        at = written(f);
        for (unsigned key = 0; key < RECORD_KEY_COUNT_; key++) {
            at = strstr(at, RECORD_FIELDS[key].written);
            assert_non_null(at);
        }
    }
}

static void a_decision_is_named_with_its_rule(void **state)
{
    struct fixture *f = *state;

    f->decision = (struct decision){.verdict = VERDICT_DENY,
                                    .reason = DECISION_RULE,
                                    .rule = &f->policy->rules[0],
                                    .would_be = VERDICT_ALLOW,
                                    .would_be_rule = &f->policy->rules[1],
                                    .unknown_count = 3};
    holds(f, "{\"time\":\"2026-11-21T15:00:00.123456Z\",");
    holds(f, "\"synauthz.verdict\":\"deny\",\"synauthz.reason\":\"rule\",\"synauthz.policy\":"
             "\"default\"");
    holds(f, "\"synauthz.rule\":\"no-entry\"");
    holds(f, "\"synauthz.would_be.verdict\":\"allow\",\"synauthz.would_be.rule\":\"shadowed\"");
    holds(f, "\"synauthz.unknown_rules\":3,\"synauthz.latency_us\":3.217,\"synauthz.sample\":1,");
    holds(f, "\"synauthz.decision_id\":\"0123456789abcdef0000000000000001\"");
    holds(f, f->policy->revision);
}

static void what_has_no_decision_says_why(void **state)
{
    static const struct {
        enum record_outcome outcome;
        const char *says;
    } ROWS[] = {
        {RECORD_FAULT, "\"synauthz.verdict\":\"error\",\"synauthz.reason\":\"fault\""},
        {RECORD_MALFORMED, "\"synauthz.verdict\":\"error\",\"synauthz.reason\":\"malformed\""},
        {RECORD_OVERSIZE, "\"synauthz.verdict\":\"deny\",\"synauthz.reason\":\"oversize\""},
    };
    struct fixture *f = *state;

    f->record.decision = NULL;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        f->record.outcome = ROWS[i].outcome;
        holds(f, ROWS[i].says);
        holds(f, "\"synauthz.rule\":null,\"synauthz.would_be.verdict\":null");
    }
}

static void a_fingerprint_is_shown_with_its_system(void **state)
{
    const struct fp_label label = {
        .class_name = "unix", .name = "Linux", .flavor = "3.11 and newer"};
    const struct syn syn = {.node_hops = 1}; /* seen behind one router of this node */
    const struct signature signature = {.syn = &syn};
    struct match match = {.kind = MATCH_SPECIFIC, .label = &label, .distance = 4};
    struct fixture *f = *state;

    f->subject.syn_state = SYN_STATE_VERIFIED;
    f->subject.syn_reason = SYN_REASON_NONE;
    f->subject.p0f = STR("4:61+3:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0");
    f->subject.label = STR("Linux 3.11 and newer");
    f->subject.signature = &signature;
    f->subject.match = &match;
    holds(f, "\"synauthz.fingerprint.state\":\"verified\",\"synauthz.fingerprint.reason\":null,"
             "\"synauthz.p0f\":\"4:61+3:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0\","
             "\"synauthz.label\":\"Linux 3.11 and newer\",\"synauthz.os.name\":\"Linux\","
             "\"synauthz.os.flavor\":\"3.11 and newer\",\"synauthz.os.family\":\"linux\","
             "\"synauthz.os.match\":\"specific\",\"synauthz.distance\":3");
    match = (struct match){.kind = MATCH_NONE, .random_ttl = true};
    f->subject.label = (struct str){NULL, 0};
    holds(f, "\"synauthz.os.name\":null,\"synauthz.os.flavor\":null,"
             "\"synauthz.os.family\":\"unknown\",\"synauthz.os.match\":\"none\","
             "\"synauthz.distance\":null");
}

static void without_a_fingerprint_its_reason_is_shown(void **state)
{
    struct fixture *f = *state;

    holds(f, "\"synauthz.fingerprint.state\":\"missing\","
             "\"synauthz.fingerprint.reason\":\"not_seen\",\"synauthz.p0f\":null,"
             "\"synauthz.label\":null,\"synauthz.os.name\":null,\"synauthz.os.flavor\":null,"
             "\"synauthz.os.family\":null,\"synauthz.os.match\":null,\"synauthz.distance\":null");
}

static void the_peer_is_shown_and_who_is_behind_a_proxy(void **state)
{
    struct fixture *f = *state;

    f->subject.peer = PEER_PROXIED;
    assert_int_equal(endpoint_parse(STR("192.0.2.7:40000"), &f->subject.source), 0);
    assert_int_equal(endpoint_parse(STR("[2001:db8::1]:443"), &f->subject.destination), 0);
    assert_int_equal(endpoint_parse(STR("198.51.100.9:5"), &f->subject.direct.source), 0);
    f->subject.peer_header = PEER_HEADER_USED;
    holds(f, "\"synauthz.peer\":\"proxied\",\"client.address\":\"192.0.2.7\",\"client.port\":40000,"
             "\"network.local.address\":\"2001:db8::1\",\"network.local.port\":443,"
             "\"synauthz.peer_header\":\"used\",\"network.peer.address\":\"198.51.100.9\","
             "\"network.peer.port\":5");
    f->subject.peer_header = PEER_HEADER_IGNORED; /* then it is only what somebody claims */
    holds(f, "\"synauthz.peer_header\":\"ignored_verified\",\"network.peer.address\":null,"
             "\"network.peer.port\":null");
}

static void a_host_is_parted_from_its_port(void **state)
{
    static const struct {
        const char *host, *address, *port;
    } ROWS[] = {
        {"shop.test", "shop.test", "null"},
        {"shop.test:8443", "shop.test", "8443"},
        {"[2001:db8::1]:80", "[2001:db8::1]", "80"},
        {"[2001:db8::1]", "[2001:db8::1]", "null"},
        {"2001:db8::1", "2001:db8::1", "null"}, /* not a port: it could be either */
        {"shop.test:", "shop.test:", "null"},
        {"shop.test:080", "shop.test:080", "null"}, /* else it could not be put together again */
        {"shop.test:65536", "shop.test:65536", "null"},
        {":80", "", "80"},
        {"80", "80", "null"},
        {"a|b:1", "a|b", "1"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char member[128];

        f->subject.host = str_from(ROWS[i].host);
        (void)snprintf(member, sizeof(member), "\"server.address\":\"%s\",\"server.port\":%s,",
                       ROWS[i].address, ROWS[i].port);
        holds(f, member);
    }
}

static void a_query_is_hidden_unless_it_is_asked_for(void **state)
{
    static const struct {
        enum query_shown shown;
        const char *query, *written;
    } ROWS[] = {
        {QUERY_HIDDEN, "token=secret", "\"REDACTED\""},
        {QUERY_HIDDEN, "", "\"REDACTED\""},
        {QUERY_NAMES, "token=secret&b=&c&d=x=y",
         "\"token=REDACTED&b=REDACTED&REDACTED&d=REDACTED\""},
        {QUERY_NAMES, "a\"b=1", "\"a\\\"b=REDACTED\""},
        {QUERY_FULL, "token=secret&\n", "\"token=secret&\\n\""},
    };
    struct fixture *f = *state;

    holds(f, "\"url.query\":null");
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char member[256];

        f->subject.query = str_from(ROWS[i].query);
        f->settings.query = ROWS[i].shown;
        (void)snprintf(member, sizeof(member), "\"url.query\":%s,", ROWS[i].written);
        holds(f, member);
        holds(f, "\"synauthz.cut\":false");
    }
}

static void headers_are_shown_when_they_are_asked_for_credentials_never(void **state)
{
    static const struct str NAMES[] = {STR_INIT("user-agent"), STR_INIT("cookie"),
                                       STR_INIT("x-not-read")};
    struct fixture *f = *state;

    f->settings.headers = NAMES;
    f->settings.header_count = 3;
    assert_true(header_table_add_read(f->policy->headers, STR("cookie")) >= 0);
    holds(f, "\"http.request.header.user-agent\":null,\"http.request.header.cookie\":null,"
             "\"http.request.header.x-not-read\":null,\"synauthz.cut\":false}");
    f->headers[header_table_match(f->policy->headers, NAMES[0]).read_slot] = STR("curl/8 \"x\"");
    f->headers[header_table_match(f->policy->headers, NAMES[1]).read_slot] = STR("session=1");
    holds(f, "\"http.request.header.user-agent\":[\"curl/8 \\\"x\\\"\"],"
             "\"http.request.header.cookie\":[\"REDACTED\"],");
}

static void a_trace_parent_is_shown_in_its_parts_or_not_at_all(void **state)
{
    struct fixture *f = *state;

    f->subject.trace_parent = STR("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    holds(f, "\"trace_id\":\"0af7651916cd43dd8448eb211c80319c\",\"span_id\":\"b7ad6b7169203331\","
             "\"trace_flags\":\"01\"");
    f->subject.trace_parent = STR("00-\",\"synauthz.verdict\":\"allow\"");
    holds(f, "\"trace_id\":null,\"span_id\":null,\"trace_flags\":null");
}

/* Each text of a request as long and as hostile as can be: all of them fit, and nothing of them
 * gets out of its quotes. */
static void hostile_texts_stay_between_their_quotes(void **state)
{
    static const struct str EVIL[] = {STR_INIT("\"}\n{\"synauthz.verdict\":\"allow\""),
                                      STR_INIT("\\"), STR_INIT("\xff\x00\x1b[2J"),
                                      STR_INIT("\r\n")};
    enum { LONG = 60000 };
    static const struct str NAMES[RECORD_HEADERS_MAX] = {STR_INIT("user-agent")};
    struct fixture *f = *state;
    char *text = malloc(LONG);

    assert_non_null(text);
    f->settings = (struct record_settings){QUERY_FULL, NAMES, RECORD_HEADERS_MAX};
    for (size_t evil = 0; evil < sizeof(EVIL) / sizeof(EVIL[0]); evil++) {
        const struct str value = {text, LONG};

        for (size_t i = 0; i < LONG; i++)
            text[i] = EVIL[evil].ptr[i % EVIL[evil].len];
        f->subject.method = f->subject.path = f->subject.host = f->subject.scheme =
            f->subject.protocol = f->subject.query = f->subject.sni = f->subject.request_id =
                f->subject.source_principal = f->subject.ja3 = f->subject.ja4 =
                    f->subject.trace_parent = f->subject.label = f->subject.p0f = value;
        for (size_t i = 0; i < 8; i++)
            f->headers[i] = value;
        holds(f, "\"synauthz.cut\":true}\n");
        for (const char *at = f->line; *at && at[1]; at++)
            assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
        f->settings.query = QUERY_NAMES;
        holds(f, "\"synauthz.cut\":true}\n");
    }
    free(text);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_keys_are_there_in_order_whatever_is_known),
        CASE(a_decision_is_named_with_its_rule),
        CASE(what_has_no_decision_says_why),
        CASE(a_fingerprint_is_shown_with_its_system),
        CASE(without_a_fingerprint_its_reason_is_shown),
        CASE(the_peer_is_shown_and_who_is_behind_a_proxy),
        CASE(a_host_is_parted_from_its_port),
        CASE(a_query_is_hidden_unless_it_is_asked_for),
        CASE(headers_are_shown_when_they_are_asked_for_credentials_never),
        CASE(a_trace_parent_is_shown_in_its_parts_or_not_at_all),
        CASE(hostile_texts_stay_between_their_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
