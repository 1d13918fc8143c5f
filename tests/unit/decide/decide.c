/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "decide.h"
#include "fake_source.h"
#include "matcher.h"
#include "signature.h"
#include "test_policy.h"

/* UNKNOWN without a fingerprint: then the verdict is a denial of its own kind. */
static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: linux\n"
    "    when: {signature: \"4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0\"}\n"
    "    then: allow\n"
    "default: deny\n"
    "on_unknown: deny\n";

struct fixture {
    struct policy *policy;
    struct arena arena;
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

static struct subject tcp_subject(void)
{
    struct subject subject = {
        .peer = PEER_TCP, .source = {.port = 40000}, .destination = {.port = 443}};

    (void)addr_parse(STR("192.0.2.7"), &subject.source.addr);
    (void)addr_parse(STR("192.0.2.1"), &subject.destination.addr);
    return subject;
}

static enum decide_status run(struct fixture *f, const struct fake_source *source,
                              struct subject *subject, struct decision *ret_decision)
{
    arena_reset(&f->arena);
    return decide(&source->base, f->policy, ON_FAULT_ERROR, subject, &f->arena, ret_decision);
}

static void a_syn_becomes_a_signature_and_a_verdict(void **state)
{
    static const enum syn_state STATES[] = {SYN_STATE_VERIFIED, SYN_STATE_CAPTURED};
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct fake_source source = fake_source_with_syn(STATES[i]);
        struct subject subject = tcp_subject();
        struct decision decision;

        assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
        assert_int_equal(subject.syn_state, STATES[i]);
        assert_true(str_eq(subject.p0f, STR(FAKE_SIGNATURE)));
        assert_non_null(subject.signature);
        assert_int_equal(decision.verdict, VERDICT_ALLOW);
        assert_int_equal(decision.reason, DECISION_RULE);
    }
}

static void the_source_is_asked_for_the_whole_tuple(void **state)
{
    struct fixture *f = *state;
    struct flow asked = {0};
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct subject subject = tcp_subject();
    struct decision decision;

    source.asked = &asked;
    assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
    assert_true(addr_eq(&asked.source.addr, &subject.source.addr));
    assert_true(addr_eq(&asked.destination.addr, &subject.destination.addr));
    assert_int_equal(asked.source.port, 40000);
    assert_int_equal(asked.destination.port, 443);
}

static void without_a_syn_the_fingerprint_is_unobservable(void **state)
{
    static const struct syn_answer ROWS[] = {
        {.state = SYN_STATE_MISSING, .reason = SYN_REASON_NOT_SEEN},
        {.state = SYN_STATE_MISSING, .reason = SYN_REASON_NO_SOURCE},
        {.state = SYN_STATE_AMBIGUOUS},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct fake_source source = fake_source_without_syn(ROWS[i].state, ROWS[i].reason);
        struct subject subject = tcp_subject();
        struct decision decision;

        assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
        assert_int_equal(subject.syn_state, ROWS[i].state);
        assert_int_equal(subject.syn_reason, ROWS[i].reason);
        assert_null(subject.signature);
        assert_null(subject.p0f.ptr);
        assert_int_equal(decision.verdict, VERDICT_DENY);
        assert_int_equal(decision.reason, DECISION_UNKNOWN);
    }
}

/* The source would say yes: it must not be asked. */
static void peers_that_are_not_tcp_are_unsupported(void **state)
{
    static const struct {
        enum peer_kind peer;
        enum syn_reason reason;
    } ROWS[] = {
        {PEER_HTTP3, SYN_REASON_HTTP3},
        {PEER_PIPE, SYN_REASON_PIPE},
        {PEER_INTERNAL, SYN_REASON_INTERNAL},
        {PEER_NONE, SYN_REASON_NO_PEER},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct flow asked = {.source.port = 7};
        struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
        struct subject subject = tcp_subject();
        struct decision decision;

        source.asked = &asked;
        subject.peer = ROWS[i].peer;
        assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
        assert_int_equal(subject.syn_state, SYN_STATE_UNSUPPORTED);
        assert_int_equal(subject.syn_reason, ROWS[i].reason);
        assert_null(subject.p0f.ptr);
        assert_int_equal(asked.source.port, 7);
    }
}

/* --- the peer header */

enum { CLAIMED_PORT = 40000, DIRECT_PORT = 50000 };

/* Knows one answer for each of two source ports; whoever asks for another one fails. */
struct two_tuples {
    struct syn_source base;
    struct syn_answer claimed, direct;
    unsigned *claimed_asked, *direct_asked;
};

static void look_up_one_of_two(const struct syn_source *source, const struct flow *flow,
                               struct syn_answer *ret_answer)
{
    const struct two_tuples *two = (const struct two_tuples *)source;

    assert_true(flow->source.port == CLAIMED_PORT || flow->source.port == DIRECT_PORT);
    if (flow->source.port == CLAIMED_PORT) {
        ++*two->claimed_asked;
        *ret_answer = two->claimed;
    } else {
        assert_int_equal(flow->destination.port, 8443); /* of `direct` too */
        ++*two->direct_asked;
        *ret_answer = two->direct;
    }
}

