/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_who_wants_to_know_is_fine),
        cmocka_unit_test(the_manager_gets_the_state),
        cmocka_unit_test(a_path_that_is_none_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
