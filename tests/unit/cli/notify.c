/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

/* An abstract socket that stands for the service manager. */
static int listen_as_manager(char name[64])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int length = snprintf(name, 64, "@synauthz-notify-test-%d", (int)getpid());

    memcpy(address.sun_path + 1, name + 1, (size_t)length - 1);
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)), 0);
    return fd;
}

static void nobody_who_wants_to_know_is_fine(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    assert_int_equal(notify_send("READY=1"), 0);
}

static void the_manager_gets_the_state(void **state)
{
    char name[64], got[64];
    int fd = listen_as_manager(name);
    ssize_t length;

    (void)state;
    setenv("NOTIFY_SOCKET", name, 1);
    assert_int_equal(notify_send("READY=1"), 1);
    length = recv(fd, got, sizeof(got), MSG_DONTWAIT);
    assert_int_equal(length, 7);
    assert_memory_equal(got, "READY=1", 7);
    close(fd);
    assert_int_equal(notify_send("READY=1"), -ECONNREFUSED);
}

static void a_manager_that_does_not_read_holds_nobody_up(void **state)
{
    char name[64];
    int fd = listen_as_manager(name), sent = 0, r;

    (void)state;
    setenv("NOTIFY_SOCKET", name, 1);
    while ((r = notify_send("WATCHDOG=1")) == 1)
        sent++;
    assert_int_equal(r, -EAGAIN);
    assert_true(sent > 0);
    close(fd);
}

static void a_path_that_is_none_is_refused(void **state)
{
    char longer[200];

    (void)state;
    setenv("NOTIFY_SOCKET", "relative/path", 1);
    assert_int_equal(notify_send("READY=1"), -EINVAL);
    memset(longer, 'a', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    assert_int_equal(notify_send("READY=1"), -EINVAL);
}

static void the_watchdog_is_fed_twice_as_often_as_it_bites(void **state)
{
    static const struct {
        const char *limit;
        bool is_ours;
        uint64_t period_ms;
    } ROWS[] = {
        {"20000000", true, 10000}, {"20000000", false, 0}, {"400000", true, 200},
        {"10", true, 1},           {"0", true, 0},         {"20s", true, 0},
    };
    char pid[32];

    (void)state;
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(notify_watchdog_ms(), 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        (void)snprintf(pid, sizeof(pid), "%d", (int)getpid() + !ROWS[i].is_ours);
        setenv("WATCHDOG_USEC", ROWS[i].limit, 1);
        setenv("WATCHDOG_PID", pid, 1);
        assert_int_equal(notify_watchdog_ms(), ROWS[i].period_ms);
        unsetenv("WATCHDOG_PID");
        assert_int_equal(notify_watchdog_ms(), ROWS[i].is_ours ? ROWS[i].period_ms : 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_who_wants_to_know_is_fine),
        cmocka_unit_test(the_manager_gets_the_state),
        cmocka_unit_test(a_manager_that_does_not_read_holds_nobody_up),
        cmocka_unit_test(a_path_that_is_none_is_refused),
        cmocka_unit_test(the_watchdog_is_fed_twice_as_often_as_it_bites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
