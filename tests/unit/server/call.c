/* SPDX-License-Identifier: Apache-2.0 */
/* What is answered to each kind of call. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "request.h"
#include "server_fixture.h"

static void a_check_is_answered_on_unix_and_tcp(void **state)
{
    struct fixture *f = *state;
    const char *const targets[] = {f->unix_target, f->tcp_target};

    start(f, 2, 0);
    for (size_t i = 0; i < 2; i++) {
        struct client_call allow = {.method = CHECK_METHOD, .message = wire_for("/")};

        run_once(targets[i], &allow);
        assert_allow(&allow);
    }
    assert_int_equal(checks_of(f, CHECK_ALLOWED), 2);
}

static void a_denial_has_the_rules_answer(void **state)
{
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/deny/x")};
    check_response *response;

    start(f, 1, 0);
    run_once(f->unix_target, &call);
    assert_int_equal(call.status, GRPC_STATUS_OK);
    response = check_response_read(client_reply(&call));
    assert_non_null(response);
    assert_int_equal(response->status->code, 7);
    assert_int_equal(response->denied_response->status->code, 429);
    assert_string_equal(response->denied_response->body, "no-entry\n");
    assert_string_equal(check_struct_text(response->dynamic_metadata, "verdict"), "deny");
    check_response_freep(&response);
    assert_int_equal(checks_of(f, CHECK_DENIED), 1);
}

static void our_own_fault_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/")};

    f->source = fake_source_without_syn(SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    start(f, 1, 0);
    run_once(f->unix_target, &call);
    assert_int_equal(call.status, GRPC_STATUS_UNAVAILABLE);
    assert_false(call.has_reply);
    assert_int_equal(checks_of(f, CHECK_FAULT), 1);
}

static void bad_messages_are_refused_and_never_allowed(void **state)
{
    const struct {
        struct client_call call;
        grpc_status_code status;
    } rows[] = {
        {{.method = CHECK_METHOD,
          .message = STR("\x0a\x05"
                         "a")},
         GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = CHECK_METHOD}, GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = CHECK_METHOD, .message = STR("")}, GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = "/envoy.service.auth.v3.Authorization/Nothing", .message = STR("")},
         GRPC_STATUS_UNIMPLEMENTED},
        {{.method = "/envoy.service.auth.v2.Authorization/Check", .message = STR("")},
         GRPC_STATUS_UNIMPLEMENTED},
        {{.method = WATCH_METHOD}, GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = WATCH_METHOD,
          .message = STR("\x0a\x05"
                         "a")},
         GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = HEALTH_METHOD}, GRPC_STATUS_INVALID_ARGUMENT},
        {{.method = HEALTH_METHOD,
          .message = STR("\x0a\x05"
                         "a")},
         GRPC_STATUS_INVALID_ARGUMENT},
    };
    struct fixture *f = *state;

    start(f, 1, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client_call call = rows[i].call;

        run_once(f->unix_target, &call);
        assert_int_equal(call.status, rows[i].status);
        assert_false(call.has_reply);
    }
    assert_int_equal(checks_of(f, CHECK_MALFORMED), 2);
    assert_int_equal(counts_of(f).unreadable, 1);
    assert_int_equal(checks_of(f, CHECK_ALLOWED), 0);
}

/* Each Check is counted once, with the reason of its decision, and each look-up with its state. */
static void what_was_decided_and_why_is_counted(void **state)
{
    struct fixture *f = *state;
    struct client_call calls[] = {
        {.method = CHECK_METHOD, .message = wire_for("/")},
        {.method = HEALTH_METHOD, .message = STR("")},
    };
    struct client_call denied = {.method = CHECK_METHOD};
    struct server_counts counts;

    f->source = fake_source_without_syn(SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    start(f, 2, 0);
    for (unsigned i = 0; i < 3; i++)
        run_once(f->tcp_target, &(struct client_call){.method = calls[i % 2].method,
                                                      .message = calls[i % 2].message});
    denied.message = wire_for("/deny");
    run_once(f->unix_target, &denied);
    counts = counts_of(f);
    assert_int_equal(counts.checks.checks[CHECK_ALLOWED][DECISION_DEFAULT], 2);
    assert_int_equal(counts.checks.checks[CHECK_DENIED][DECISION_RULE], 1);
    assert_int_equal(checks_of(f, CHECK_ALLOWED) + checks_of(f, CHECK_DENIED), 3);
    assert_int_equal(counts.checks.lookups[SYN_STATE_MISSING][SYN_REASON_NOT_SEEN], 3);
    assert_int_equal(counts.late, 0);
    assert_int_equal(counts.cancelled, 0);
}

/* More of them than there are slots. */
static void unknown_methods_are_answered_at_once(void **state)
{
    struct fixture *f = *state;
    struct grpc_client client;
    enum { CALLS = 40 };
    struct client_call *calls = calloc(CALLS, sizeof(*calls));

    start(f, 1, 0);
    grpc_client_open(&client, f->tcp_target);
    for (size_t i = 0; i < CALLS; i++) {
        calls[i] = (struct client_call){.method = "/a/b", .message = STR("x")};
        client_start(&client, &calls[i]);
    }
    for (size_t i = 0; i < CALLS; i++)
        assert_int_equal(client_finish(&client)->status, GRPC_STATUS_UNIMPLEMENTED);
    grpc_client_close(&client);
    free(calls);
}

static void compressed_messages_are_refused(void **state)
{
    struct fixture *f = *state;
    struct grpc_client client;
    char path[2000];
    struct client_call call = {.method = CHECK_METHOD};

    memset(path, '/', sizeof(path)); /* so that it is worth compressing */
    path[sizeof(path) - 1] = '\0';
    call.message = wire_for(path);
    start(f, 1, 0);
    grpc_client_open_compressing(&client, f->unix_target, GRPC_COMPRESS_GZIP);
    client_run(&client, &call);
    grpc_client_close(&client);
    assert_int_equal(call.status, GRPC_STATUS_UNIMPLEMENTED);
    assert_false(call.has_reply);
}

static void a_request_beyond_the_limit_is_denied(void **state)
{
    struct fixture *f = *state;
    struct grpc_client client;
    size_t size = REQUEST_BYTES_MAX + 1;
    char *bytes = calloc(1, size);
    struct client_call call = {.method = CHECK_METHOD, .message = {bytes, size}};
    struct client_call next = {.method = CHECK_METHOD, .message = wire_for("/")};
    check_response *response;

    start(f, 1, 0);
    grpc_client_open(&client, f->unix_target);
    client_run(&client, &call);
    assert_int_equal(call.status, GRPC_STATUS_OK);
    response = check_response_read(client_reply(&call));
    assert_int_equal(response->status->code, 7);
    assert_int_equal(response->denied_response->status->code, 431);
    assert_string_equal(check_struct_text(response->dynamic_metadata, "reason"), "oversize");
    check_response_freep(&response);
    client_run(&client, &next);
    assert_allow(&next);
    grpc_client_close(&client);
    free(bytes);
    assert_int_equal(checks_of(f, CHECK_OVERSIZE), 1);
}

/* Many pieces: gRPC gives the message as it came from the socket. */
static void a_large_message_in_pieces_is_put_together(void **state)
{
    struct fixture *f = *state;
    static char long_value[200000], buffer[300000];
    const struct str headers[][2] = {{STR_INIT("x-long"), {long_value, sizeof(long_value)}}};
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 40000,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .path = "/deny",
                                     .headers = headers,
                                     .header_count = 1};
    struct client_call call = {.method = CHECK_METHOD};
    check_response *response;

    memset(long_value, 'v', sizeof(long_value));
    call.message = check_wire_write(&check, buffer, sizeof(buffer));
    start(f, 1, 0);
    run_once(f->tcp_target, &call);
    response = check_response_read(client_reply(&call));
    assert_int_equal(response->denied_response->status->code, 429);
    check_response_freep(&response);
}

