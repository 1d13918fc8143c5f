/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child of its own, which a signal may end. */
#include "signals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

enum { SURVIVED = 42, WRONG = 43 };

/* The status that waitpid() says of a child that ran `act`. */
static int status_of(int (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(act());
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static int prepare_and_terminate(void)
{
    if (signals_prepare(NULL) < 0)
        return WRONG;
    (void)raise(SIGTERM);
    return SURVIVED;
}

static int prepare_and_hang_up(void)
{
    if (signals_prepare(NULL) < 0)
        return WRONG;
    (void)raise(SIGHUP);
    (void)raise(SIGPIPE);
    return SURVIVED;
}

static int collect_and_read(void)
{
    struct signalfd_siginfo info;
    int fd = -1;

    if (signals_prepare(NULL) < 0)
        return WRONG;
    (void)raise(SIGHUP); /* before anybody reads: it is not lost */
    if (signals_collect(&fd, NULL) < 0)
        return WRONG;
    (void)raise(SIGTERM);
    if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGHUP)
        return WRONG;
    if (read(fd, &info, sizeof(info)) != sizeof(info) || info.ssi_signo != SIGTERM)
        return WRONG;
    return SURVIVED;
}

static int the_second_one(void)
{
    struct signalfd_siginfo info;
    int fd = -1;

    if (signals_prepare(NULL) < 0 || signals_collect(&fd, NULL) < 0)
        return WRONG;
    (void)raise(SIGINT);
    if (read(fd, &info, sizeof(info)) != sizeof(info))
        return WRONG;
    signals_let_end();
    (void)raise(SIGINT);
    return SURVIVED;
}

static void until_they_are_collected_termination_is_at_once(void **state)
{
    int status = status_of(prepare_and_terminate);

    (void)state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void hanging_up_waits_and_broken_pipes_are_nothing(void **state)
{
    int status = status_of(prepare_and_hang_up);

    (void)state;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED);
}

static void then_they_are_read(void **state)
{
    int status = status_of(collect_and_read);

    (void)state;
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SURVIVED);
}

static void a_second_one_ends_the_program(void **state)
{
    int status = status_of(the_second_one);

    (void)state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(until_they_are_collected_termination_is_at_once),
        cmocka_unit_test(hanging_up_waits_and_broken_pipes_are_nothing),
        cmocka_unit_test(then_they_are_read),
        cmocka_unit_test(a_second_one_ends_the_program),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
