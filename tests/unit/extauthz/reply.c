/* SPDX-License-Identifier: Apache-2.0 */
/* Replies as Envoy sees them: unpacked by protobuf-c, on the way from a real request and policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "check_wire.h"
#include "reply.h"
#include "test_policy.h"

static const char POLICY[] =
    "version: 1\n"
    "rules:\n"
    "  - id: blocked\n"
    "    when: {http.path: {prefix: /blocked}}\n"
    "    then: deny\n"
    "    respond:\n"
    "      status: 429\n"
    "      body: \"%{rule} %{http.path}\"\n"
    "      headers: {retry-after: \"1\", x-path: \"%{http.path}\", x-gone: \"%{p0f}\"}\n"
    "  - id: plain\n"
    "    when: {http.path: /plain}\n"
    "    then: deny\n"
    "  - id: long\n"
    "    when: {http.path: {prefix: /long}}\n"
    "    then: deny\n"
    "    metadata: {path: \"%{http.path}\"}\n"
    "    respond:\n"
    "      status: 410\n"
    "      body: \"%{http.path} %{http.path}\"\n"
    "      headers: {retry-after: \"9\", x-host: \"%{http.host}\"}\n"
    "  - id: known\n"
    "    when: {fingerprint.state: verified}\n"
    "    then: continue\n"
    "    metadata: {os: Linux, host: \"%{http.host}\"}\n"
    "  - id: unknown\n"
    "    when: {all: [{http.path: /unknown}, {signature: "
    "\"4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0\"}]}\n"
    "    then: allow\n"
    "    on_unknown: deny\n"
    "  - id: enrich\n"
    "    then: continue\n"
    "    request_headers:\n"
    "      set: {x-tcp-p0f: \"%{p0f}\", x-host: \"%{http.host}\", x-os: \"%{p0f|none}\"}\n"
    "      remove: [x-internal]\n"
    "default: allow\n"
    "on_unknown: skip\n";

#define SIGNATURE "4:61+3:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"

struct fixture {
    struct policy *policy;
    struct arena arena;
    struct request request;
    struct decision decision;
    check_response *response;
    char wire[1 << 20];
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

    check_response_freep(&f->response);
    arena_done(&f->arena);
    policy_unref(f->policy);
    free(f);
    return 0;
}

/* Returns the bytes of the reply; {NULL, 0} when the arena was too small anywhere on the way. */
static struct str reply_in(struct fixture *f, const struct check_wire *check, bool has_syn,
                           struct arena *arena)
{
    const struct request_wire came =
        check_wire_of(check_wire_write(check, f->wire, sizeof(f->wire)));

    if (request_decode(&came, f->policy, arena, &f->request) != REQUEST_OK)
        return (struct str){NULL, 0};
    f->request.subject.syn_state = has_syn ? SYN_STATE_VERIFIED : SYN_STATE_MISSING;
    if (has_syn)
        f->request.subject.p0f = STR(SIGNATURE);
    if (policy_evaluate(f->policy, &f->request.subject, arena, &f->decision) < 0)
        return (struct str){NULL, 0};
    return reply_build(f->policy, &f->request, &f->decision, STR("id-of-the-decision"), arena);
}

static void answer(struct fixture *f, const struct check_wire *check, bool has_syn)
{
    struct str bytes;

    check_response_freep(&f->response);
    arena_reset(&f->arena);
    bytes = reply_in(f, check, has_syn, &f->arena);
    assert_non_null(bytes.ptr);
    assert_int_equal(bytes.ptr[0],
                     0x0a); /* the status comes first, so a truncated reply is no allow */
    f->response = check_response_read(bytes);
    assert_non_null(f->response);
    assert_non_null(f->response->status);
}

static const char *set_value(const struct fixture *f, const char *name)
{
    return check_header_value(f->response->ok_response->headers,
                              f->response->ok_response->n_headers, name);
}

static const char *metadata(const struct fixture *f, const char *key)
{
    return check_struct_text(f->response->dynamic_metadata, key);
}

