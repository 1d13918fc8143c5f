/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_tuple.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "check_wire.h"
#include "policy.h"
#include "test_policy.h"

/* Owns x-tcp-p0f and x-owned. */
static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: set\n"
                             "    then: continue\n"
                             "    request_headers: {set: {x-owned: a}}\n"
                             "default: allow\n";

enum { HEADERS_MAX = 6, EXTENSIONS_MAX = 3 };

typedef struct str pair[2];

#define P(key, value)                                                                              \
    {                                                                                              \
        STR_INIT(key), STR_INIT(value)                                                             \
    }

static const struct {
    const char *what;
    pair extensions[EXTENSIONS_MAX];
    const char *stream_peer, *stream_local; /* of the initial metadata */
    pair headers[HEADERS_MAX];
    enum peer_header found;
    const char *source, *destination; /* of the tuple; NULL: none */
    const char *removed;              /* names, each followed by a blank */
} ROWS[] = {
    {"nobody names a header",
     {{{0}}},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1")},
     PEER_HEADER_UNNAMED,
     NULL,
     NULL,
     ""},
    {"the route names it",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     "x-peer "},
    {"the stream names it",
     {{{0}}},
     "x-peer",
     NULL,
     {P("x-peer", "[2001:db8::7]:65535")},
     PEER_HEADER_READ,
     "[2001:db8::7]:65535",
     "10.0.0.1:443",
     "x-peer "},
    {"both do: the route counts",
     {P("peer_header", "x-route")},
     "x-stream",
     NULL,
     {P("x-route", "192.0.2.7:1"), P("x-stream", "192.0.2.8:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     "x-route "},
    {"the route names none",
     {P("peer_header", "")},
     "x-stream",
     NULL,
     {P("x-stream", "192.0.2.8:1")},
     PEER_HEADER_UNNAMED,
     NULL,
     NULL,
     ""},
    {"of two extensions the last",
     {P("peer_header", "x-a"), P("peer_header", "x-b")},
     NULL,
     NULL,
     {P("x-a", "192.0.2.7:1"), P("x-b", "192.0.2.8:1")},
     PEER_HEADER_READ,
     "192.0.2.8:1",
     "10.0.0.1:443",
     "x-b "},
    {"letter case is none",
     {P("peer_header", "X-Peer")},
     NULL,
     NULL,
     {P("x-pEER", "192.0.2.7:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     "X-Peer "},
    {"with our own end",
     {P("peer_header", "x-peer"), P("local_header", "x-local")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1"), P("x-local", "10.9.9.9:8443")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.9.9.9:8443",
     "x-peer x-local "},
    {"one of the route, one of the stream",
     {P("peer_header", "x-peer")},
     NULL,
     "x-local",
     {P("x-peer", "192.0.2.7:1"), P("x-local", "[::1]:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "[::1]:1",
     "x-peer x-local "},
    {"a scope of IPv6",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "[fe80::1%eth0]:1")},
     PEER_HEADER_READ,
     "[fe80::1]:1",
     "10.0.0.1:443",
     "x-peer "},
    {"IPv4 in IPv6",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "[::ffff:192.0.2.7]:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     "x-peer "},

    {"it is not there, and removed all the same",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("accept", "*")},
     PEER_HEADER_ABSENT,
     NULL,
     NULL,
     "x-peer "},
    {"our own end is not there",
     {P("peer_header", "x-peer"), P("local_header", "x-local")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1")},
     PEER_HEADER_ABSENT,
     NULL,
     NULL,
     "x-peer x-local "},
    {"only our own end is named",
     {P("local_header", "x-local")},
     NULL,
     NULL,
     {P("x-local", "10.9.9.9:1")},
     PEER_HEADER_UNNAMED,
     NULL,
     NULL,
     "x-local "},
    {"two values",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1"), P("x-peer", "192.0.2.8:1")},
     PEER_HEADER_REPEATED,
     NULL,
     NULL,
     "x-peer "},
    {"two values in two spellings",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.7:1"), P("X-PEER", "192.0.2.7:1")},
     PEER_HEADER_REPEATED,
     NULL,
     NULL,
     "x-peer "},
    {"two values that Envoy has joined",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x-peer", "192.0.2.8:1,192.0.2.7:1")},
     PEER_HEADER_REPEATED,
     NULL,
     NULL,
     "x-peer "},
    {"an underscore makes another header, which is removed",
     {P("peer_header", "x-peer")},
     NULL,
     NULL,
     {P("x_peer", "192.0.2.8:1"), P("x-peer", "192.0.2.7:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     "x-peer x_peer "},
    {"an owned one is set or removed by the reply",
     {P("peer_header", "X-Owned")},
     NULL,
     NULL,
     {P("x-owned", "192.0.2.7:1")},
     PEER_HEADER_READ,
     "192.0.2.7:1",
     "10.0.0.1:443",
     ""},
    {"no header's name",
     {P("peer_header", "x peer")},
     NULL,
     NULL,
     {P("x peer", "nonsense")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     ""},

    {"no port",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "192.0.2.7")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"port 0",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "192.0.2.7:0")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"no brackets",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "2001:db8::1:80")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"a blank",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "192.0.2.7:1 ")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"nothing",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"a dash, as Envoy says unknown",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "-")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"a pipe",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "/run/a.sock")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
    {"a NUL",
     {P("peer_header", "x")},
     NULL,
     NULL,
     {P("x", "192.0.2.7:1\0")},
     PEER_HEADER_MALFORMED,
     NULL,
     NULL,
     "x "},
};

struct fixture {
    struct policy *policy;
    struct arena arena;
    struct request request;
    char buffer[1 << 14];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->policy = test_policy_parse(POLICY);
    return f->policy && arena_init(&f->arena, 1 << 16) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    policy_unref(f->policy);
    free(f);
    return 0;
}

static size_t count_pairs(const pair *pairs, size_t room)
{
    size_t count = 0;

    while (count < room && pairs[count][0].ptr)
        count++;
    return count;
}

static void decode_row(struct fixture *f, size_t i, bool raw, bool has_http)
{
    const struct check_wire check = {
        .source = "198.51.100.1",
        .source_port = 7,
        .destination = "10.0.0.1",
        .destination_port = 443,
        .has_http = has_http,
        .headers = ROWS[i].headers,
        .header_count = count_pairs(ROWS[i].headers, HEADERS_MAX),
        .has_raw_headers = raw,
        .extensions = ROWS[i].extensions,
        .extension_count = count_pairs(ROWS[i].extensions, EXTENSIONS_MAX),
    };
    struct request_wire came =
        check_wire_of(check_wire_write(&check, f->buffer, sizeof(f->buffer)));

    came.peer_header = str_from(ROWS[i].stream_peer);
    came.local_header = str_from(ROWS[i].stream_local);
    arena_reset(&f->arena);
    assert_int_equal(request_decode(&came, f->policy, &f->arena, &f->request), REQUEST_OK);
}

static void assert_endpoint(const struct endpoint *endpoint, const char *wanted)
{
    char text[ENDPOINT_TEXT_MAX];

    (void)endpoint_format(endpoint, text);
    assert_string_equal(text, wanted);
}

static void the_header_that_is_named_counts_with_exactly_one_value(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        for (int raw = 0; raw <= 1; raw++) {
            char removed[256] = "";

            decode_row(f, i, raw, true);
            for (size_t k = 0; k < f->request.variant_count; k++)
                (void)snprintf(removed + strlen(removed), sizeof(removed) - strlen(removed),
                               "%" PRIstr " ", STR_ARG(f->request.variants[k]));
            if (f->request.subject.peer_header != ROWS[i].found ||
                strcmp(removed, ROWS[i].removed) != 0)
                fail_msg("%s: %s, removes %s", ROWS[i].what,
                         peer_header_name(f->request.subject.peer_header), removed);
            assert_endpoint(&f->request.subject.source, "198.51.100.1:7"); /* as Envoy says */
            if (!ROWS[i].source)
                continue;
            assert_endpoint(&f->request.subject.direct.source, ROWS[i].source);
            assert_endpoint(&f->request.subject.direct.destination, ROWS[i].destination);
        }
}

/* A Check of the network filter has no headers. */
static void without_a_request_there_is_no_header(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        decode_row(f, i, false, false);
        assert_int_equal(f->request.subject.peer_header, ROWS[i].found == PEER_HEADER_UNNAMED
                                                             ? PEER_HEADER_UNNAMED
                                                             : PEER_HEADER_ABSENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_that_is_named_counts_with_exactly_one_value),
        cmocka_unit_test(without_a_request_there_is_no_header),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
