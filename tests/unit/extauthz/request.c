/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "request_fixture.h"

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
        {{.source = "fe80::1%3", .source_port = 9}, PEER_TCP, "[fe80::1]:9"},
        {{.source = "192.0.2.7", .has_http = true}, PEER_TCP, "192.0.2.7:0"},
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

/* Over QUIC the address is a UDP peer's, and could be that of somebody's TCP connection. */
static void every_spelling_of_http3_is_seen(void **state)
{
    static const struct {
        const char *protocol;
        enum peer_kind peer;
    } ROWS[] = {
        {"HTTP/3", PEER_HTTP3}, {"http/3", PEER_HTTP3}, {"HTTP/3.0", PEER_HTTP3},
        {"HTTP3", PEER_HTTP3},  {"h3", PEER_HTTP3},     {"h3-29", PEER_HTTP3},
        {"quic", PEER_HTTP3},   {"HTTP/2", PEER_TCP},   {"HTTP/1.1", PEER_TCP},
        {"HTTP/1.0", PEER_TCP}, {"HTTP/30", PEER_TCP},  {"h2", PEER_TCP},
        {"HTTP/", PEER_TCP},    {"", PEER_TCP},         {"h2c", PEER_TCP},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct check_wire check = {.source = "192.0.2.7",
                                         .source_port = 9,
                                         .has_http = true,
                                         .protocol = ROWS[i].protocol};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_int_equal(f->request.subject.peer, ROWS[i].peer);
    }
}

/* --- messages in several pieces: bytes behind one another are one message, merged */

/* A SocketAddress of up to five fields; 0 and NULL: left out. */
struct socket_wire {
    unsigned protocol, port;
    const char *address, *named_port, *resolver;
};

static void put_source(struct pbwriter *writer, const struct socket_wire *wire)
{
    size_t attributes = pb_open(writer), peer = attributes, address = attributes, mark = attributes;

    if (wire->resolver)
        pb_put_bytes(writer, 5, str_from(wire->resolver));
    if (wire->named_port)
        pb_put_bytes(writer, 4, str_from(wire->named_port));
    if (wire->port)
        pb_put_uint(writer, 3, wire->port);
    if (wire->address)
        pb_put_bytes(writer, 2, str_from(wire->address));
    if (wire->protocol)
        pb_put_uint(writer, 1, wire->protocol);
    pb_close(writer, 1, mark);
    pb_close(writer, 1, address);
    pb_close(writer, 1, peer);
    pb_close(writer, 1, attributes);
}

static void addresses_in_pieces_are_merged(void **state)
{
    static const struct {
        struct socket_wire first, second;
        enum request_status status;
        enum peer_kind peer;
        const char *source; /* NULL: none */
    } ROWS[] = {
        {{.port = 7}, {.address = "192.0.2.7"}, REQUEST_OK, PEER_TCP, "192.0.2.7:7"},
        {{.port = 7, .address = "192.0.2.8"},
         {.address = "192.0.2.7"},
         REQUEST_OK,
         PEER_TCP,
         "192.0.2.7:7"},
        {{.port = 7, .address = "192.0.2.7"}, {.port = 8}, REQUEST_OK, PEER_TCP, "192.0.2.7:8"},
        {{.port = 65536, .address = "x"},
         {.port = 8, .address = "::1"},
         REQUEST_OK,
         PEER_TCP,
         "[::1]:8"},
        {{.address = "192.0.2.7", .port = 9},
         {.protocol = 1},
         REQUEST_OK,
         PEER_HTTP3,
         "192.0.2.7:9"},
        /* one port or the other, the last */
        {{.address = "192.0.2.7", .port = 9},
         {.named_port = "http"},
         REQUEST_OK,
         PEER_TCP,
         "192.0.2.7:0"},
        {{.address = "192.0.2.7", .named_port = "http"},
         {.port = 9},
         REQUEST_OK,
         PEER_TCP,
         "192.0.2.7:9"},
        /* a name that a resolver of the data plane's knows is no address to us */
        {{.address = "example.org", .port = 9}, {.resolver = "dns"}, REQUEST_OK, PEER_TCP, NULL},
        {{.address = "example.org", .port = 9}, {.port = 9}, REQUEST_MALFORMED, PEER_NONE, NULL},
        {{.address = "192.0.2.7"}, {.port = 65536}, REQUEST_MALFORMED, PEER_NONE, NULL},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct pbwriter writer;
        char text[ENDPOINT_TEXT_MAX];

        pb_init(&writer, f->buffer, sizeof(f->buffer));
        put_source(&writer, &ROWS[i].second);
        put_source(&writer, &ROWS[i].first);
        assert_int_equal(decode(f, pb_result(&writer)), ROWS[i].status);
        if (ROWS[i].status != REQUEST_OK)
            continue;
        assert_int_equal(f->request.subject.peer, ROWS[i].peer);
        assert_int_equal(f->request.subject.source.addr.family != 0, ROWS[i].source != NULL);
        (void)endpoint_format(&f->request.subject.source, text);
        if (ROWS[i].source)
            assert_string_equal(text, ROWS[i].source);
    }
}

