/* SPDX-License-Identifier: Apache-2.0 */
/* Two relays, one of them the client's, so that both ends of every test are plain sockets. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

#include "certificates.h"
#include "test_certificates.h"

enum { WAIT_MS = 20000, CHUNK = 40000 };

/* What one relay has said. */
struct side {
    struct relay *relay;
    atomic_int inner; /* -1: none yet */
    atomic_uint refused;
    char why[HANDSHAKE_WHY_MAX]; /* to be read once `refused` says so */
};

struct fixture {
    struct test_folder folder;
    struct test_issuer ca;
    struct credentials *server_credentials, *client_credentials;
    struct side server, client;
};

static void on_connection(void *context, int inner)
{
    struct side *side = context;

    atomic_store(&side->inner, inner);
}

static void on_refused(void *context, int outer, const char *why)
{
    struct side *side = context;

    assert_true(fcntl(outer, F_GETFD) >= 0); /* still open: it can be asked for its name */
    (void)snprintf(side->why, sizeof(side->why), "%s", why);
    atomic_fetch_add(&side->refused, 1);
}

static void start_as(struct side *side, struct relay_config config)
{
    config.on_connection = on_connection;
    config.on_refused = on_refused;
    config.context = side;
    atomic_store(&side->inner, -1);
    atomic_store(&side->refused, 0);
    assert_int_equal(relay_start(&config, &side->relay), 0);
}

static void start(struct side *side, unsigned handshake_ms, int descriptor_limit)
{
    start_as(side, (struct relay_config){.handshake_ms = handshake_ms,
                                         .descriptor_limit = descriptor_limit});
}

static void start_limited(struct side *side, unsigned handshakes_max)
{
    start_as(side,
             (struct relay_config){.handshakes_max = handshakes_max, .descriptor_limit = INT_MAX});
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct test_identity server;
    struct credential_files files = {.role = TLS_SERVER};

    test_folder_make(&f->folder);
    f->ca = test_issuer_make("ca");
    server = test_identity_make(&f->folder, "server", &f->ca, "DNS:server.test", 0);
    files.certificate = server.certificate;
    files.key = server.key;
    assert_int_equal(credentials_read(&files, &f->server_credentials, NULL), 0);
    files = (struct credential_files){.role = TLS_CLIENT,
                                      .trusted = test_write_issuer(&f->folder, "ca.pem", &f->ca),
                                      .server_name = "server.test"};
    assert_int_equal(credentials_read(&files, &f->client_credentials, NULL), 0);
    start(&f->server, 0, INT_MAX);
    start(&f->client, 0, INT_MAX);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    struct side *const sides[] = {&f->server, &f->client};

    for (unsigned i = 0; i < 2; i++) {
        if (atomic_load(&sides[i]->inner) >= 0)
            (void)close(atomic_load(&sides[i]->inner));
        relay_stop(&sides[i]->relay, 0);
    }
    credentials_freep(&f->server_credentials);
    credentials_freep(&f->client_credentials);
    test_folder_remove(&f->folder);
    test_issuer_free(&f->ca);
    free(f);
    return 0;
}

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A connection's two outer ends: [0] the server's. */
static void make_outer(int ret_pair[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_pair),
                     0);
}

static void add_server(struct fixture *f, int fd)
{
    assert_int_equal(
        relay_add(f->server.relay, fd, credentials_begin_session(f->server_credentials, fd)), 0);
}

static void wait_inner(struct side *side)
{
    for (unsigned i = 0; i < WAIT_MS && atomic_load(&side->inner) < 0; i++)
        nap();
    assert_true(atomic_load(&side->inner) >= 0);
}

static void connect_both(struct fixture *f)
{
    int pair[2];

    make_outer(pair);
    add_server(f, pair[0]);
    assert_int_equal(relay_add(f->client.relay, pair[1],
                               credentials_begin_session(f->client_credentials, pair[1])),
                     0);
    wait_inner(&f->server);
    wait_inner(&f->client);
}

static void wait_refused(struct side *side)
{
    for (unsigned i = 0; i < WAIT_MS && atomic_load(&side->refused) == 0; i++)
        nap();
    assert_int_equal(atomic_load(&side->refused), 1);
}