/* Beyond what gRPC may buffer at all: the call fails, the server lives, and its memory stays
 * bounded. */
static void a_message_beyond_the_quota_fails_alone(void **state)
{
    struct fixture *f = *state;
    size_t size = (size_t)256 << 20;
    char *bytes = calloc(1, size);
    struct client_call call = {.method = CHECK_METHOD, .message = {bytes, size}};
    struct client_call next = {.method = CHECK_METHOD, .message = wire_for("/")};

    start(f, 1, 0);
    run_once(f->unix_target, &call);
    assert_int_not_equal(call.status, GRPC_STATUS_OK);
    assert_false(call.has_reply);
    run_once(f->unix_target, &next);
    assert_allow(&next);
    free(bytes);
}

static void each_decision_has_an_id_of_its_own(void **state)
{
    struct fixture *f = *state;
    char ids[3][64];

    start(f, 1, 0);
    for (size_t i = 0; i < 3; i++) {
        struct client_call call = {.method = CHECK_METHOD, .message = wire_for(i ? "/" : "/deny")};
        check_response *response;

        run_once(f->unix_target, &call);
        response = check_response_read(client_reply(&call));
        (void)snprintf(ids[i], sizeof(ids[i]), "%s",
                       check_struct_text(response->dynamic_metadata, "decision_id"));
        check_response_freep(&response);
        assert_int_equal(strlen(ids[i]), 32);
        assert_int_equal(strspn(ids[i], "0123456789abcdef"), 32);
    }
    assert_string_not_equal(ids[0], ids[1]);
    assert_string_not_equal(ids[1], ids[2]);
    assert_memory_equal(ids[0], ids[1], 16);
}

