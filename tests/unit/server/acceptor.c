/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdio.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "acceptor.h"
#include "listener.h"

static char spec[64];
static atomic_int connections, last_fd;

static void on_connection(void *context, int fd, const struct listener *from)
{
    (void)context;
    assert_false(from->is_tcp);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    atomic_store(&last_fd, fd);
    atomic_fetch_add(&connections, 1);
}

static struct listener open_listener(void)
{
    struct listener listener;
    struct diag diag = {0};

    (void)snprintf(spec, sizeof(spec), "unix:@synauthz-acceptor-%d", getpid());
    assert_int_equal(listener_open(str_from(spec), &listener, &diag), 0);
    atomic_store(&connections, 0);
    return listener;
}

static int connect_once(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(spec) - 5;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, spec + 5, length);
    address.sun_path[0] = '\0';
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
                     0);
    return fd;
}

static void wait_for(int count)
{
    for (int tries = 0; tries < 5000 && atomic_load(&connections) < count; tries++)
        (void)usleep(1000);
    assert_int_equal(atomic_load(&connections), count);
}

static void start(const struct listener *listener, int limit, struct acceptor **ret_acceptor)
{
    const struct acceptor_config config = {.listeners = listener,
                                           .listener_count = 1,
                                           .descriptor_limit = limit,
                                           .on_connection = on_connection};

    assert_int_equal(acceptor_start(&config, ret_acceptor), 0);
}

static void connections_are_handed_over_ready(void **state)
{
    struct listener listener = open_listener();
    struct acceptor *acceptor;
    int client;

    (void)state;
    start(&listener, 1000, &acceptor);
    client = connect_once();
    wait_for(1);
    assert_int_equal(acceptor_refused(acceptor), 0);
    acceptor_stopp(&acceptor);
    assert_null(acceptor);
    (void)close(atomic_load(&last_fd));
    (void)close(client);
    listener_done(&listener);
}

static void beyond_the_limit_they_are_closed(void **state)
{
    struct listener listener = open_listener();
    struct acceptor *acceptor;
    int client;
    char byte;

    (void)state;
    start(&listener, 3, &acceptor); /* all descriptors are beyond it */
    client = connect_once();
    assert_int_equal(read(client, &byte, 1), 0);
    assert_int_equal(acceptor_refused(acceptor), 1);
    assert_int_equal(atomic_load(&connections), 0);
    acceptor_stopp(&acceptor);
    (void)close(client);
    listener_done(&listener);
}

static double processor_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* While there are no descriptors the connection waits in the backlog, and the thread rests. */
static void without_descriptors_it_rests_and_goes_on(void **state)
{
    struct listener listener = open_listener();
    struct acceptor *acceptor;
    struct rlimit before, none;
    double used;
    int client;

    (void)state;
    start(&listener, 1000, &acceptor);
    client = connect_once();
    wait_for(1);
    (void)close(client);
    (void)close(atomic_load(&last_fd));

    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* holds the lowest free number */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)close(client);
    none.rlim_cur = (rlim_t)client + 1; /* room for the client's socket alone */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    client = connect_once();
    used = processor_seconds();
    (void)usleep(500000);
    used = processor_seconds() - used;
    assert_int_equal(atomic_load(&connections), 1);
    assert_true(used < 0.1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    wait_for(2);
    acceptor_stopp(&acceptor);
    (void)close(atomic_load(&last_fd));
    (void)close(client);
    listener_done(&listener);
}

static void on_slow_connection(void *context, int fd, const struct listener *from)
{
    (void)usleep(1000);
    on_connection(context, fd, from);
    (void)close(fd);
}

/* More than it takes in a turn, and faster than it takes them. */
static void who_connected_before_the_end_is_taken(void **state)
{
    enum { CLIENTS = 200 };
    struct listener listener = open_listener();
    const struct acceptor_config config = {.listeners = &listener,
                                           .listener_count = 1,
                                           .descriptor_limit = 1000,
                                           .on_connection = on_slow_connection};
    struct acceptor *acceptor;
    int clients[CLIENTS];

    (void)state;
    assert_int_equal(acceptor_start(&config, &acceptor), 0);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = connect_once();
    acceptor_stopp(&acceptor);
    assert_int_equal(atomic_load(&connections), CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++)
        (void)close(clients[i]);
    listener_done(&listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_handed_over_ready),
        cmocka_unit_test(beyond_the_limit_they_are_closed),
        cmocka_unit_test(without_descriptors_it_rests_and_goes_on),
        cmocka_unit_test(who_connected_before_the_end_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
