/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "check_wire.h"
#include "policy.h"
#include "request.h"
#include "test_policy.h"

/* Reads user-agent and cookie; owns x-tcp-p0f, x-os and x-raw. */
static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: agent\n"
                             "    when: {header: {name: user-agent, equals: x}}\n"
                             "    then: deny\n"
                             "  - id: cookie\n"
                             "    when: {header: {name: cookie, equals: x}}\n"
                             "    then: deny\n"
                             "  - id: set\n"
                             "    then: continue\n"
                             "    request_headers: {set: {x-os: a, x-raw: b}}\n"
                             "default: allow\n"
                             "on_unknown: skip\n";
enum { SLOT_AGENT = KNOWN_TRACE_PARENT + 1, SLOT_COOKIE };

struct fixture {
    struct policy *policy;
    struct arena arena;
    struct request request;
    char buffer[1 << 17];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->policy = test_policy_parse(POLICY);
    return f->policy && arena_init(&f->arena, 4 << 20) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    policy_unref(f->policy);
    free(f);
    return 0;
}

static enum request_status decode(struct fixture *f, struct str wire)
{
    const struct request_wire came = check_wire_of(wire);

    arena_reset(&f->arena);
    return request_decode(&came, f->policy, &f->arena, &f->request);
}

static enum request_status decode_check(struct fixture *f, const struct check_wire *check)
{
    return decode(f, check_wire_write(check, f->buffer, sizeof(f->buffer)));
}

static void assert_text(struct str actual, struct str expected)
{
    assert_int_equal(actual.len, expected.len);
    assert_true(str_eq(actual, expected));
}

/* Envoy's own bytes (protoc, data-plane-api 84e84367) */
static void a_request_of_envoy_is_read(void **state)
{
    static const struct str WIRE = STR_INIT("\x0a\x37\x0a\x15\x0a\x13\x0a\x11\x12\x0b"
                                            "203.0.113.7"
                                            "\x18\xa2\x90\x03"
                                            "\x12\x12\x0a\x10\x0a\x0e\x12\x09"
                                            "192.0.2.1"
                                            "\x18\xbb\x03"
                                            "\x22\x0a\x12\x08\x52\x06"
                                            "HTTP/2");
    struct fixture *f = *state;
    const struct subject *subject = &f->request.subject;
    char text[ENDPOINT_TEXT_MAX];

    assert_int_equal(decode(f, WIRE), REQUEST_OK);
    assert_int_equal(subject->peer, PEER_TCP);
    (void)endpoint_format(&subject->source, text);
    assert_string_equal(text, "203.0.113.7:51234");
    (void)endpoint_format(&subject->destination, text);
    assert_string_equal(text, "192.0.2.1:443");
    assert_true(subject->has_http);
    assert_text(subject->protocol, STR("HTTP/2"));
    assert_null(subject->method.ptr);
    assert_null(subject->headers[SLOT_AGENT].ptr);
    assert_int_equal(f->request.variant_count, 0);
}

static void the_builder_of_these_tests_writes_envoys_bytes(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.source = "203.0.113.7",
                                     .source_port = 51234,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .protocol = "HTTP/2"};
    struct str wire = check_wire_write(&check, f->buffer, sizeof(f->buffer));

    assert_int_equal(wire.len, 0x39);
    assert_memory_equal(wire.ptr,
                        "\x0a\x37\x0a\x15\x0a\x13\x0a\x11\x12\x0b"
                        "203.0.113.7",
                        21);
}

static void empty_attributes_have_no_peer_and_no_http(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, STR("\x0a\x00")), REQUEST_OK);
    assert_int_equal(f->request.subject.peer, PEER_NONE);
    assert_int_equal(f->request.subject.source.addr.family, 0);
    assert_false(f->request.subject.has_http);
    assert_null(f->request.subject.headers);
}

