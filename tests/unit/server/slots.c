/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that ask and do not take the replies, written by hand in HTTP/2, beside one that does.
 *
 * What a test needs to be so is waited for; how long that takes, on a machine that does other
 * things as well, is no part of any of them.  Their requests are so small that all of them fit into
 * the window that the server opens each connection with. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "check_wire.h"
#include "fake_source.h"
#include "grpc_client.h"
#include "http2_bytes.h"
#include "policy_store.h"
#include "server.h"
#include "slots.h"

/* A large reply to a small request: one socket takes a few of them. */
static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: large\n"
                             "    when: {http.path: /large}\n"
                             "    then: deny\n"
                             "    respond: {status: 403, body: \"%0*d\"}\n"
                             "default: allow\n"
                             "on_unknown: skip\n";
enum { LARGE_REPLY = 16384 };

enum { WINDOW_NONE = 0, WINDOW_LARGE = 0x7fffffff };
enum { CALLS_EACH = 90, HOLDERS_MAX = 200, WIRE_MAX = 1024 };

/* For what happens soon, unless something is broken. */
enum { PATIENCE_S = 60 };

struct fixture {
    char policy_path[64], name[64], target[80];
    struct policy_store *store;
    struct fake_source source;
    struct listener listener;
    struct server *server;
    int holders[HOLDERS_MAX]; /* connections */
    size_t holder_count;
    char wire[WIRE_MAX];
};

static int write_policy(struct fixture *f)
{
    FILE *file;
    int fd;

    (void)snprintf(f->policy_path, sizeof(f->policy_path), "/tmp/synauthz-slots-test-XXXXXX");
    fd = mkstemp(f->policy_path);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file)
        return -1;
    (void)fprintf(file, POLICY, LARGE_REPLY, 0);
    return fclose(file);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct server_config config = {.listener_count = 1, .threads = 1};
    struct diag diag = {0};

    *state = f;
    grpc_init(); /* the client's */
    (void)snprintf(f->name, sizeof(f->name), "synauthz-slots-%d", getpid());
    (void)snprintf(f->target, sizeof(f->target), "unix:@%s", f->name);
    f->source = fake_source_with_syn(SYN_STATE_VERIFIED);
    config.source = &f->source.base;
    config.listeners = &f->listener;
    if (write_policy(f) < 0 || policy_store_open(f->policy_path, &f->store, &diag) < 0 ||
        listener_open(str_from(f->target), &f->listener, &diag) < 0)
        return -1;
    (void)snprintf(f->target, sizeof(f->target), "unix-abstract:%s", f->name);
    config.store = f->store;
    return server_start(&config, &f->server, &diag);
}

static void release_holders(struct fixture *f)
{
    while (f->holder_count > 0)
        (void)close(f->holders[--f->holder_count]);
}

/* The replies are still held when the server stops. */
static int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server)
        server_stop(f->server, 0);
    release_holders(f);
    listener_done(&f->listener);
    policy_store_freep(&f->store);
    (void)unlink(f->policy_path);
    grpc_shutdown_blocking();
    free(f);
    return 0;
}

/* --- HTTP/2 by hand --------------------------------------------------------------------------- */

/* A connection whose streams may receive `window` bytes. */
static int hold(struct fixture *f, uint32_t window)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct bytes out = {0}, settings = {0}, update = {0};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(f->holder_count < HOLDERS_MAX);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    memcpy(address.sun_path + 1, f->name, strlen(f->name));
    assert_int_equal(
        connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(f->name))),
        0);
    put(&out, HTTP2_PREFACE, strlen(HTTP2_PREFACE));
    put_number(&settings, SETTING_INITIAL_WINDOW_SIZE, 2);
    put_number(&settings, window, 4);
    put_frame(&out, FRAME_SETTINGS, 0, 0, &settings);
    put_number(&update, WINDOW_LARGE - 65535, 4);
    put_frame(&out, FRAME_WINDOW_UPDATE, 0, 0, &update); /* the connection's own window */
    send_all(fd, &out);
    f->holders[f->holder_count++] = fd;
    return fd;
}

struct ask {
    const char *method, *timeout; /* NULL: none */
    struct str message;
    size_t calls;
};