static const struct {
    enum peer_kind peer;
    enum peer_header header;
    enum syn_state claimed; /* MISSING, VERIFIED, ... of source.address */
    bool is_same;           /* the header says what source.address says */
    enum peer_header result;
    enum syn_state state;
    enum syn_reason reason;
    unsigned claimed_asked, direct_asked;
} PEER_ROWS[] = {
    /* nobody named a header */
    {PEER_TCP, PEER_HEADER_UNNAMED, SYN_STATE_MISSING, false, PEER_HEADER_UNNAMED,
     SYN_STATE_MISSING, SYN_REASON_NOT_SEEN, 1, 0},
    /* source.address is a PROXY header's */
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_MISSING, false, PEER_HEADER_USED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 1, 1},
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_CAPTURED, false, PEER_HEADER_USED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 1, 1},
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_AMBIGUOUS, false, PEER_HEADER_USED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 1, 1},
    {PEER_INTERNAL, PEER_HEADER_READ, SYN_STATE_MISSING, false, PEER_HEADER_USED,
     SYN_STATE_VERIFIED, SYN_REASON_NONE, 0, 1},
    {PEER_NONE, PEER_HEADER_READ, SYN_STATE_MISSING, false, PEER_HEADER_USED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 0, 1},
    /* a header that does not count */
    {PEER_TCP, PEER_HEADER_ABSENT, SYN_STATE_MISSING, false, PEER_HEADER_ABSENT,
     SYN_STATE_UNSUPPORTED, SYN_REASON_PROXY_PROTOCOL, 1, 0},
    {PEER_TCP, PEER_HEADER_REPEATED, SYN_STATE_CAPTURED, false, PEER_HEADER_REPEATED,
     SYN_STATE_UNSUPPORTED, SYN_REASON_PROXY_PROTOCOL, 1, 0},
    {PEER_TCP, PEER_HEADER_MALFORMED, SYN_STATE_AMBIGUOUS, false, PEER_HEADER_MALFORMED,
     SYN_STATE_UNSUPPORTED, SYN_REASON_PROXY_PROTOCOL, 1, 0},
    {PEER_INTERNAL, PEER_HEADER_MALFORMED, SYN_STATE_MISSING, false, PEER_HEADER_MALFORMED,
     SYN_STATE_UNSUPPORTED, SYN_REASON_INTERNAL, 0, 0},
    {PEER_PIPE, PEER_HEADER_ABSENT, SYN_STATE_MISSING, false, PEER_HEADER_ABSENT,
     SYN_STATE_UNSUPPORTED, SYN_REASON_PIPE, 0, 0},
    /* source.address is verified: an attempt to be somebody else */
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_VERIFIED, false, PEER_HEADER_IGNORED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 1, 0},
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_VERIFIED, true, PEER_HEADER_USED, SYN_STATE_VERIFIED,
     SYN_REASON_NONE, 1, 0},
    {PEER_TCP, PEER_HEADER_ABSENT, SYN_STATE_VERIFIED, false, PEER_HEADER_ABSENT,
     SYN_STATE_VERIFIED, SYN_REASON_NONE, 1, 0},
    /* nothing to be said over QUIC, or when the maps cannot be read */
    {PEER_HTTP3, PEER_HEADER_READ, SYN_STATE_MISSING, false, PEER_HEADER_READ,
     SYN_STATE_UNSUPPORTED, SYN_REASON_HTTP3, 0, 0},
    {PEER_TCP, PEER_HEADER_READ, SYN_STATE_UNAVAILABLE, false, PEER_HEADER_READ,
     SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR, 1, 0},
};

static enum syn_reason reason_of(enum syn_state state)
{
    return state == SYN_STATE_MISSING       ? SYN_REASON_NOT_SEEN
           : state == SYN_STATE_UNAVAILABLE ? SYN_REASON_MAP_ERROR
                                            : SYN_REASON_NONE;
}

static void the_peer_header_counts_where_source_address_proves_nothing(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(PEER_ROWS) / sizeof(PEER_ROWS[0]); i++) {
        unsigned claimed_asked = 0, direct_asked = 0;
        const struct two_tuples two = {
            .base = {.lookup = look_up_one_of_two},
            .claimed = {.state = PEER_ROWS[i].claimed, .reason = reason_of(PEER_ROWS[i].claimed)},
            .direct = fake_source_with_syn(SYN_STATE_VERIFIED).answer,
            .claimed_asked = &claimed_asked,
            .direct_asked = &direct_asked,
        };
        struct subject subject = tcp_subject();
        struct decision decision;

        subject.peer = PEER_ROWS[i].peer;
        subject.peer_header = PEER_ROWS[i].header;
        subject.direct =
            (struct flow){.source = subject.source, .destination = subject.destination};
        subject.direct.destination.port = 8443;
        if (!PEER_ROWS[i].is_same)
            subject.direct.source.port = DIRECT_PORT;
        arena_reset(&f->arena);
        (void)decide(&two.base, f->policy, ON_FAULT_ERROR, &subject, &f->arena, &decision);
        assert_int_equal(subject.peer_header, PEER_ROWS[i].result);
        assert_int_equal(subject.syn_state, PEER_ROWS[i].state);
        assert_int_equal(subject.syn_reason, PEER_ROWS[i].reason);
        assert_int_equal(claimed_asked, PEER_ROWS[i].claimed_asked);
        assert_int_equal(direct_asked, PEER_ROWS[i].direct_asked);
    }
}

