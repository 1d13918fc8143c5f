/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that ask and do not take the replies, written by hand in HTTP/2, beside one that does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "check_wire.h"
#include "fake_source.h"
#include "grpc_client.h"
#include "policy_store.h"
#include "server.h"
#include "slots.h"

static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: echo\n"
                             "    then: continue\n"
                             "    metadata: {path: \"%{http.path}\"}\n"
                             "default: allow\n"
                             "on_unknown: skip\n";

enum { WINDOW_NONE = 0, WINDOW_LARGE = 0x7fffffff };
enum { CALLS_EACH = 90, HOLDERS_MAX = 60, WIRE_MAX = 8192 };

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
    int fd;

    (void)snprintf(f->policy_path, sizeof(f->policy_path), "/tmp/synauthz-slots-test-XXXXXX");
    fd = mkstemp(f->policy_path);
    if (fd < 0 || write(fd, POLICY, sizeof(POLICY) - 1) != sizeof(POLICY) - 1)
        return -1;
    return close(fd);
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

/* The replies are still held when the server stops. */
static int tear_down(void **state)
{
    struct fixture *f = *state;

    server_stop(f->server, 0);
    for (size_t i = 0; i < f->holder_count; i++)
        (void)close(f->holders[i]);
    listener_done(&f->listener);
    policy_store_freep(&f->store);
    (void)unlink(f->policy_path);
    grpc_shutdown_blocking();
    free(f);
    return 0;
}

/* --- HTTP/2 by hand --------------------------------------------------------------------------- */

enum { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_SETTINGS = 4, FRAME_WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, END_HEADERS = 4 };
enum { SETTING_INITIAL_WINDOW_SIZE = 4 };

struct bytes {
    unsigned char data[WIRE_MAX + 1024];
    size_t length;
};