static void another_kind_of_address_starts_anew(void **state)
{
    static const struct check_wire TCP = {.source = "192.0.2.7", .source_port = 9},
                                   PIPE = {.source_is_pipe = true};
    struct fixture *f = *state;

    assert_int_equal(decode(f, in_two_pieces(f, &TCP, &PIPE)), REQUEST_OK);
    assert_int_equal(f->request.subject.peer, PEER_PIPE);
    assert_int_equal(f->request.subject.source.addr.family, 0);
    assert_int_equal(decode(f, in_two_pieces(f, &PIPE, &TCP)), REQUEST_OK);
    assert_int_equal(f->request.subject.peer, PEER_TCP);
    assert_int_equal(f->request.subject.source.port, 9);
}

static void requests_in_pieces_are_merged(void **state)
{
    static const struct str FIRST[][2] = {{STR_INIT("cookie"), STR_INIT("1")},
                                          {STR_INIT("user-agent"), STR_INIT("one")}};
    static const struct str SECOND[][2] = {{STR_INIT("user-agent"), STR_INIT("two")}};
    static const struct str MORE[][2] = {{STR_INIT("k"), STR_INIT("v")}};
    static const struct check_wire ONE = {.has_http = true,
                                          .method = "GET",
                                          .path = "/one",
                                          .headers = FIRST,
                                          .header_count = 2,
                                          .extensions = MORE,
                                          .extension_count = 1};
    static const struct check_wire TWO = {.has_http = true,
                                          .path = "/two",
                                          .protocol = "HTTP/2",
                                          .headers = SECOND,
                                          .header_count = 1,
                                          .extensions = MORE,
                                          .extension_count = 1};
    struct fixture *f = *state;
    const struct subject *subject = &f->request.subject;

    assert_int_equal(decode(f, in_two_pieces(f, &ONE, &TWO)), REQUEST_OK);
    assert_text(subject->method, STR("GET"));
    assert_text(subject->path, STR("/two"));
    assert_text(subject->protocol, STR("HTTP/2"));
    assert_text(subject->headers[SLOT_AGENT], STR("two"));
    assert_text(subject->headers[SLOT_COOKIE], STR("1"));
    assert_int_equal(subject->extension_count, 2);
}

static void a_client_of_grpc_is_read(void **state)
{
    struct fixture *f = *state;
    struct pbwriter writer;
    size_t attributes, request, http, map, header;

    pb_init(&writer, f->buffer, sizeof(f->buffer));
    attributes = request = http = map = header = pb_open(&writer);
    pb_put_bytes(&writer, 3, STR("grpc-go"));
    pb_put_bytes(&writer, 1, STR("user-agent"));
    pb_close(&writer, 1, header);
    pb_close(&writer, 13, map);
    pb_put_bytes(&writer, 10, STR("HTTP/2"));
    pb_put_uint(&writer, 9, UINT64_MAX); /* -1 */
    pb_put_bytes(&writer, 4, STR("/package.Service/Method"));
    pb_put_bytes(&writer, 2, STR("POST"));
    pb_close(&writer, 2, http);
    pb_close(&writer, 4, request);
    pb_close(&writer, 1, attributes);
    assert_int_equal(decode(f, pb_result(&writer)), REQUEST_OK);
    assert_text(f->request.subject.path, STR("/package.Service/Method"));
    assert_text(f->request.subject.headers[SLOT_AGENT], STR("grpc-go"));
    assert_int_equal(f->request.subject.peer, PEER_NONE);
}

/* --- what stands beside the request */

static void what_envoy_says_of_peers_route_and_tls_is_read(void **state)
{
    static const struct str LABEL = STR_INIT("\x0a\x03"
                                             "app\x12\x01x");
    struct fixture *f = *state;
    const struct subject *subject = &f->request.subject;
    struct pbwriter writer;
    size_t attributes, mark;

    pb_init(&writer, f->buffer, sizeof(f->buffer));
    attributes = pb_open(&writer);
    pb_put_bytes(&writer, 13, STR("route"));
    mark = pb_open(&writer);
    pb_put_bytes(&writer, 1, STR("example.org"));
    pb_close(&writer, 12, mark);
    pb_put_bytes(&writer, 11, STR("two"));
    pb_put_bytes(&writer, 11, STR("one"));
    mark = pb_open(&writer);
    pb_put_bytes(&writer, 4, STR("spiffe://server"));
    pb_put_bytes(&writer, 3, LABEL);
    pb_put_bytes(&writer, 2, STR("example.org"));
    pb_close(&writer, 2, mark);
    mark = pb_open(&writer);
    pb_put_bytes(&writer, 5, STR("-----BEGIN%20CERTIFICATE-----"));
    pb_put_bytes(&writer, 4, STR("spiffe://client"));
    pb_put_bytes(&writer, 2, STR("edge"));
    pb_close(&writer, 1, mark);
    pb_close(&writer, 1, attributes);
    assert_int_equal(decode(f, pb_result(&writer)), REQUEST_OK);
    assert_text(subject->source_principal, STR("spiffe://client"));
    assert_text(subject->source_service, STR("edge"));
    assert_text(subject->destination_principal, STR("spiffe://server"));
    assert_text(subject->destination_service, STR("example.org"));
    assert_text(subject->sni, STR("example.org"));
    assert_text(subject->metadata, STR("onetwo")); /* pieces behind one another are one message */
    assert_text(subject->route_metadata, STR("route"));
    assert_true(str_contains(subject->destination_peer, LABEL));
}