static void half_a_tuple_finds_nothing(void **state)
{
    struct fixture *f = *state;
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct subject subject = tcp_subject();
    struct decision decision;

    subject.destination = (struct endpoint){0};
    assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
    assert_int_equal(subject.syn_state, SYN_STATE_MISSING);
    assert_null(subject.p0f.ptr);
}

static void our_fault_is_no_decision_unless_the_policy_shall_decide(void **state)
{
    struct fixture *f = *state;
    struct fake_source source =
        fake_source_without_syn(SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    struct subject subject = tcp_subject();
    struct decision decision;

    assert_int_equal(run(f, &source, &subject, &decision), DECIDE_FAULT);
    assert_int_equal(subject.syn_state, SYN_STATE_UNAVAILABLE);
    assert_int_equal(subject.syn_reason, SYN_REASON_MAP_ERROR);
    subject = tcp_subject();
    assert_int_equal(
        decide(&source.base, f->policy, ON_FAULT_POLICY, &subject, &f->arena, &decision),
        DECIDE_OK);
    assert_int_equal(subject.syn_state, SYN_STATE_UNAVAILABLE);
    assert_int_equal(decision.verdict, VERDICT_DENY);
    assert_int_equal(decision.reason, DECISION_UNKNOWN);
}

static void a_full_arena_is_oversize(void **state)
{
    struct fixture *f = *state;
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    enum decide_status status = DECIDE_OVERSIZE;
    size_t cap;

    for (cap = 0; status != DECIDE_OK && cap < 1 << 14; cap++) {
        struct subject subject = tcp_subject();
        struct decision decision;
        struct arena arena;

        assert_int_equal(arena_init(&arena, cap), 0);
        status = decide(&source.base, f->policy, ON_FAULT_ERROR, &subject, &arena, &decision);
        assert_true(status == DECIDE_OVERSIZE || status == DECIDE_OK);
        arena_done(&arena);
    }
    assert_int_equal(status, DECIDE_OK);
    assert_true(cap > SIGNATURE_TEXT_MAX);
}

/* --- databases */

#define DATABASE_POLICY(rules)                                                                     \
    "version: 1\ndatabases: [" TEST_DATA "/policy/systems.fp]\nrules:" rules "default: allow\n"    \
    "on_unknown: skip\n"

static void a_syn_is_named_by_the_policys_databases(void **state)
{
    struct fixture *f = *state;
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct subject subject = tcp_subject();
    struct fixture with = {.arena = f->arena};
    struct decision decision;

    with.policy = test_policy_parse(
        DATABASE_POLICY("\n  - {id: linux, when: {os.family: linux}, then: deny}\n"));
    assert_non_null(with.policy);
    assert_int_equal(run(&with, &source, &subject, &decision), DECIDE_OK);
    assert_true(str_eq(subject.label, STR("Linux 3.11 and newer")));
    assert_int_equal(subject.match->kind, MATCH_SPECIFIC);
    assert_int_equal(subject.match->distance, 3);
    assert_int_equal(subject.match->mtu, 1500);
    assert_string_equal(subject.match->link, "Ethernet or modem");
    assert_int_equal(decision.verdict, VERDICT_DENY);

    source.answer.syn.window = 4000; /* the generic one, which has no flavor */
    assert_int_equal(run(&with, &source, &subject, &decision), DECIDE_OK);
    assert_true(str_eq(subject.label, STR("Linux")));
    assert_int_equal(subject.match->kind, MATCH_GENERIC);
    policy_unref(with.policy);
}

static void without_a_label_and_without_databases_there_is_a_match_all_the_same(void **state)
{
    struct fixture *f = *state;
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct subject subject = tcp_subject();
    struct decision decision;

    assert_int_equal(run(f, &source, &subject, &decision), DECIDE_OK);
    assert_int_equal(subject.match->kind, MATCH_NONE);
    assert_null(subject.match->label);
    assert_null(subject.label.ptr);
    assert_int_equal(subject.match->mtu, 1500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_becomes_a_signature_and_a_verdict),
        cmocka_unit_test(the_source_is_asked_for_the_whole_tuple),
        cmocka_unit_test(without_a_syn_the_fingerprint_is_unobservable),
        cmocka_unit_test(peers_that_are_not_tcp_are_unsupported),
        cmocka_unit_test(the_peer_header_counts_where_source_address_proves_nothing),
        cmocka_unit_test(half_a_tuple_finds_nothing),
        cmocka_unit_test(our_fault_is_no_decision_unless_the_policy_shall_decide),
        cmocka_unit_test(a_full_arena_is_oversize),
        cmocka_unit_test(a_syn_is_named_by_the_policys_databases),
        cmocka_unit_test(without_a_label_and_without_databases_there_is_a_match_all_the_same),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
