/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "addr.h"
#include "relay.h"
#include "test_certificates.h"

enum { WAIT_MS = 20000 };

struct fixture {
    struct test_folder folder;
    struct test_issuer ca;
    const char *ca_file;
    struct credentials *server, *client;
    struct relay *relay;
    struct endpoint address;
    int listener, accepted; /* -1: not accepted */
};

/* What a server says, whoever asks. */
static void on_connection(void *context, int inner)
{
    (void)context;
    assert_int_equal(send(inner, "hello", 5, MSG_NOSIGNAL), 5);
    (void)close(inner);
}

static void on_refused(void *context, int outer, const char *why)
{
    (void)context;
    (void)outer;
    (void)why;
}

static void listen_somewhere(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(f->listener, 8), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&address, &length), 0);
    f->address.addr = addr_from_v4((const uint8_t *)&address.sin_addr);
    f->address.port = ntohs(address.sin_port);
}

static struct credentials *read_client(const struct fixture *f, const char *server_name)
{
    const struct credential_files files = {
        .role = TLS_CLIENT, .trusted = f->ca_file, .server_name = server_name};
    struct credentials *credentials;

    assert_int_equal(credentials_read(&files, &credentials, NULL), 0);
    return credentials;
}

static int set_up(void **state)
{
    static const struct relay_config CONFIG = {
        .descriptor_limit = INT_MAX, .on_connection = on_connection, .on_refused = on_refused};
    struct fixture *f = calloc(1, sizeof(*f));
    struct credential_files files = {.role = TLS_SERVER};
    struct test_identity server;

    test_folder_make(&f->folder);
    f->ca = test_issuer_make("ca");
    f->ca_file = test_write_issuer(&f->folder, "ca.pem", &f->ca);
    server = test_identity_make(&f->folder, "server", &f->ca, "IP:127.0.0.1", 0);
    files.certificate = server.certificate;
    files.key = server.key;
    assert_int_equal(credentials_read(&files, &f->server, NULL), 0);
    f->client = read_client(f, "127.0.0.1");
    assert_int_equal(relay_start(&CONFIG, &f->relay), 0);
    listen_somewhere(f);
    f->accepted = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    relay_stop(&f->relay, 0);
    if (f->accepted >= 0)
        (void)close(f->accepted);
    if (f->listener >= 0)
        (void)close(f->listener);
    credentials_freep(&f->server);
    credentials_freep(&f->client);
    test_folder_remove(&f->folder);
    test_issuer_free(&f->ca);
    free(f);
    return 0;
}

static void *serve_one(void *context)
{
    struct fixture *f = context;
    int fd = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(relay_add(f->relay, fd, credentials_begin_session(f->server, fd)), 0);
    return NULL;
}

static void bytes_come_in_clear(void **state)
{
    struct fixture *f = *state;
    struct tunnel *tunnel = NULL;
    char why[HANDSHAKE_WHY_MAX], bytes[8];
    struct pollfd wait = {.events = POLLIN};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, serve_one, f), 0);
    assert_int_equal(tunnel_open(&f->address, f->client, WAIT_MS, &tunnel, why), 0);
    (void)pthread_join(thread, NULL);
    wait.fd = tunnel_take_fd(tunnel);
    assert_int_equal(tunnel_take_fd(tunnel), -1);
    assert_int_equal(poll(&wait, 1, WAIT_MS), 1);
    assert_int_equal(recv(wait.fd, bytes, sizeof(bytes), 0), 5);
    assert_memory_equal(bytes, "hello", 5);
    (void)close(wait.fd);
    tunnel_closep(&tunnel);
}

static void another_server_than_meant_is_refused(void **state)
{
    struct fixture *f = *state;
    struct credentials *other = read_client(f, "other.test");
    struct tunnel *tunnel = NULL;
    char why[HANDSHAKE_WHY_MAX];
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, serve_one, f), 0);
    assert_int_equal(tunnel_open(&f->address, other, WAIT_MS, &tunnel, why), -ECONNREFUSED);
    (void)pthread_join(thread, NULL);
    assert_string_equal(why, "no TLS: its certificate: hostname mismatch");
    assert_null(tunnel);
    credentials_freep(&other);
}

static void nobody_there_is_said(void **state)
{
    struct fixture *f = *state;
    struct tunnel *tunnel = NULL;
    char why[HANDSHAKE_WHY_MAX];

    (void)close(f->listener);
    f->listener = -1;
    assert_int_equal(tunnel_open(&f->address, f->client, WAIT_MS, &tunnel, why), -ECONNREFUSED);
    assert_string_equal(why, "cannot connect: Connection refused");
}

/* The backlog takes the connection, and nobody speaks. */
static void silence_ends_in_time(void **state)
{
    struct fixture *f = *state;
    struct tunnel *tunnel = NULL;
    char why[HANDSHAKE_WHY_MAX];

    assert_int_equal(tunnel_open(&f->address, f->client, 20, &tunnel, why), -ECONNREFUSED);
    assert_string_equal(why, "no TLS: its handshake took too long");
}

#define TUNNEL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TUNNEL_TEST(bytes_come_in_clear),
        TUNNEL_TEST(another_server_than_meant_is_refused),
        TUNNEL_TEST(nobody_there_is_said),
        TUNNEL_TEST(silence_ends_in_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