static void assert_no_name_is_set_and_removed(const struct fixture *f)
{
    const Envoy__Service__Auth__V3__OkHttpResponse *ok = f->response->ok_response;

    for (size_t i = 0; i < ok->n_headers; i++) {
        assert_int_equal(check_removals(f->response, ok->headers[i]->header->key), 0);
        assert_non_null(ok->headers[i]->append); /* present, and false */
        assert_false(ok->headers[i]->append->value);
    }
}

static void an_allow_sets_headers_and_removes_the_rest(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/", .host = STR("curl/8")};

    answer(f, &check, true);
    assert_int_equal(f->response->status->code, 0);
    assert_int_equal(f->response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_OK_RESPONSE);
    assert_string_equal(set_value(f, "x-tcp-p0f"), SIGNATURE);
    assert_string_equal(set_value(f, "x-host"), "curl/8");
    assert_int_equal(f->response->ok_response->n_headers, 3);
    assert_int_equal(check_removals(f->response, "x-internal"), 1);
    assert_int_equal(f->response->ok_response->n_headers_to_remove, 1);
    assert_no_name_is_set_and_removed(f);
}

static void an_absent_value_removes_the_clients_copy(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/"};

    answer(f, &check, false);
    assert_null(set_value(f, "x-tcp-p0f"));
    assert_null(set_value(f, "x-host"));
    assert_string_equal(set_value(f, "x-os"), "none");
    assert_int_equal(check_removals(f->response, "x-tcp-p0f"), 1);
    assert_int_equal(check_removals(f->response, "x-host"), 1);
    assert_no_name_is_set_and_removed(f);
}

static void an_empty_value_counts_as_absent(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/", .host = STR(" \t")};

    answer(f, &check, true);
    assert_null(set_value(f, "x-host"));
    assert_int_equal(check_removals(f->response, "x-host"), 1);
}

static void variants_of_owned_headers_are_removed_on_every_allow(void **state)
{
    static const struct str HEADERS[][2] = {
        {STR_INIT("x-tcp-p0f"), STR_INIT("forged")},
        {STR_INIT("x_tcp_p0f"), STR_INIT("forged")},
        {STR_INIT("X-Tcp-P0f"), STR_INIT("forged")},
        {STR_INIT("x_os"), STR_INIT("forged")},
    };
    struct fixture *f = *state;
    const struct check_wire check = {
        .has_http = true, .path = "/", .headers = HEADERS, .header_count = 4};

    for (int has_syn = 0; has_syn <= 1; has_syn++) {
        answer(f, &check, has_syn);
        assert_int_equal(check_removals(f->response, "x_tcp_p0f"), 1);
        assert_int_equal(check_removals(f->response, "x_os"), 1);
        assert_int_equal(check_removals(f->response, "X-Tcp-P0f"),
                         0); /* would remove what we set */
        assert_int_equal(check_removals(f->response, "x-tcp-p0f"), !has_syn);
        assert_no_name_is_set_and_removed(f);
    }
}

static void header_values_are_what_http_allows(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true,
                                     .path = "/",
                                     .host = STR(" a\x00"
                                                 "b\r\nx-admin: 1\xff\x7f ")};

    answer(f, &check, true);
    assert_string_equal(set_value(f, "x-host"), "a?b??x-admin: 1??");
    assert_string_equal(metadata(f, "host"), " a"); /* the NUL ends what a C string shows */
}

static void a_denial_answers_what_its_rule_says(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/blocked/\x01\xff?q"};
    const Envoy__Service__Auth__V3__DeniedHttpResponse *denied;

    answer(f, &check, false);
    denied = f->response->denied_response;
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_DENIED_RESPONSE);
    assert_int_equal(denied->status->code, 429);
    assert_string_equal(denied->body, "blocked /blocked/\x01\xef\xbf\xbd");
    assert_int_equal(denied->n_headers, 2); /* x-gone has no value */
    assert_string_equal(check_header_value(denied->headers, 2, "retry-after"), "1");
    assert_string_equal(check_header_value(denied->headers, 2, "x-path"), "/blocked/??");
    assert_non_null(denied->headers[0]->append);
    assert_string_equal(metadata(f, "rule"), "blocked");
    assert_string_equal(metadata(f, "verdict"), "deny");
    assert_string_equal(metadata(f, "reason"), "rule");
}

