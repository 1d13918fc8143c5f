/* SPDX-License-Identifier: Apache-2.0 */
/* The server in this process, and clients of gRPC core against it. */
#include <errno.h>
#include <pthread.h>
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

#include "check_wire.h"
#include "fake_source.h"
#include "grpc_client.h"
#include "policy_store.h"
#include "request.h"
#include "server.h"

static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: no-entry\n"
                             "    when: {http.path: {prefix: /deny}}\n"
                             "    then: deny\n"
                             "    respond: {status: 429, body: \"%{rule}\\n\"}\n"
                             "  - id: enrich\n"
                             "    then: continue\n"
                             "    request_headers: {set: {x-tcp-p0f: \"%{p0f}\"}}\n"
                             "default: allow\n"
                             "on_unknown: skip\n";

struct fixture {
    char folder[64], policy_path[96], socket_path[96], unix_target[112], tcp_target[48];
    struct policy_store *store;
    struct fake_source source;
    struct listener listeners[2];
    struct server *server;
};

static int write_policy(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    if (!file)
        return -1;
    (void)fputs(text, file);
    return fclose(file);
}

/* A port that nobody has just now. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)bind(fd, (struct sockaddr *)&address, length);
    (void)getsockname(fd, (struct sockaddr *)&address, &length);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static int open_listener(struct listener *listener, const char *spec)
{
    struct diag diag = {0};

    if (listener_open(str_from(spec), listener, &diag) == 0)
        return 0;
    (void)fprintf(stderr, "%s\n", diag.text);
    return -1;
}

static int open_listeners(struct fixture *f)
{
    char spec[32];

    (void)snprintf(f->socket_path, sizeof(f->socket_path), "%s/authz.sock", f->folder);
    (void)snprintf(f->unix_target, sizeof(f->unix_target), "unix:%s", f->socket_path);
    if (open_listener(&f->listeners[0], f->unix_target) < 0)
        return -1;
    for (int tries = 0; tries < 10; tries++) {
        (void)snprintf(spec, sizeof(spec), "127.0.0.1:%u", free_port());
        (void)snprintf(f->tcp_target, sizeof(f->tcp_target), "ipv4:%s", spec);
        if (open_listener(&f->listeners[1], spec) == 0)
            return 0;
    }
    return -1;
}

static void start(struct fixture *f, unsigned threads, unsigned max_connections)
{
    const struct server_config config = {
        .listeners = f->listeners,
        .listener_count = 2,
        .threads = threads,
        .store = f->store,
        .source = &f->source.base,
        .max_connections = max_connections,
    };
    struct diag diag = {0};

    assert_int_equal(server_start(&config, &f->server, &diag), 0);
}

static void stop(struct fixture *f, unsigned grace_ms)
{
    server_stop(f->server, grace_ms);
    f->server = NULL;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct diag diag = {0};

    *state = f;
    grpc_init(); /* the client's */
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/synauthz-server-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->policy_path, sizeof(f->policy_path), "%s/policy.yaml", f->folder);
    f->source = fake_source_with_syn(SYN_STATE_VERIFIED);
    if (write_policy(f->policy_path, POLICY) < 0 ||
        policy_store_open(f->policy_path, &f->store, &diag) < 0) {
        (void)fprintf(stderr, "%s\n", diag.text);
        return -1;
    }
    return open_listeners(f);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server)
        server_stop(f->server, 0);
    listener_done(&f->listeners[0]);
    listener_done(&f->listeners[1]);
    policy_store_freep(&f->store);
    (void)unlink(f->socket_path);
    (void)unlink(f->policy_path);
    (void)rmdir(f->folder);
    grpc_shutdown_blocking();
    free(f);
    return 0;
}

static char wire_buffer[1 << 16];

static struct str wire_for(const char *path)
{
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 40000,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .method = "GET",
                                     .path = path};

    return check_wire_write(&check, wire_buffer, sizeof(wire_buffer));
}

static void run_once(const char *target, struct client_call *call)
{
    struct grpc_client client;

    grpc_client_open(&client, target);
    client_run(&client, call);
    grpc_client_close(&client);
}

static struct server_counts counts_of(const struct fixture *f)
{
    struct server_counts counts;

    server_get_counts(f->server, &counts);
    return counts;
}

static uint64_t checks_of(const struct fixture *f, enum check_outcome outcome)
{
    const struct server_counts counts = counts_of(f);

    return check_counts_of(&counts.checks, outcome);
}

/* --- what a Check answers --------------------------------------------------------------------- */

static void assert_allow(const struct client_call *call)
{
    check_response *response;

    assert_int_equal(call->status, GRPC_STATUS_OK);
    response = check_response_read(client_reply(call));
    assert_non_null(response);
    assert_non_null(response->status);
    assert_int_equal(response->status->code, 0);
    assert_string_equal(check_header_value(response->ok_response->headers,
                                           response->ok_response->n_headers, "x-tcp-p0f"),
                        FAKE_SIGNATURE);
    check_response_freep(&response);
}

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
        {{.method = "/grpc.health.v1.Health/Watch", .message = STR("")}, GRPC_STATUS_UNIMPLEMENTED},
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