static void wait_open(struct side *side, uint64_t count)
{
    for (unsigned i = 0; i < WAIT_MS && relay_get_counts(side->relay).open != count; i++)
        nap();
    assert_int_equal(relay_get_counts(side->relay).open, count);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* The byte at a place of an endless stream. */
static char byte_at(uint64_t place)
{
    return (char)(place * 2654435761u >> 13);
}

/* Sends what goes, up to `end`; returns false when it would block. */
static bool send_some(int fd, uint64_t *place, uint64_t end)
{
    char chunk[CHUNK];
    size_t length = end - *place < sizeof(chunk) ? (size_t)(end - *place) : sizeof(chunk);
    ssize_t r;

    for (size_t i = 0; i < length; i++)
        chunk[i] = byte_at(*place + i);
    r = send(fd, chunk, length, MSG_NOSIGNAL);
    if (r < 0)
        assert_int_equal(errno, EAGAIN);
    *place += r > 0 ? (uint64_t)r : 0;
    return r >= 0;
}

/* Receives what there is; returns false at the end of the stream. */
static bool receive_some(int fd, uint64_t *place)
{
    char chunk[CHUNK];
    ssize_t r = recv(fd, chunk, sizeof(chunk), 0);

    if (r < 0)
        assert_int_equal(errno, EAGAIN);
    for (ssize_t i = 0; i < r; i++)
        assert_int_equal(chunk[i], byte_at(*place + (uint64_t)i));
    *place += r > 0 ? (uint64_t)r : 0;
    return r != 0;
}

static void what_goes_in_comes_out_in_both_directions_at_once(void **state)
{
    enum { TOTAL = 6000000 };
    struct fixture *f = *state;
    uint64_t sent[2] = {0, 0}, received[2] = {0, 0};
    int ends[2];

    connect_both(f);
    ends[0] = atomic_load(&f->server.inner);
    ends[1] = atomic_load(&f->client.inner);
    while (received[0] < TOTAL || received[1] < TOTAL)
        for (unsigned i = 0; i < 2; i++) {
            struct pollfd wait = {.fd = ends[i], .events = POLLIN};

            if (sent[i] < TOTAL)
                wait.events |= POLLOUT;
            assert_true(poll(&wait, 1, 1) >= 0);
            if (sent[i] < TOTAL)
                (void)send_some(ends[i], &sent[i], TOTAL);
            assert_true(receive_some(ends[i], &received[i]));
        }
    assert_int_equal(relay_get_counts(f->server.relay).accepted, 1);
}

/* Nothing is hoarded for a reader that does not read, and nothing is lost. */
static void a_reader_that_does_not_read_holds_back_the_writer(void **state)
{
    enum { QUIET_TURNS = 200 };
    struct fixture *f = *state;
    uint64_t sent = 0, received = 0;

    connect_both(f);
    for (unsigned quiet = 0; quiet < QUIET_TURNS; quiet++)
        if (send_some(atomic_load(&f->server.inner), &sent, UINT64_MAX))
            quiet = 0;
        else
            nap();
    assert_in_range(sent, 1, 4 << 20); /* of sockets, and a record in between */
    while (received < sent)
        assert_true(receive_some(atomic_load(&f->client.inner), &received));
}

static void what_was_said_before_the_end_arrives(void **state)
{
    struct fixture *f = *state;
    uint64_t sent = 0, received = 0;

    connect_both(f);
    while (sent < 100000)
        if (!send_some(atomic_load(&f->server.inner), &sent, 100000))
            nap();
    (void)close(atomic_exchange(&f->server.inner, -1));
    while (receive_some(atomic_load(&f->client.inner), &received))
        ;
    assert_int_equal(received, sent);
    (void)close(atomic_exchange(&f->client.inner, -1));
    wait_open(&f->server, 0);
    wait_open(&f->client, 0);
}

/* As gRPC's socket is cut when a client does not read: the client's own end says so, too. */
static void a_cut_connection_ends_though_its_client_reads_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t sent = 0;

    connect_both(f);
    for (unsigned quiet = 0; quiet < 50; quiet++)
        if (send_some(atomic_load(&f->server.inner), &sent, UINT64_MAX))
            quiet = 0;
        else
            nap();
    (void)shutdown(atomic_load(&f->server.inner), SHUT_RDWR);
    wait_open(&f->server, 0); /* after two seconds or so */
}

/* --- who is refused --------------------------------------------------------------------------- */