static void a_denial_without_respond_is_403(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/plain"};

    answer(f, &check, true);
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->denied_response->status->code, 403);
    assert_int_equal(f->response->denied_response->n_headers, 0);
}

static void an_unknown_condition_that_denies_says_so(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/unknown"};

    answer(f, &check, false);
    assert_int_equal(f->response->status->code, 7);
    assert_string_equal(metadata(f, "rule"), "unknown");
    assert_string_equal(metadata(f, "reason"), "unknown:unknown");
}

static void metadata_goes_with_allow(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/"};
    const check_struct *p0f;

    answer(f, &check, true);
    p0f = check_struct_nested(f->response->dynamic_metadata, "p0f");
    assert_string_equal(check_struct_text(p0f, "signature"), SIGNATURE);
    assert_string_equal(check_struct_text(p0f, "state"), "verified");
    assert_string_equal(metadata(f, "p0f_signature"), SIGNATURE);
    assert_string_equal(metadata(f, "p0f_state"), "verified");
    assert_string_equal(metadata(f, "os"), "Linux");
    assert_null(metadata(f, "host")); /* the request names no host */
    assert_string_equal(metadata(f, "rule"), "default");
    assert_string_equal(metadata(f, "reason"), "default");
    assert_string_equal(metadata(f, "policy"), "default");
    assert_string_equal(metadata(f, "revision"), f->policy->revision);
    assert_int_equal(strlen(metadata(f, "revision")), 12);
    assert_string_equal(metadata(f, "decision_id"), "id-of-the-decision");
    assert_string_equal(metadata(f, "verdict"), "allow");
}

static void an_unknown_signature_is_left_out(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/"};
    const check_struct *p0f;

    answer(f, &check, false);
    p0f = check_struct_nested(f->response->dynamic_metadata, "p0f");
    assert_null(check_struct_text(p0f, "signature"));
    assert_string_equal(check_struct_text(p0f, "state"), "missing");
    assert_null(metadata(f, "p0f_signature"));
}

static void the_network_filter_gets_status_and_metadata_alone(void **state)
{
    struct fixture *f = *state;
    const struct check_wire check = {.source = "192.0.2.7", .source_port = 1};

    answer(f, &check, true);
    assert_int_equal(f->response->status->code, 0);
    assert_int_equal(f->response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE__NOT_SET);
    assert_string_equal(metadata(f, "p0f_signature"), SIGNATURE);

    f->decision = (struct decision){
        /* zeroed: a denial */
        .mutations = {[TARGET_METADATA] = f->decision.mutations[TARGET_METADATA]}};
    check_response_freep(&f->response);
    f->response = check_response_read(
        reply_build(f->policy, &f->request, &f->decision, STR("id"), &f->arena));
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE__NOT_SET);
}

static void an_oversize_reply_denies_with_431(void **state)
{
    struct fixture *f = *state;
    char buffer[REPLY_OVERSIZE_MAX];

    f->response = check_response_read(reply_oversize(f->policy, STR("some-id"), buffer));
    assert_non_null(f->response);
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->denied_response->status->code, 431);
    assert_string_equal(metadata(f, "rule"), "oversize");
    assert_string_equal(metadata(f, "reason"), "oversize");
    assert_string_equal(metadata(f, "verdict"), "deny");
    assert_string_equal(metadata(f, "decision_id"), "some-id");
    assert_string_equal(metadata(f, "revision"), f->policy->revision);
}

static void an_oversize_reply_denies_also_when_names_do_not_fit(void **state)
{
    struct fixture *f = *state;
    static char name[1000];
    char buffer[REPLY_OVERSIZE_MAX];
    struct policy other = *f->policy;

    memset(name, 'n', sizeof(name));
    other.name = (struct str){name, sizeof(name)};
    f->response = check_response_read(reply_oversize(&other, STR("some-id"), buffer));
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->denied_response->status->code, 431);
}

/* What 64 KiB used to be too small for: a long body and a long path, several times. */
static void a_long_denial_is_whole(void **state)
{
    static char path[65000];
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = path};

    (void)snprintf(path, sizeof(path), "/long/%064900d", 0);
    answer(f, &check, false);
    assert_int_equal(f->response->denied_response->status->code, 410);
    assert_int_equal(strlen(f->response->denied_response->body), 2 * strlen(path) + 1);
    assert_string_equal(metadata(f, "path"), path);
}