static void ask_all(int fd, const struct ask *ask)
{
    for (uint32_t i = 0; i < ask->calls; i++) {
        struct bytes out = {0}, headers = {0}, data = {0};

        put_field(&headers, ":method", "POST");
        put_field(&headers, ":scheme", "http");
        put_field(&headers, ":path", ask->method);
        put_field(&headers, ":authority", "test");
        put_field(&headers, "te", "trailers");
        put_field(&headers, "content-type", "application/grpc");
        if (ask->timeout)
            put_field(&headers, "grpc-timeout", ask->timeout);
        put_frame(&out, FRAME_HEADERS, END_HEADERS, 2 * i + 1, &headers);
        put_number(&data, 0, 1); /* not compressed */
        put_number(&data, (uint32_t)ask->message.len, 4);
        put(&data, ask->message.ptr, ask->message.len);
        put_frame(&out, FRAME_DATA, END_STREAM, 2 * i + 1, &data);
        send_all(fd, &out);
    }
}

/* --- helpers ---------------------------------------------------------------------------------- */

static struct str wire_for(struct fixture *f, const char *path)
{
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 40000,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .path = path};

    return check_wire_write(&check, f->wire, sizeof(f->wire));
}

static struct server_counts counts_of(const struct fixture *f)
{
    struct server_counts counts;

    server_get_counts(f->server, &counts);
    return counts;
}

/* Checks that got as far as their reply; late ones get another. */
static uint64_t decided(const struct fixture *f)
{
    const struct server_counts counts = counts_of(f);

    return check_counts_of(&counts.checks, CHECK_ALLOWED) +
           check_counts_of(&counts.checks, CHECK_DENIED) + counts.late;
}

static uint64_t cancelled(const struct fixture *f)
{
    return counts_of(f).cancelled;
}

static uint64_t in_flight(const struct fixture *f)
{
    return counts_of(f).in_flight;
}

static void wait_for(const struct fixture *f, uint64_t (*count)(const struct fixture *),
                     uint64_t wanted, const char *what)
{
    for (int tries = 0; tries < PATIENCE_S * 1000 && count(f) < wanted; tries++)
        (void)usleep(1000);
    if (count(f) < wanted)
        fail_msg("%s: %llu of %llu", what, (unsigned long long)count(f),
                 (unsigned long long)wanted);
}

/* Somebody else's call. */
static void assert_answered(struct fixture *f, const char *method)
{
    struct client_call call = {.method = method,
                               .message =
                                   strcmp(method, CHECK_METHOD) == 0 ? wire_for(f, "/") : STR(""),
                               .timeout_ms = PATIENCE_S * 1000};
    struct grpc_client client;

    grpc_client_open(&client, f->target);
    client_run(&client, &call);
    grpc_client_close(&client);
    assert_int_equal(call.status, GRPC_STATUS_OK);
    assert_true(call.has_reply);
}

/* Two connections that hold more replies than there usually are slots. */
enum { HELD = 2 * CALLS_EACH };