/* A source that does not come back until it is let. */
struct slow_source {
    struct syn_source base;
    atomic_bool is_asked, may_answer;
};

static void lookup_slowly(const struct syn_source *source, const struct flow *flow,
                          struct syn_answer *ret_answer)
{
    struct slow_source *slow = (struct slow_source *)source;

    (void)flow;
    atomic_store(&slow->is_asked, true);
    while (!atomic_load(&slow->may_answer))
        (void)usleep(1000);
    *ret_answer = (struct syn_answer){.state = SYN_STATE_AMBIGUOUS};
}

static void a_thread_that_hangs_is_noticed(void **state)
{
    struct fixture *f = *state;
    struct slow_source slow = {.base = {.lookup = lookup_slowly}};
    const struct server_config config = {.listeners = f->listeners,
                                         .listener_count = 2,
                                         .threads = 2,
                                         .store = f->store,
                                         .source = &slow.base};
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct grpc_client client;
    struct diag diag = {0};

    assert_int_equal(server_start(&config, &f->server, &diag), 0);
    (void)usleep(2500000);
    assert_in_range(server_silence_ms(f->server), 0, 1800); /* idle, and all turn */
    grpc_client_open(&client, f->unix_target);
    client_start(&client, &call);
    for (int tries = 0; tries < 5000 && !atomic_load(&slow.is_asked); tries++)
        (void)usleep(1000);
    (void)usleep(2500000);
    assert_true(server_silence_ms(f->server) >= 2000);
    atomic_store(&slow.may_answer, true);
    (void)client_finish(&client);
    grpc_client_close(&client);
    (void)usleep(1500000);
    assert_in_range(server_silence_ms(f->server), 0, 1800);
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

/* --- health ----------------------------------------------------------------------------------- */

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

/* --- many calls, connections, the end --------------------------------------------------------- */

struct load {
    const char *target;
    size_t calls, allowed;
};

enum { IN_FLIGHT = 100 };

static void *run_load(void *context)
{
    struct load *load = context;
    struct client_call *calls = calloc(IN_FLIGHT, sizeof(*calls));
    struct str wire = wire_for("/");
    struct grpc_client client;
    size_t started = 0, finished = 0;

    grpc_client_open(&client, load->target);
    for (; started < IN_FLIGHT; started++) {
        calls[started] = (struct client_call){.method = CHECK_METHOD, .message = wire};
        client_start(&client, &calls[started]);
    }
    while (finished < started) {
        struct client_call *call = client_finish(&client);

        finished++;
        if (call->status == GRPC_STATUS_OK && call->has_reply)
            load->allowed++;
        if (started < load->calls && call->status == GRPC_STATUS_OK) {
            started++;
            *call = (struct client_call){.method = CHECK_METHOD, .message = wire};
            client_start(&client, call);
        }
    }
    grpc_client_close(&client);
    free(calls);
    return NULL;
}

static void many_calls_at_once_are_all_answered(void **state)
{
    enum { CLIENTS = 4, CALLS = 2000 };
    struct fixture *f = *state;
    struct load loads[CLIENTS];
    pthread_t threads[CLIENTS];

    start(f, 2, 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        loads[i] = (struct load){.target = i % 2 ? f->unix_target : f->tcp_target, .calls = CALLS};
        assert_int_equal(pthread_create(&threads[i], NULL, run_load, &loads[i]), 0);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(loads[i].allowed, CALLS);
    }
    assert_int_equal(checks_of(f, CHECK_ALLOWED), CLIENTS * CALLS);
}

static void stopping_under_load_ends_and_answers_no_call_wrongly(void **state)
{
    struct fixture *f = *state;
    struct load load = {.target = f->tcp_target, .calls = 1000000};
    pthread_t thread;

    start(f, 2, 0);
    assert_int_equal(pthread_create(&thread, NULL, run_load, &load), 0);
    while (checks_of(f, CHECK_ALLOWED) < 1000)
        (void)usleep(1000);
    stop(f, 1000);
    /* what was refused is retried by nobody here: each of the slots ends at its first refusal */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_in_range(load.allowed, 1000, 999999);
}

static void a_policy_is_replaced_between_calls(void **state)
{
    struct fixture *f = *state;
    struct client_call before = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct client_call after = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct diag diag = {0};
    check_response *response;

    start(f, 1, 0);
    run_once(f->unix_target, &before);
    assert_allow(&before);
    assert_int_equal(write_policy(f->policy_path, "version: 1\nrules: []\ndefault: deny\n"), 0);
    if (policy_store_reload(f->store, &diag) < 0)
        fail_msg("%s", diag.text);
    run_once(f->unix_target, &after);
    response = check_response_read(client_reply(&after));
    assert_int_equal(response->status->code, 7);
    check_response_freep(&response);
}

static void clients_that_leave_without_a_word_are_survived(void **state)
{
    static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct sockaddr_in address;
    socklen_t length = sizeof(address);

    start(f, 2, 0);
    (void)getsockname(f->listeners[1].fd, (struct sockaddr *)&address, &length);
    for (size_t i = 0; i < 50; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
        if (i % 3)
            (void)send(fd, PREFACE, i % 3 == 1 ? sizeof(PREFACE) - 1 : i % 20, MSG_NOSIGNAL);
        (void)close(fd);
    }
    run_once(f->tcp_target, &call);
    assert_allow(&call);
}

static void connections_beyond_the_limit_are_closed(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    enum { CONNECTIONS = 200 };
    int fds[CONNECTIONS];

    start(f, 1, 10);
    (void)getsockname(f->listeners[1].fd, (struct sockaddr *)&address, &length);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, length), 0);
    }
    for (int tries = 0; tries < 2000 && counts_of(f).refused_connections == 0; tries++)
        (void)usleep(1000);
    assert_in_range(counts_of(f).refused_connections, 1, CONNECTIONS);
    for (size_t i = 0; i < CONNECTIONS; i++)
        (void)close(fds[i]);
}

