/* SPDX-License-Identifier: Apache-2.0 */
#include "oplog.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LOG_MAX = 4096 };

/* What standard error got while `write_lines` ran. */
static size_t logged(void (*write_lines)(void), char text[LOG_MAX])
{
    int pipe_fds[2], saved = dup(STDERR_FILENO);
    ssize_t length;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    write_lines();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    close(pipe_fds[1]);
    length = read(pipe_fds[0], text, LOG_MAX - 1);
    close(pipe_fds[0]);
    assert_true(length >= 0);
    text[length] = '\0';
    return (size_t)length;
}

static void write_one_of_each(void)
{
    oplog_info("listening on %s", "unix:/a");
    oplog_error("cannot %d", 7);
}

static void each_event_is_a_line(void **state)
{
    char text[LOG_MAX];

    (void)state;
    (void)logged(write_one_of_each, text);
    assert_string_equal(text, "synauthz: listening on unix:/a\nsynauthz: error: cannot 7\n");
}

static void write_hostile(void)
{
    char longer[3000];

    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    oplog_info("a\nsynauthz: error: forged\033[31m");
    oplog_info("%s", longer);
}

static void a_line_cannot_be_forged_or_run_on(void **state)
{
    char text[LOG_MAX];
    size_t length, lines = 0;

    (void)state;
    length = logged(write_hostile, text);
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    assert_int_equal(lines, 2);
    assert_null(strchr(text, '\033'));
    assert_true(length < 1100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_a_line),
        cmocka_unit_test(a_line_cannot_be_forged_or_run_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
