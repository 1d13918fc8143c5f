/* SPDX-License-Identifier: Apache-2.0 */
/* Many calls, all sorts of connections, and the end. */
#include <pthread.h>
#include <stdatomic.h>
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

#include "server_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(many_calls_at_once_are_all_answered),
        SERVER_TEST(stopping_under_load_ends_and_answers_no_call_wrongly),
        SERVER_TEST(a_policy_is_replaced_between_calls),
        SERVER_TEST(clients_that_leave_without_a_word_are_survived),
        SERVER_TEST(connections_beyond_the_limit_are_closed),
        SERVER_TEST(a_stopped_server_refuses_connections),
        SERVER_TEST(an_idle_connection_does_not_hold_the_end_up),
        SERVER_TEST(silent_connections_do_not_hold_the_end_up),
        SERVER_TEST(a_thread_that_hangs_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
