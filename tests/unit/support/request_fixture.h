/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a policy, and requests that are decoded by it.  After cmocka.h. */
#ifndef REQUEST_FIXTURE_H
#define REQUEST_FIXTURE_H

#include <stdlib.h>

#include "check_wire.h"
#include "policy.h"
#include "request.h"
#include "test_policy.h"

/* Reads user-agent and cookie; owns x-tcp-p0f, x-os and x-raw. */
static const char REQUEST_POLICY[] = "version: 1\n"
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

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->policy = test_policy_parse(REQUEST_POLICY);
    return f->policy && arena_init(&f->arena, 4 << 20) == 0 ? 0 : -1;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    policy_unref(f->policy);
    free(f);
    return 0;
}

static inline enum request_status decode(struct fixture *f, struct str wire)
{
    const struct request_wire came = check_wire_of(wire);

    arena_reset(&f->arena);
    return request_decode(&came, f->policy, &f->arena, &f->request);
}

static inline enum request_status decode_check(struct fixture *f, const struct check_wire *check)
{
    return decode(f, check_wire_write(check, f->buffer, sizeof(f->buffer)));
}

static inline void assert_text(struct str actual, struct str expected)
{
    assert_int_equal(actual.len, expected.len);
    assert_true(str_eq(actual, expected));
}

/* One message in two pieces: protobuf merges what stands behind one another. */
static inline struct str in_two_pieces(struct fixture *f, const struct check_wire *first,
                                       const struct check_wire *second)
{
    struct str one = check_wire_write(first, f->buffer, sizeof(f->buffer) / 2);
    struct str two = check_wire_write(second, f->buffer + sizeof(f->buffer) / 2, 4096);

    memmove(f->buffer, one.ptr, one.len);
    memmove(f->buffer + one.len, two.ptr, two.len);
    return (struct str){f->buffer, one.len + two.len};
}

#endif