static void any_number_of_extensions_is_kept_in_order(void **state)
{
    struct str extensions[100][2];
    char keys[100][8];
    struct fixture *f = *state;

    for (size_t i = 0; i < 100; i++)
        (void)snprintf(keys[i], sizeof(keys[i]), "key%zu", i);
    for (size_t i = 0; i < 100; i++) {
        extensions[i][0] = str_from(keys[i]);
        extensions[i][1] = str_from(keys[99 - i]);
    }
    for (size_t count = 0; count <= 100; count++) {
        const struct check_wire check = {.extensions = (const struct str(*)[2])extensions,
                                         .extension_count = count};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_int_equal(f->request.subject.extension_count, count);
        for (size_t i = 0; i < count; i++) {
            assert_text(f->request.subject.extensions[i].key, extensions[i][0]);
            assert_text(f->request.subject.extensions[i].value, extensions[i][1]);
        }
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
        const char *sent, *path, *query; /* NULL: absent */
    } ROWS[] = {{"/a?b=c?d", "/a", "b=c?d"}, {"/a", "/a", NULL}, {"/?", "/", ""}, {"?x", "", "x"}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct check_wire check = {.has_http = true, .path = ROWS[i].sent};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_text(f->request.subject.path, str_from(ROWS[i].path));
        assert_non_null(f->request.subject.path.ptr);
        assert_int_equal(f->request.subject.query.ptr != NULL, ROWS[i].query != NULL);
        assert_text(f->request.subject.query, str_from(ROWS[i].query));
    }
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

/* A body is stepped over, whatever its size, and the limit is the caller's. */
static void a_body_costs_nothing(void **state)
{
    enum { BODY = 16 << 20 };
    struct fixture *f = *state;
    char *bytes = malloc(BODY + 4096), *body = calloc(1, BODY);
    struct pbwriter writer;
    size_t attributes, request, http;
    struct request_wire came;

    pb_init(&writer, bytes, BODY + 4096);
    attributes = request = http = pb_open(&writer);
    pb_put_bytes(&writer, 12, (struct str){body, BODY / 2});
    pb_put_bytes(&writer, 11, (struct str){body, BODY / 2});
    pb_put_bytes(&writer, 4, STR("/upload"));
    pb_close(&writer, 2, http);
    pb_close(&writer, 4, request);
    pb_close(&writer, 1, attributes);
    came = check_wire_of(pb_result(&writer));
    arena_reset(&f->arena);
    assert_int_equal(request_decode(&came, f->policy, &f->arena, &f->request), REQUEST_OVERSIZE);
    came.limits.bytes_max = came.message.len;
    assert_int_equal(request_decode(&came, f->policy, &f->arena, &f->request), REQUEST_OK);
    assert_text(f->request.subject.path, STR("/upload"));
    assert_true(f->arena.used < 1024);
    free(bytes);
    free(body);
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
    static const struct str EXTENSIONS[][2] = {{STR_INIT("peer_header"), STR_INIT("x-peer")}};
    const struct check_wire check = {.extensions = EXTENSIONS,
                                     .extension_count = 1,
                                     .has_raw_headers = true,
                                     .source = "192.0.2.7",
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
        cmocka_unit_test(every_spelling_of_http3_is_seen),
        cmocka_unit_test(addresses_in_pieces_are_merged),
        cmocka_unit_test(another_kind_of_address_starts_anew),
        cmocka_unit_test(requests_in_pieces_are_merged),
        cmocka_unit_test(a_client_of_grpc_is_read),
        cmocka_unit_test(what_envoy_says_of_peers_route_and_tls_is_read),
        cmocka_unit_test(any_number_of_extensions_is_kept_in_order),
        cmocka_unit_test(addresses_that_no_envoy_sends_are_malformed),
        cmocka_unit_test(a_path_ends_at_its_query),
        cmocka_unit_test(broken_bytes_are_malformed),
        cmocka_unit_test(a_message_beyond_the_limit_is_oversize),
        cmocka_unit_test(a_body_costs_nothing),
        cmocka_unit_test(other_fields_are_stepped_over),
        cmocka_unit_test(a_small_arena_is_oversize_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
