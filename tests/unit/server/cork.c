/* SPDX-License-Identifier: Apache-2.0 */
/* With real TCP sockets: TCP_CORK can be read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "cork.h"

static bool is_corked(int fd)
{
    int on = 0;
    socklen_t length = sizeof(on);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, &length), 0);
    return on != 0;
}

static int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    return fd;
}

/* A run of so many requests, and its end. */
static void run(struct cork *cork, unsigned requests)
{
    for (unsigned i = 0; i < requests; i++)
        cork_on_request(cork);
    cork_on_finished(cork);
}

static void short_runs_are_not_gathered(void **state)
{
    struct cork cork = {0};

    (void)state;
    assert_false(cork_is_gathering(&cork));
    run(&cork, CORK_RUN_MIN - 1);
    assert_false(cork_is_gathering(&cork));
    run(&cork, CORK_RUN_MIN);
    assert_true(cork_is_gathering(&cork));
    for (unsigned i = 0; i < 5; i++)
        cork_on_finished(&cork); /* the rest of the finished calls */
    assert_true(cork_is_gathering(&cork));
    run(&cork, 1);
    assert_false(cork_is_gathering(&cork));
}

static void replies_are_held_until_the_first_finished_call(void **state)
{
    struct cork cork = {0};
    int a = tcp_socket(), b = tcp_socket();

    (void)state;
    run(&cork, CORK_RUN_MIN);
    cork_on_request(&cork);
    cork_reply(&cork, a);
    cork_on_request(&cork);
    cork_reply(&cork, b);
    cork_reply(&cork, a);
    assert_true(is_corked(a));
    assert_true(is_corked(b));
    cork_on_finished(&cork);
    assert_false(is_corked(a));
    assert_false(is_corked(b));
    (void)close(a);
    (void)close(b);
}

static void replies_are_pushed_every_few(void **state)
{
    struct cork cork = {0};
    int fds[CORK_REPLIES_MAX], last = tcp_socket();

    (void)state;
    for (size_t i = 0; i < CORK_REPLIES_MAX; i++) {
        fds[i] = tcp_socket();
        cork_reply(&cork, fds[i]);
    }
    assert_true(is_corked(fds[0]));
    cork_reply(&cork, last);
    for (size_t i = 0; i < CORK_REPLIES_MAX; i++) {
        assert_false(is_corked(fds[i]));
        (void)close(fds[i]);
    }
    assert_true(is_corked(last));
    (void)close(last);
}

static void a_closed_socket_is_no_harm(void **state)
{
    struct cork cork = {0};
    int fd = tcp_socket(), other = tcp_socket();

    (void)state;
    cork_reply(&cork, fd);
    cork_reply(&cork, other);
    (void)close(fd);
    run(&cork, 1);
    assert_false(is_corked(other));
    (void)close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_runs_are_not_gathered),
        cmocka_unit_test(replies_are_held_until_the_first_finished_call),
        cmocka_unit_test(replies_are_pushed_every_few),
        cmocka_unit_test(a_closed_socket_is_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