static void a_message_without_attributes_is_malformed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(decode(f, (struct str){NULL, 0}), REQUEST_MALFORMED);
    assert_int_equal(decode(f, STR("")), REQUEST_MALFORMED);
    assert_int_equal(decode(f, STR("\x12\x00")),
                     REQUEST_MALFORMED); /* a field that we do not know */
}

static void without_a_request_it_is_the_network_filter(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 1,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443};

    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    assert_int_equal(f->request.subject.peer, PEER_TCP);
    assert_false(f->request.subject.has_http);
}

static void each_kind_of_peer_is_told_apart(void **state)
{
    static const struct {
        struct check_wire check;
        enum peer_kind peer;
        const char *source;
    } ROWS[] = {
        {{.source = "::ffff:192.0.2.7", .source_port = 9}, PEER_TCP, "192.0.2.7:9"},
        {{.source = "fe80::1%eth0", .source_port = 9}, PEER_TCP, "[fe80::1]:9"},
        {{.source = "2001:db8::1", .source_port = 65535}, PEER_TCP, "[2001:db8::1]:65535"},
        {{.source = "192.0.2.7", .source_port = 9, .has_http = true, .protocol = "HTTP/3"},
         PEER_HTTP3,
         "192.0.2.7:9"},
        {{.source_is_pipe = true}, PEER_PIPE, NULL},
        {{.source_is_internal = true}, PEER_INTERNAL, NULL},
        {{.source_is_pipe = true, .has_http = true, .protocol = "HTTP/3"}, PEER_PIPE, NULL},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char text[ENDPOINT_TEXT_MAX];

        assert_int_equal(decode_check(f, &ROWS[i].check), REQUEST_OK);
        assert_int_equal(f->request.subject.peer, ROWS[i].peer);
        if (!ROWS[i].source) {
            assert_int_equal(f->request.subject.source.addr.family, 0);
            continue;
        }
        (void)endpoint_format(&f->request.subject.source, text);
        assert_string_equal(text, ROWS[i].source);
    }
}

static void addresses_that_no_envoy_sends_are_malformed(void **state)
{
    static const struct check_wire ROWS[] = {
        {.source = "example.org", .source_port = 1},
        {.source = "192.0.2.7:80", .source_port = 1},
        {.source = "", .source_port = 1},
        {.source = "192.0.2.7", .source_port = 65536},
        {.source = "192.0.2.7", .source_port = 1, .destination = "nowhere"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_int_equal(decode_check(f, &ROWS[i]), REQUEST_MALFORMED);
}

static void a_path_ends_at_its_query(void **state)
{
    static const struct {
        const char *sent, *path;
    } ROWS[] = {{"/a?b=c?d", "/a"}, {"/a", "/a"}, {"/?", "/"}, {"?x", ""}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct check_wire check = {.has_http = true, .path = ROWS[i].sent};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_text(f->request.subject.path, str_from(ROWS[i].path));
        assert_non_null(f->request.subject.path.ptr);
    }
}

/* Envoy joins repeated headers in the map itself, whose keys are then unique: of others the last
 * counts. */
static void header_values_reach_their_slots_in_both_forms(void **state)
{
    static const struct str HEADERS[][2] = {
        {STR_INIT(":method"), STR_INIT("GET")},
        {STR_INIT("user-agent"), STR_INIT("one")},
        {STR_INIT("User-Agent"), STR_INIT("")},
        {STR_INIT("user-agent"), STR_INIT("th\x00ree")},
        {STR_INIT("user_agent"), STR_INIT("another header")},
        {STR_INIT("other"), STR_INIT("x")},
    };
    struct fixture *f = *state;

    for (int raw = 0; raw <= 1; raw++) {
        const struct check_wire check = {
            .has_http = true, .headers = HEADERS, .header_count = 6, .has_raw_headers = raw};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_text(f->request.subject.headers[SLOT_AGENT],
                    raw ? STR("one,,th\x00ree") : STR("th\x00ree"));
        assert_null(f->request.subject.headers[SLOT_COOKIE].ptr);
    }
}

static void an_empty_header_is_not_an_absent_one(void **state)
{
    static const struct str HEADERS[][2] = {{STR_INIT("cookie"), STR_INIT("")}};
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .headers = HEADERS, .header_count = 1};

    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    assert_non_null(f->request.subject.headers[SLOT_COOKIE].ptr);
    assert_int_equal(f->request.subject.headers[SLOT_COOKIE].len, 0);
}

static void other_spellings_of_owned_headers_are_collected(void **state)
{
    static const struct str HEADERS[][2] = {
        {STR_INIT("x-tcp-p0f"), STR_INIT("forged")}, /* owned: set or removed anyway */
        {STR_INIT("X-Tcp-P0f"), STR_INIT("forged")}, /* the same name to HTTP */
        {STR_INIT("x_tcp_p0f"), STR_INIT("forged")}, {STR_INIT("X_TCP-p0f"), STR_INIT("forged")},
        {STR_INIT("x-raw"), STR_INIT("forged")},     {STR_INIT("x_raw"), STR_INIT("forged")},
        {STR_INIT("x-tcp-p0f2"), STR_INIT("fine")},  {STR_INIT("x-tcp-p0"), STR_INIT("fine")},
    };
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .headers = HEADERS, .header_count = 8};

    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    assert_int_equal(f->request.variant_count, 3);
    assert_text(f->request.variants[0], STR("x_tcp_p0f"));
    assert_text(f->request.variants[1], STR("X_TCP-p0f"));
    assert_text(f->request.variants[2], STR("x_raw"));
}