static void garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    make_outer(pair);
    add_server(f, pair[0]);
    assert_int_equal(send(pair[1], "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24, 0), 24);
    wait_refused(&f->server);
    assert_string_equal(f->server.why, "it does not speak TLS");
    wait_open(&f->server, 0);
    assert_int_equal(atomic_load(&f->server.inner), -1);
    assert_int_equal(relay_get_counts(f->server.relay).refused, 1);
    (void)close(pair[1]);
}

static void who_goes_away_is_refused(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    make_outer(pair);
    (void)close(pair[1]);
    add_server(f, pair[0]);
    wait_refused(&f->server);
    assert_string_equal(f->server.why, "it closed the connection");
}

static void who_says_nothing_is_refused_in_time(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    relay_stop(&f->server.relay, 0);
    start(&f->server, 10, INT_MAX);
    make_outer(pair);
    add_server(f, pair[0]);
    wait_refused(&f->server);
    assert_string_equal(f->server.why, "its handshake took too long");
    (void)close(pair[1]);
}

/* Closed by the relay, which may come to it a moment after it has said so. */
static bool is_closed_soon(int fd)
{
    char unused;

    for (unsigned waited = 0; waited < WAIT_MS; waited++) {
        if (recv(fd, &unused, 1, MSG_DONTWAIT) == 0)
            return true;
        nap();
    }
    return false;
}

/* Those who say nothing give way, the oldest first, to one who speaks. */
static void silent_clients_keep_nobody_out(void **state)
{
    enum { SILENT = 5, MAX = 2 };
    struct fixture *f = *state;
    int silent[SILENT][2];
    char unused;

    relay_stop(&f->server.relay, 0);
    start_limited(&f->server, MAX);
    for (unsigned i = 0; i < SILENT; i++) {
        make_outer(silent[i]);
        add_server(f, silent[i][0]);
        wait_open(&f->server, i < MAX ? i + 1 : MAX);
        for (unsigned tick = 0; tick < 20; tick++)
            nap(); /* its deadline is later than that of the one before, by a coarse clock */
    }
    assert_int_equal(atomic_load(&f->server.refused), SILENT - MAX);
    assert_non_null(strstr(f->server.why, "too many handshakes"));
    connect_both(f);
    for (unsigned i = 0; i < SILENT - 1; i++)
        assert_true(is_closed_soon(silent[i][1]));
    assert_int_equal(recv(silent[SILENT - 1][1], &unused, 1, MSG_DONTWAIT), -1); /* the newest */
    for (unsigned i = 0; i < SILENT; i++)
        (void)close(silent[i][1]);
}

static void numbers_beyond_the_limit_are_not_handed_over(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    relay_stop(&f->server.relay, 0);
    start(&f->server, 0, 3);
    make_outer(pair);
    add_server(f, pair[0]);
    assert_int_equal(relay_add(f->client.relay, pair[1],
                               credentials_begin_session(f->client_credentials, pair[1])),
                     0);
    wait_refused(&f->server);
    assert_string_equal(f->server.why, "too many connections");
}

static void a_closed_door_hands_nothing_over(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    relay_close_door(f->server.relay, 0);
    make_outer(pair);
    add_server(f, pair[0]);
    assert_int_equal(relay_add(f->client.relay, pair[1],
                               credentials_begin_session(f->client_credentials, pair[1])),
                     0);
    wait_open(&f->server, 0);
    assert_int_equal(atomic_load(&f->server.inner), -1);
}

/* Who has connected before the end is answered. */
static void a_door_that_closes_waits_for_handshakes(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    for (unsigned i = 0; i < 20; i++) {
        atomic_store(&f->server.inner, -1);
        make_outer(pair);
        add_server(f, pair[0]);
        assert_int_equal(relay_add(f->client.relay, pair[1],
                                   credentials_begin_session(f->client_credentials, pair[1])),
                         0);
        relay_close_door(f->server.relay, WAIT_MS);
        assert_true(atomic_load(&f->server.inner) >= 0);
        (void)close(atomic_exchange(&f->server.inner, -1));
        relay_stop(&f->server.relay, 0);
        start(&f->server, 0, INT_MAX);
        wait_inner(&f->client);
        (void)close(atomic_exchange(&f->client.inner, -1));
    }
}

static void no_session_is_no_connection(void **state)
{
    struct fixture *f = *state;
    int pair[2];
    char unused;

    make_outer(pair);
    assert_int_equal(relay_add(f->server.relay, pair[0], NULL), -ENOMEM);
    assert_int_equal(recv(pair[1], &unused, 1, 0), 0); /* it was closed */
    (void)close(pair[1]);
}

/* --- the end ---------------------------------------------------------------------------------- */

static void a_relay_ends_with_handshakes_and_connections_in_it(void **state)
{
    struct fixture *f = *state;
    int pair[2];

    connect_both(f);
    make_outer(pair);
    add_server(f, pair[0]); /* says nothing */
    wait_open(&f->server, 2);
    relay_stop(&f->server.relay, 50); /* the open connection is waited for that long */
    (void)close(pair[1]);
}

static void what_is_left_is_sent_when_a_relay_ends(void **state)
{
    struct fixture *f = *state;
    uint64_t sent = 0, received = 0;

    connect_both(f);
    while (sent < 50000)
        if (!send_some(atomic_load(&f->server.inner), &sent, 50000))
            nap();
    (void)close(atomic_exchange(&f->server.inner, -1));
    relay_stop(&f->server.relay, WAIT_MS);
    while (receive_some(atomic_load(&f->client.inner), &received))
        ;
    assert_int_equal(received, sent);
}

#define RELAY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RELAY_TEST(what_goes_in_comes_out_in_both_directions_at_once),
        RELAY_TEST(a_reader_that_does_not_read_holds_back_the_writer),
        RELAY_TEST(what_was_said_before_the_end_arrives),
        RELAY_TEST(a_cut_connection_ends_though_its_client_reads_nothing),
        RELAY_TEST(garbage_is_refused),
        RELAY_TEST(who_goes_away_is_refused),
        RELAY_TEST(who_says_nothing_is_refused_in_time),
        RELAY_TEST(silent_clients_keep_nobody_out),
        RELAY_TEST(numbers_beyond_the_limit_are_not_handed_over),
        RELAY_TEST(a_closed_door_hands_nothing_over),
        RELAY_TEST(a_door_that_closes_waits_for_handshakes),
        RELAY_TEST(no_session_is_no_connection),
        RELAY_TEST(a_relay_ends_with_handshakes_and_connections_in_it),
        RELAY_TEST(what_is_left_is_sent_when_a_relay_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
