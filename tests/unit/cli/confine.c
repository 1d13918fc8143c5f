/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child of its own: a filter stays. */
#include "confine.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { COMMANDS = 40, NO_COMMAND = 1000 };
enum { LOOK_UP = 1, GET = 7, INFO = 15, LOOK_UP_BATCH = 24 };

static int in_child(int (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(act());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int confine(void)
{
    struct diag diag = {0};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || confine_bpf(&diag) < 0;
}

/* What bpf() says to a command whose attributes cannot be read. */
static int errno_of(int command)
{
    errno = 0;
    return syscall(SYS_bpf, command, NULL, 16) < 0 ? errno : 0;
}

static bool may_be_asked(int command)
{
    return command == LOOK_UP || command == GET || command == INFO || command == LOOK_UP_BATCH;
}

/* Commands that get through fail at their attributes. */
static int only_reading_gets_through(void)
{
    if (confine() != 0)
        return 100;
    for (int command = 0; command < COMMANDS; command++)
        if (errno_of(command) != (may_be_asked(command) ? EFAULT : EPERM))
            return command + 1;
    return errno_of(NO_COMMAND) == EPERM && errno_of(-1) == EPERM ? 0 : 101;
}

static void *ask(void *result)
{
    *(int *)result = errno_of(0);
    return NULL;
}

static int threads_and_children_are_confined_too(void)
{
    pthread_t thread;
    int from_thread = 0;

    if (confine() != 0)
        return 100;
    if (pthread_create(&thread, NULL, ask, &from_thread) != 0 || pthread_join(thread, NULL) != 0)
        return 101;
    if (from_thread != EPERM)
        return 1;
    return in_child(only_reading_gets_through) == 0 ? 0 : 2;
}

#if defined(__x86_64__)
static int other_numbers_are_refused(void)
{
    if (confine() != 0)
        return 100;
    errno = 0;
    if (syscall(0x40000000 | SYS_getpid) != -1 || errno != EPERM)
        return 1;
    return getpid() > 0 ? 0 : 2;
}
#endif

static int the_filter_needs_no_new_privs(void)
{
    struct diag diag = {0};

    if (setresuid(65534, 65534, 65534) < 0)
        return 100;
    return confine_bpf(&diag) == -EACCES && strstr(diag.text, "seccomp") ? 0 : 1;
}

#define CHILD_TEST(act)                                                                            \
    static void act##_test(void **state)                                                           \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(in_child(act), 0);                                                        \
    }
CHILD_TEST(only_reading_gets_through)
CHILD_TEST(threads_and_children_are_confined_too)
#if defined(__x86_64__)
CHILD_TEST(other_numbers_are_refused)
#endif
CHILD_TEST(the_filter_needs_no_new_privs)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_reading_gets_through_test),
        cmocka_unit_test(threads_and_children_are_confined_too_test),
#if defined(__x86_64__)
        cmocka_unit_test(other_numbers_are_refused_test),
#endif
        cmocka_unit_test(the_filter_needs_no_new_privs_test),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