static void more_spellings_than_we_keep_are_oversize(void **state)
{
    struct str headers[REQUEST_VARIANTS_MAX + 1][2];
    struct fixture *f = *state;
    struct check_wire check = {.has_http = true,
                               .has_raw_headers = true,
                               .headers = (const struct str(*)[2])headers,
                               .header_count = REQUEST_VARIANTS_MAX};

    for (size_t i = 0; i <= REQUEST_VARIANTS_MAX; i++) {
        headers[i][0] = STR("x_tcp_p0f");
        headers[i][1] = STR("forged");
    }
    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    assert_int_equal(f->request.variant_count, REQUEST_VARIANTS_MAX);
    check.header_count++;
    assert_int_equal(decode_check(f, &check), REQUEST_OVERSIZE);
}

static void hostile_names_and_values_are_only_bytes(void **state)
{
    static char long_name[70000];
    struct str headers[][2] = {
        {STR_INIT(""), STR_INIT("no name")},
        {STR_INIT("\x00\xff\n"), STR_INIT("\x00")},
        {{long_name, sizeof(long_name)}, STR_INIT("long")},
        {STR_INIT("user-agent\x00"), STR_INIT("not it")},
        {STR_INIT("cookie"), STR_INIT("\xff\x00\r\n")},
    };
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true,
                                     .method = "GE\nT",
                                     .headers = (const struct str(*)[2])headers,
                                     .header_count = 5};

    memset(long_name, 'x', sizeof(long_name));
    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    assert_null(f->request.subject.headers[SLOT_AGENT].ptr);
    assert_text(f->request.subject.headers[SLOT_COOKIE], STR("\xff\x00\r\n"));
    assert_text(f->request.subject.method, STR("GE\nT"));
}

