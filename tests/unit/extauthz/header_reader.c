/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "request_fixture.h"

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

/* As many as there may be: joined where they are, each is copied once. */
static void a_header_repeated_again_and_again_takes_its_length(void **state)
{
    enum { TIMES = REQUEST_HEADERS_MAX, VALUE = 20 };
    static const struct str AGENT = STR_INIT("user-agent"), TEXT = STR_INIT("aaaaaaaaaaaaaaaaaaaa");
    static struct str headers[TIMES][2];
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true,
                                     .has_raw_headers = true,
                                     .headers = (const struct str(*)[2])headers,
                                     .header_count = TIMES};
    struct str joined;

    for (size_t i = 0; i < TIMES; i++)
        memcpy(headers[i], (const struct str[]){AGENT, TEXT}, sizeof(headers[i]));
    assert_int_equal(decode_check(f, &check), REQUEST_OK);
    joined = f->request.subject.headers[SLOT_AGENT];
    assert_int_equal(joined.len, TIMES * (VALUE + 1) - 1);
    for (size_t i = 0; i < joined.len; i++)
        assert_int_equal(joined.ptr[i], (i + 1) % (VALUE + 1) ? 'a' : ',');
    assert_true(f->arena.used < 2 * joined.len);
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

/* A client of gRPC's proposal A92 sends header_map only, and a size of -1; whoever sends both forms
 * means the raw one. */
static void raw_headers_count_where_both_forms_are_sent(void **state)
{
    static const struct str RAW[][2] = {{STR_INIT("cookie"), STR_INIT("a")},
                                        {STR_INIT("cookie"), STR_INIT("b")}};
    static const struct str MAP[][2] = {{STR_INIT("cookie"), STR_INIT("c")},
                                        {STR_INIT("user-agent"), STR_INIT("d")}};
    static const struct check_wire AS_RAW = {
        .has_http = true, .has_raw_headers = true, .headers = RAW, .header_count = 2};
    static const struct check_wire AS_MAP = {.has_http = true, .headers = MAP, .header_count = 2};
    struct fixture *f = *state;

    for (int map_first = 0; map_first <= 1; map_first++) {
        assert_int_equal(decode(f, map_first ? in_two_pieces(f, &AS_MAP, &AS_RAW)
                                             : in_two_pieces(f, &AS_RAW, &AS_MAP)),
                         REQUEST_OK);
        assert_text(f->request.subject.headers[SLOT_COOKIE], STR("a,b"));
        assert_text(f->request.subject.headers[SLOT_AGENT], STR("d"));
    }
}

static void headers_of_the_product_are_read_whatever_the_policy_reads(void **state)
{
    static const struct str HEADERS[][2] = {
        {STR_INIT("content-type"), STR_INIT("application/grpc")},
        {STR_INIT("x-request-id"), STR_INIT("id")},
        {STR_INIT("traceparent"), STR_INIT("00-1-2-01")},
        {STR_INIT("x-tls-ja3"), STR_INIT("not named by this policy")},
    };
    struct fixture *f = *state;

    for (int raw = 0; raw <= 1; raw++) {
        const struct check_wire check = {
            .has_http = true, .headers = HEADERS, .header_count = 4, .has_raw_headers = raw};

        assert_int_equal(decode_check(f, &check), REQUEST_OK);
        assert_text(f->request.subject.content_type, STR("application/grpc"));
        assert_text(f->request.subject.request_id, STR("id"));
        assert_text(f->request.subject.trace_parent, STR("00-1-2-01"));
        assert_null(f->request.subject.ja3.ptr);
    }
    assert_int_equal(decode_check(f, &(struct check_wire){.has_http = true}), REQUEST_OK);
    assert_null(f->request.subject.content_type.ptr);
}

static void more_headers_than_the_limit_are_oversize(void **state)
{
    struct str headers[11][2];
    struct fixture *f = *state;
    struct check_wire check = {.has_http = true, .headers = (const struct str(*)[2])headers};

    for (size_t i = 0; i < 11; i++) {
        headers[i][0] = STR("accept");
        headers[i][1] = STR("*");
    }
    for (int raw = 0; raw <= 1; raw++) {
        check.has_raw_headers = raw;
        for (check.header_count = 9; check.header_count <= 11; check.header_count++) {
            struct request_wire came =
                check_wire_of(check_wire_write(&check, f->buffer, sizeof(f->buffer)));

            came.limits.headers_max = 10;
            arena_reset(&f->arena);
            assert_int_equal(request_decode(&came, f->policy, &f->arena, &f->request),
                             check.header_count <= 10 ? REQUEST_OK : REQUEST_OVERSIZE);
        }
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_values_reach_their_slots_in_both_forms),
        cmocka_unit_test(a_header_repeated_again_and_again_takes_its_length),
        cmocka_unit_test(an_empty_header_is_not_an_absent_one),
        cmocka_unit_test(other_spellings_of_owned_headers_are_collected),
        cmocka_unit_test(more_spellings_than_we_keep_are_oversize),
        cmocka_unit_test(raw_headers_count_where_both_forms_are_sent),
        cmocka_unit_test(headers_of_the_product_are_read_whatever_the_policy_reads),
        cmocka_unit_test(more_headers_than_the_limit_are_oversize),
        cmocka_unit_test(hostile_names_and_values_are_only_bytes),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