static void hold_checks(struct fixture *f)
{
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/"), .calls = CALLS_EACH};
    uint64_t before = decided(f);

    for (size_t i = 0; i < 2; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for(f, decided, before + HELD, "calls decided");
}

/* Some things are to be seen before seconds have passed and what is held is cancelled.  A machine
 * that is busy may take longer than that, so they are tried until once nothing had been cancelled
 * when they were seen. */
enum { TRIES = 30 };

static void end_try(struct fixture *f)
{
    release_holders(f);
    for (int tries = 0; tries < PATIENCE_S * 1000 && in_flight(f) > 0; tries++)
        (void)usleep(1000);
    assert_int_equal(in_flight(f), 0);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void replies_that_nobody_takes_do_not_silence_others(void **state)
{
    struct fixture *f = *state;
    uint64_t before, after;
    int tries = 0;

    do {
        assert_true(tries++ < TRIES);
        before = cancelled(f);
        hold_checks(f);
        for (size_t i = 0; i < 3; i++)
            assert_answered(f, CHECK_METHOD);
        assert_answered(f, HEALTH_METHOD);
        after = cancelled(f);
        end_try(f);
    } while (after > before);
}

static void held_health_calls_do_not_silence_health(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {.method = HEALTH_METHOD, .message = STR(""), .calls = 20};
    uint64_t before, after;
    int tries = 0;

    do {
        assert_true(tries++ < TRIES);
        before = cancelled(f);
        ask_all(hold(f, WINDOW_NONE), &ask);
        wait_for(f, in_flight, ask.calls, "health calls held");
        for (size_t i = 0; i < 3; i++)
            assert_answered(f, HEALTH_METHOD);
        after = cancelled(f);
        end_try(f);
    } while (after > before);
}

/* The first sweep comes with the last of the usual slots, so it has not seen all. */
static void replies_that_wait_for_seconds_are_cancelled(void **state)
{
    struct fixture *f = *state;

    hold_checks(f);
    wait_for(f, cancelled, CALLS_EACH, "calls cancelled");
    assert_answered(f, CHECK_METHOD);
}

/* By the next sweep: those that came before them, and have more time, are held still. */
static void replies_past_their_deadline_are_cancelled(void **state)
{
    enum { SHORT_CALLS = 20 };
    struct fixture *f = *state;
    const struct ask ask = {.method = CHECK_METHOD,
                            .timeout = "50m",
                            .message = wire_for(f, "/"),
                            .calls = SHORT_CALLS};
    uint64_t held;
    int tries = 0;

    do {
        int fd;

        assert_true(tries++ < TRIES);
        hold_checks(f);
        fd = hold(f, WINDOW_NONE);
        ask_all(fd, &ask);
        read_ends(fd, SHORT_CALLS);
        held = in_flight(f);
        end_try(f);
    } while (held < HELD);
}

static void all_slots_held_are_free_again_after_seconds(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/"), .calls = CALLS_EACH};

    for (size_t i = 0; i < SLOTS_MAX / CALLS_EACH + 3; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for(f, decided, SLOTS_MAX, "calls decided");
    assert_true(in_flight(f) <= SLOTS_MAX);
    assert_answered(f, CHECK_METHOD);
    assert_true(cancelled(f) > 0);
}

/* How many large replies a socket takes, at most: the kernel counts what it allocates for them. */
static size_t socket_takes(int fd)
{
    int size = 0;
    socklen_t length = sizeof(size);

    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, &length), 0);
    return (size_t)size / LARGE_REPLY + 4; /* it may go a little beyond */
}

/* A client that reads nothing, with more replies than its socket takes: the others are in writes
 * that do not end, where cancelling the call does not help. */
static size_t ask_without_reading(struct fixture *f)
{
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/large"), .calls = CALLS_EACH};
    int fd = hold(f, WINDOW_LARGE);

    assert_in_range(socket_takes(fd), 1, CALLS_EACH / 2);
    ask_all(fd, &ask);
    return CALLS_EACH - socket_takes(fd);
}

static void clients_that_do_not_read_at_all_do_not_silence_others(void **state)
{
    struct fixture *f = *state;

    for (size_t stuck = 0; stuck <= SLOTS_MAX;)
        stuck += ask_without_reading(f);
    assert_answered(f, CHECK_METHOD);
}

static void *stop_server(void *context)
{
    struct fixture *f = context;

    server_stop(f->server, 0);
    f->server = NULL;
    return NULL;
}

/* gRPC keeps a connection until its write has ended. */
static void clients_that_do_not_read_do_not_hold_the_end_up(void **state)
{
    struct fixture *f = *state;
    size_t stuck = ask_without_reading(f);
    struct timespec end;
    pthread_t thread;
    int r;

    wait_for(f, decided, CALLS_EACH, "calls decided");
    assert_true(in_flight(f) >= stuck);
    assert_answered(f, CHECK_METHOD);
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    assert_int_equal(pthread_create(&thread, NULL, stop_server, f), 0);
    r = pthread_timedjoin_np(thread, NULL, &end);
    if (r != 0) { /* without the clients it ends in any case */
        release_holders(f);
        (void)pthread_join(thread, NULL);
        fail_msg("the server does not stop while clients do not read");
    }
}

#define SLOTS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SLOTS_TEST(replies_that_nobody_takes_do_not_silence_others),
        SLOTS_TEST(held_health_calls_do_not_silence_health),
        SLOTS_TEST(replies_that_wait_for_seconds_are_cancelled),
        SLOTS_TEST(replies_past_their_deadline_are_cancelled),
        SLOTS_TEST(all_slots_held_are_free_again_after_seconds),
        SLOTS_TEST(clients_that_do_not_read_at_all_do_not_silence_others),
        SLOTS_TEST(clients_that_do_not_read_do_not_hold_the_end_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