static void a_denial_that_does_not_fit_loses_body_and_metadata(void **state)
{
    static char path[150000];
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = path, .host = STR("h")};

    (void)snprintf(path, sizeof(path), "/long/%0149000d", 0);
    answer(f, &check, false);
    assert_int_equal(f->response->status->code, 7);
    assert_int_equal(f->response->denied_response->status->code, 410);
    assert_string_equal(f->response->denied_response->body, "");
    assert_string_equal(check_header_value(f->response->denied_response->headers, 2, "retry-after"),
                        "9");
    assert_null(metadata(f, "path"));
    assert_string_equal(metadata(f, "rule"), "long");
    assert_string_equal(metadata(f, "reason"), "rule");
    assert_string_equal(metadata(f, "verdict"), "deny");
}

static void a_denial_that_does_not_fit_without_them_either_is_none(void **state)
{
    static char host[REPLY_BYTES_MAX];
    struct fixture *f = *state;
    const struct check_wire check = {
        .has_http = true, .path = "/long", .host = {host, sizeof(host)}};

    memset(host, 'a', sizeof(host));
    arena_reset(&f->arena);
    assert_null(reply_in(f, &check, true, &f->arena).ptr);
}

static void a_reply_that_grows_too_large_is_none(void **state)
{
    static char host[REPLY_BYTES_MAX];
    struct fixture *f = *state;
    const struct check_wire check = {.has_http = true, .path = "/", .host = {host, sizeof(host)}};

    memset(host, 'a', sizeof(host));
    arena_reset(&f->arena);
    assert_null(reply_in(f, &check, true, &f->arena).ptr);
}

/* With each arena that is too small the caller is told; no reply is ever an allow by being cut off.
 */
static void a_small_arena_gives_no_reply(void **state)
{
    static const struct str HEADERS[][2] = {{STR_INIT("x_os"), STR_INIT("forged")},
                                            {STR_INIT("x_tcp_p0f"), STR_INIT("forged")}};
    struct fixture *f = *state;
    const struct check_wire check = {
        .has_http = true, .path = "/unknown", .headers = HEADERS, .header_count = 2};
    struct str reply = {NULL, 0};
    size_t cap = 0;

    for (; !reply.ptr && cap < 2 * REPLY_BYTES_MAX;
         cap += cap < 8192 || cap > REPLY_BYTES_MAX ? 1 : 256) {
        struct arena arena;

        assert_int_equal(arena_init(&arena, cap), 0);
        reply = reply_in(f, &check, false, &arena);
        assert_true(!reply.ptr || (reply.len > 4 && memcmp(reply.ptr, "\x0a\x02\x08\x07", 4) == 0));
        arena_done(&arena);
    }
    assert_true(cap > REPLY_BYTES_MAX && cap < 2 * REPLY_BYTES_MAX);
}

#define REPLY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        REPLY_TEST(an_allow_sets_headers_and_removes_the_rest),
        REPLY_TEST(an_absent_value_removes_the_clients_copy),
        REPLY_TEST(an_empty_value_counts_as_absent),
        REPLY_TEST(variants_of_owned_headers_are_removed_on_every_allow),
        REPLY_TEST(header_values_are_what_http_allows),
        REPLY_TEST(a_denial_answers_what_its_rule_says),
        REPLY_TEST(a_denial_without_respond_is_403),
        REPLY_TEST(an_unknown_condition_that_denies_says_so),
        REPLY_TEST(metadata_goes_with_allow),
        REPLY_TEST(an_unknown_signature_is_left_out),
        REPLY_TEST(the_network_filter_gets_status_and_metadata_alone),
        REPLY_TEST(an_oversize_reply_denies_with_431),
        REPLY_TEST(an_oversize_reply_denies_also_when_names_do_not_fit),
        REPLY_TEST(a_long_denial_is_whole),
        REPLY_TEST(a_denial_that_does_not_fit_loses_body_and_metadata),
        REPLY_TEST(a_denial_that_does_not_fit_without_them_either_is_none),
        REPLY_TEST(a_reply_that_grows_too_large_is_none),
        REPLY_TEST(a_small_arena_gives_no_reply),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