static void broken_bytes_are_malformed(void **state)
{
    static const struct str ROWS[] = {
        STR_INIT("\x0a"),
        STR_INIT("\x0a\x05"
                 "a"),
        STR_INIT("\x0a\xff\xff\xff\xff\x0f"),
        STR_INIT("\x08\x01"),                                 /* attributes as a number */
        STR_INIT("\x0a\x06\x22\x04\x12\x02\x1a\x05"),         /* header entry beyond its message */
        STR_INIT("\x0a\x08\x22\x06\x12\x04\x1a\x02\x08\x01"), /* key as a number */
        STR_INIT("\x0a\x08\x22\x06\x12\x04\x1a\x02\x0a\x05"), /* key beyond its entry */
        STR_INIT("GET / HTTP/1.1\r\n\r\n"),
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_int_equal(decode(f, ROWS[i]), REQUEST_MALFORMED);
}

static void a_message_beyond_the_limit_is_oversize(void **state)
{
    struct fixture *f = *state;
    size_t size = REQUEST_BYTES_MAX + 1;
    char *bytes = calloc(1, size); /* zeroes are malformed, but nobody looks */

    assert_int_equal(decode(f, (struct str){bytes, size}), REQUEST_OVERSIZE);
    assert_int_equal(decode(f, (struct str){bytes, size - 1}), REQUEST_MALFORMED);
    free(bytes);
}

/* What we do not declare, and what we declare as bytes: nested 200 deep it stays one field. */
static void other_fields_are_stepped_over(void **state)
{
    struct fixture *f = *state;
    struct pbwriter writer;
    size_t attributes, metadata;

    pb_init(&writer, f->buffer, sizeof(f->buffer));
    pb_put_uint(&writer, 1000, 7);
    attributes = pb_open(&writer);
    metadata = pb_open(&writer);
    for (int i = 0; i < 200; i++)
        pb_close(&writer, 1, metadata);
    pb_close(&writer, 11, metadata);
    pb_put_bytes(&writer, 10,
                 STR("\x0a\x01"
                     "k\x12\x01"
                     "v"));
    pb_put_uint(&writer, 3, 1);
    pb_close(&writer, 1, attributes);
    assert_int_equal(decode(f, pb_result(&writer)), REQUEST_OK);
}

static void a_small_arena_is_oversize_and_nothing_else(void **state)
{
    static const struct str HEADERS[][2] = {
        {STR_INIT("user-agent"), STR_INIT("one")},
        {STR_INIT("user-agent"), STR_INIT("two")},
        {STR_INIT("x_tcp_p0f"), STR_INIT("forged")},
    };
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 9,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .path = "/",
                                     .headers = HEADERS,
                                     .header_count = 3};
    struct fixture *f = *state;
    const struct request_wire came =
        check_wire_of(check_wire_write(&check, f->buffer, sizeof(f->buffer)));
    enum request_status status = REQUEST_OVERSIZE;
    size_t cap;

    for (cap = 0; status != REQUEST_OK && cap < 1 << 16; cap++) {
        struct arena arena;

        assert_int_equal(arena_init(&arena, cap), 0);
        status = request_decode(&came, f->policy, &arena, &f->request);
        assert_true(status == REQUEST_OVERSIZE || status == REQUEST_OK);
        arena_done(&arena);
    }
    assert_int_equal(status, REQUEST_OK);
    assert_true(cap > 1000); /* so it failed in many places */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_of_envoy_is_read),
        cmocka_unit_test(the_builder_of_these_tests_writes_envoys_bytes),
        cmocka_unit_test(empty_attributes_have_no_peer_and_no_http),
        cmocka_unit_test(a_message_without_attributes_is_malformed),
        cmocka_unit_test(without_a_request_it_is_the_network_filter),
        cmocka_unit_test(each_kind_of_peer_is_told_apart),
        cmocka_unit_test(addresses_that_no_envoy_sends_are_malformed),
        cmocka_unit_test(a_path_ends_at_its_query),
        cmocka_unit_test(header_values_reach_their_slots_in_both_forms),
        cmocka_unit_test(an_empty_header_is_not_an_absent_one),
        cmocka_unit_test(other_spellings_of_owned_headers_are_collected),
        cmocka_unit_test(more_spellings_than_we_keep_are_oversize),
        cmocka_unit_test(hostile_names_and_values_are_only_bytes),
        cmocka_unit_test(broken_bytes_are_malformed),
        cmocka_unit_test(a_message_beyond_the_limit_is_oversize),
        cmocka_unit_test(other_fields_are_stepped_over),
        cmocka_unit_test(a_small_arena_is_oversize_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