static void put(struct bytes *bytes, const void *data, size_t length)
{
    assert_true(length <= sizeof(bytes->data) - bytes->length);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void put_number(struct bytes *bytes, uint32_t number, unsigned size)
{
    while (size-- > 0)
        put(bytes, &(unsigned char){(unsigned char)(number >> (8 * size))}, 1);
}

/* A literal without indexing, no Huffman code: RFC 7541 6.2.2. */
static void put_field(struct bytes *bytes, const char *name, const char *value)
{
    put_number(bytes, 0, 1);
    put_number(bytes, (uint32_t)strlen(name), 1);
    put(bytes, name, strlen(name));
    put_number(bytes, (uint32_t)strlen(value), 1);
    put(bytes, value, strlen(value));
}

static void put_frame(struct bytes *bytes, unsigned type, unsigned flags, uint32_t stream,
                      const struct bytes *payload)
{
    put_number(bytes, (uint32_t)payload->length, 3);
    put_number(bytes, type, 1);
    put_number(bytes, flags, 1);
    put_number(bytes, stream, 4);
    put(bytes, payload->data, payload->length);
}

/* Fails when the server does not read for long. */
static void send_all(int fd, const struct bytes *bytes)
{
    assert_int_equal(send(fd, bytes->data, bytes->length, MSG_NOSIGNAL), bytes->length);
}

/* A connection whose streams may receive `window` bytes. */
static int hold(struct fixture *f, uint32_t window)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct bytes out = {0}, settings = {0}, update = {0};
    const struct timeval patience = {.tv_sec = 10};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    memcpy(address.sun_path + 1, f->name, strlen(f->name));
    assert_int_equal(
        connect(fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(f->name))),
        0);
    put(&out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
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

static uint64_t checks_of(const struct fixture *f, enum check_outcome outcome)
{
    const struct server_counts counts = counts_of(f);

    return check_counts_of(&counts.checks, outcome);
}

static void wait_for_allowed(const struct fixture *f, uint64_t count)
{
    for (int tries = 0; tries < 8000 && checks_of(f, CHECK_ALLOWED) < count; tries++)
        (void)usleep(1000);
    if (checks_of(f, CHECK_ALLOWED) < count)
        fail_msg("%llu of %llu calls allowed", (unsigned long long)checks_of(f, CHECK_ALLOWED),
                 (unsigned long long)count);
}

static void wait_for_cancelled(const struct fixture *f, uint64_t count)
{
    for (int tries = 0; tries < 8000 && counts_of(f).cancelled < count; tries++)
        (void)usleep(1000);
    assert_true(counts_of(f).cancelled >= count);
}

/* Somebody else's call, which must not be delayed. */
static void assert_answered(struct fixture *f, const char *method, unsigned timeout_ms)
{
    struct client_call call = {.method = method,
                               .message =
                                   strcmp(method, CHECK_METHOD) == 0 ? wire_for(f, "/") : STR(""),
                               .timeout_ms = timeout_ms};
    struct grpc_client client;

    grpc_client_open(&client, f->target);
    client_run(&client, &call);
    grpc_client_close(&client);
    assert_int_equal(call.status, GRPC_STATUS_OK);
    assert_true(call.has_reply);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void replies_that_nobody_takes_do_not_silence_others(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/"), .calls = CALLS_EACH};

    for (size_t i = 0; i < 2; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for_allowed(f, 2 * CALLS_EACH); /* more than usually wait, and no slot has come back */
    assert_int_equal(counts_of(f).cancelled, 0);
    for (size_t i = 0; i < 10; i++)
        assert_answered(f, CHECK_METHOD, 800);
    assert_answered(f, HEALTH_METHOD, 800);
}

static void held_health_calls_do_not_silence_health(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {.method = HEALTH_METHOD, .message = STR(""), .calls = 20};

    ask_all(hold(f, WINDOW_NONE), &ask);
    for (size_t i = 0; i < 10; i++)
        assert_answered(f, HEALTH_METHOD, 800);
}

/* The first sweep comes with the last of the usual slots, so it has not seen all. */
static void replies_that_wait_for_seconds_are_cancelled(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/"), .calls = CALLS_EACH};

    for (size_t i = 0; i < 2; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for_cancelled(f, CALLS_EACH);
    assert_answered(f, CHECK_METHOD, 800);
}

static void replies_past_their_deadline_are_cancelled(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {.method = CHECK_METHOD,
                            .timeout = "500m",
                            .message = wire_for(f, "/"),
                            .calls = CALLS_EACH};

    for (size_t i = 0; i < 2; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for_cancelled(f, 2 * CALLS_EACH); /* by one sweep, which is the first one for some */
}

static void all_slots_held_are_free_again_after_seconds(void **state)
{
    struct fixture *f = *state;
    const struct ask ask = {
        .method = CHECK_METHOD, .message = wire_for(f, "/"), .calls = CALLS_EACH};
    struct server_counts counts;

    for (size_t i = 0; i < SLOTS_MAX / CALLS_EACH + 3; i++)
        ask_all(hold(f, WINDOW_NONE), &ask);
    wait_for_allowed(f, SLOTS_MAX);
    counts = counts_of(f);
    assert_true(check_counts_of(&counts.checks, CHECK_ALLOWED) - counts.cancelled <= SLOTS_MAX);
    assert_answered(f, CHECK_METHOD, 10000);
    assert_true(counts_of(f).cancelled > 0);
}

/* More bytes than the sockets take, so they are in writes that do not end, where cancelling the
 * call does not help. */
static void clients_that_do_not_read_at_all_do_not_silence_others(void **state)
{
    static char path[6000];
    struct fixture *f = *state;
    struct ask ask = {.method = CHECK_METHOD, .calls = CALLS_EACH};

    (void)snprintf(path, sizeof(path), "/%05990d", 0);
    ask.message = wire_for(f, path);
    for (size_t i = 0; i < SLOTS_MAX / CALLS_EACH + 3; i++)
        ask_all(hold(f, WINDOW_LARGE), &ask);
    assert_answered(f, CHECK_METHOD, 20000);
}

/* gRPC keeps a connection until its write has ended; the tear-down would not come back. */
static void clients_that_do_not_read_do_not_hold_the_end_up(void **state)
{
    static char path[6000];
    struct fixture *f = *state;
    struct ask ask = {.method = CHECK_METHOD, .calls = CALLS_EACH};

    (void)snprintf(path, sizeof(path), "/%05990d", 0);
    ask.message = wire_for(f, path);
    ask_all(hold(f, WINDOW_LARGE), &ask);
    /* About as many replies as a socket takes.  Of the other calls gRPC reads as many as its window
     * lets in before it cannot tell the client of a new one any more. */
    wait_for_allowed(f, CALLS_EACH / 4);
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