static void a_stopped_server_refuses_connections(void **state)
{
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/"), .timeout_ms = 300};

    start(f, 1, 0);
    stop(f, 100);
    run_once(f->unix_target, &call);
    assert_int_not_equal(call.status, GRPC_STATUS_OK);
    assert_int_equal(access(f->socket_path, F_OK), 0); /* stays, for who takes it over */
}

static void an_idle_connection_does_not_hold_the_end_up(void **state)
{
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct grpc_client client;
    gpr_timespec before;

    start(f, 2, 0);
    grpc_client_open(&client, f->unix_target);
    client_run(&client, &call);
    assert_allow(&call);
    before = gpr_now(GPR_CLOCK_MONOTONIC);
    stop(f, 10000);
    assert_true(gpr_time_to_millis(gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), before)) < 3000);
    grpc_client_close(&client);
}

/* Connections that never speak, or stop after the preface. */
static void silent_connections_do_not_hold_the_end_up(void **state)
{
    static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct fixture *f = *state;
    struct client_call call = {.method = CHECK_METHOD, .message = wire_for("/")};
    struct sockaddr_in address;
    socklen_t length = sizeof(address);
    gpr_timespec before;
    int fds[4];

    start(f, 2, 0);
    (void)getsockname(f->listeners[1].fd, (struct sockaddr *)&address, &length);
    for (size_t i = 0; i < 4; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&address, length), 0);
        if (i % 2)
            assert_int_equal(send(fds[i], PREFACE, sizeof(PREFACE) - 1, MSG_NOSIGNAL),
                             sizeof(PREFACE) - 1);
    }
    run_once(f->tcp_target, &call); /* behind them: they have been accepted */
    assert_allow(&call);
    before = gpr_now(GPR_CLOCK_MONOTONIC);
    stop(f, 10000);
    assert_true(gpr_time_to_millis(gpr_time_sub(gpr_now(GPR_CLOCK_MONOTONIC), before)) < 3000);
    for (size_t i = 0; i < 4; i++)
        (void)close(fds[i]);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(a_check_is_answered_on_unix_and_tcp),
        SERVER_TEST(a_denial_has_the_rules_answer),
        SERVER_TEST(our_own_fault_is_unavailable),
        SERVER_TEST(bad_messages_are_refused_and_never_allowed),
        SERVER_TEST(what_was_decided_and_why_is_counted),
        SERVER_TEST(a_thread_that_hangs_is_noticed),
        SERVER_TEST(unknown_methods_are_answered_at_once),
        SERVER_TEST(compressed_messages_are_refused),
        SERVER_TEST(a_request_beyond_the_limit_is_denied),
        SERVER_TEST(a_large_message_in_pieces_is_put_together),
        SERVER_TEST(a_message_beyond_the_quota_fails_alone),
        SERVER_TEST(each_decision_has_an_id_of_its_own),
        SERVER_TEST(health_knows_its_services),
        SERVER_TEST(health_says_when_it_does_not_serve),
        SERVER_TEST(many_calls_at_once_are_all_answered),
        SERVER_TEST(stopping_under_load_ends_and_answers_no_call_wrongly),
        SERVER_TEST(a_policy_is_replaced_between_calls),
        SERVER_TEST(clients_that_leave_without_a_word_are_survived),
        SERVER_TEST(connections_beyond_the_limit_are_closed),
        SERVER_TEST(a_stopped_server_refuses_connections),
        SERVER_TEST(an_idle_connection_does_not_hold_the_end_up),
        SERVER_TEST(silent_connections_do_not_hold_the_end_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
