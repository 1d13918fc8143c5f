/* SPDX-License-Identifier: Apache-2.0 */
/* A server with few descriptors, in a process of its own, and more connections than it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_source.h"
#include "policy_store.h"
#include "server.h"

static const char POLICY[] = "version: 1\nrules: []\ndefault: allow\n";

enum { SOFT_LIMIT = 72, HARD_LIMIT = 120, CONNECTIONS = 300 };

static char policy_path[64], name[64], spec[80];

static int write_policy(void)
{
    int fd;

    (void)snprintf(policy_path, sizeof(policy_path), "/tmp/synauthz-descriptors-XXXXXX");
    fd = mkstemp(policy_path);
    if (fd < 0 || write(fd, POLICY, sizeof(POLICY) - 1) != sizeof(POLICY) - 1)
        return -1;
    return close(fd);
}

static int complain(const struct diag *diag)
{
    (void)fprintf(stderr, "%s\n", diag->text);
    return 1;
}

/* The first step that fails says so and ends the child with 1. */
static int serve_under_flood(int ready_fd, int flooded_fd)
{
    const struct rlimit few = {.rlim_cur = SOFT_LIMIT, .rlim_max = HARD_LIMIT};
    struct fake_source source = fake_source_with_syn(SYN_STATE_VERIFIED);
    struct listener listener;
    struct server_config config = {
        .listeners = &listener, .listener_count = 1, .threads = 1, .source = &source.base};
    struct server_counts counts;
    struct server *server;
    struct diag diag = {0};
    struct rlimit after;
    char byte = 0;
    int r;

    if (setrlimit(RLIMIT_NOFILE, &few) < 0 ||
        policy_store_open(policy_path, &config.store, &diag) < 0 ||
        listener_open(str_from(spec), &listener, &diag) < 0 ||
        server_start(&config, &server, &diag) < 0)
        return complain(&diag);
    if (write(ready_fd, &byte, 1) != 1 || read(flooded_fd, &byte, 1) != 1)
        return 1;
    r = policy_store_reload(config.store, &diag);
    server_get_counts(server, &counts);
    server_stop(server, 0);
    listener_done(&listener);
    policy_store_freep(&config.store);
    if (r < 0)
        return complain(&diag);
    (void)getrlimit(RLIMIT_NOFILE, &after);
    return after.rlim_cur == HARD_LIMIT && counts.refused_connections > 0 ? 0 : 1;
}

static int connect_once(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path + 1, name, strlen(name));
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0);
    return fd;
}

static void a_flood_of_connections_leaves_descriptors_for_a_reload(void **state)
{
    int ready[2], flooded[2], fds[CONNECTIONS], status;
    struct pollfd last;
    char byte = 0;
    pid_t child;

    (void)state;
    (void)snprintf(name, sizeof(name), "synauthz-descriptors-%d", getpid());
    (void)snprintf(spec, sizeof(spec), "unix:@%s", name);
    assert_int_equal(write_policy(), 0);
    assert_int_equal(pipe(ready) | pipe(flooded), 0);
    child = fork(); /* before anything of gRPC */
    if (child == 0)
        _exit(serve_under_flood(ready[1], flooded[0]));
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    for (size_t i = 0; i < CONNECTIONS; i++)
        fds[i] = connect_once();
    /* the server has come to the last one when that is closed; without descriptors it never does */
    last = (struct pollfd){.fd = fds[CONNECTIONS - 1], .events = POLLRDHUP};
    (void)poll(&last, 1, 3000);
    assert_int_equal(write(flooded[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    for (size_t i = 0; i < CONNECTIONS; i++)
        (void)close(fds[i]);
    (void)unlink(policy_path);
    (void)close(ready[0]);
    (void)close(flooded[0]);
    (void)close(flooded[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_connections_leaves_descriptors_for_a_reload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