static void health_knows_its_services(void **state)
{
    const struct {
        struct str message;
        grpc_status_code status;
    } rows[] = {
        {STR(""), GRPC_STATUS_OK},
        {STR("\x0a\x24"
             "envoy.service.auth.v3.Authorization"),
         GRPC_STATUS_INVALID_ARGUMENT},
        {STR("\x0a\x23"
             "envoy.service.auth.v3.Authorization"),
         GRPC_STATUS_OK},
        {STR("\x0a\x03"
             "foo"),
         GRPC_STATUS_NOT_FOUND},
    };
    struct fixture *f = *state;

    start(f, 1, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct client_call call = {.method = HEALTH_METHOD, .message = rows[i].message};

        run_once(f->unix_target, &call);
        assert_int_equal(call.status, rows[i].status);
        assert_true(!call.has_reply || str_eq(client_reply(&call), STR("\x08\x01")));
    }
}

static void health_says_when_it_does_not_serve(void **state)
{
    struct fixture *f = *state;
    struct client_call health = {.method = HEALTH_METHOD, .message = STR("")};
    struct client_call check = {.method = CHECK_METHOD, .message = wire_for("/")};

    start(f, 1, 0);
    server_set_serving(f->server, false);
    run_once(f->unix_target, &health);
    assert_true(str_eq(client_reply(&health), STR("\x08\x02")));
    run_once(f->unix_target, &check); /* who comes all the same is answered */
    assert_allow(&check);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(a_check_is_answered_on_unix_and_tcp),
        SERVER_TEST(a_denial_has_the_rules_answer),
        SERVER_TEST(our_own_fault_is_unavailable),
        SERVER_TEST(bad_messages_are_refused_and_never_allowed),
        SERVER_TEST(what_was_decided_and_why_is_counted),
        SERVER_TEST(unknown_methods_are_answered_at_once),
        SERVER_TEST(compressed_messages_are_refused),
        SERVER_TEST(a_request_beyond_the_limit_is_denied),
        SERVER_TEST(a_large_message_in_pieces_is_put_together),
        SERVER_TEST(a_message_beyond_the_quota_fails_alone),
        SERVER_TEST(each_decision_has_an_id_of_its_own),
        SERVER_TEST(health_knows_its_services),
        SERVER_TEST(health_says_when_it_does_not_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
