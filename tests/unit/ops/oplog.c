/* SPDX-License-Identifier: Apache-2.0 */
#include "oplog.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* --- files ------------------------------------------------------------------------------------ */

struct log_file {
    char folder[64], path[96], rotated[96], text[LOG_MAX];
    int saved; /* standard error as it was */
};

static int set_up(void **state)
{
    struct log_file *log = calloc(1, sizeof(*log));

    *state = log;
    log->saved = dup(STDERR_FILENO);
    (void)snprintf(log->folder, sizeof(log->folder), "/tmp/synauthz-oplog-test-XXXXXX");
    if (!mkdtemp(log->folder))
        return -1;
    (void)snprintf(log->path, sizeof(log->path), "%s/log", log->folder);
    (void)snprintf(log->rotated, sizeof(log->rotated), "%s/log.1", log->folder);
    return 0;
}

static void restore(const struct log_file *log)
{
    assert_true(dup2(log->saved, STDERR_FILENO) >= 0);
}

static int tear_down(void **state)
{
    struct log_file *log = *state;

    restore(log);
    (void)close(log->saved);
    (void)unlink(log->path);
    (void)unlink(log->rotated);
    (void)rmdir(log->folder);
    free(log);
    return 0;
}

static const char *read_log(struct log_file *log, const char *path)
{
    FILE *file = fopen(path, "r");
    size_t length;

    assert_non_null(file);
    length = fread(log->text, 1, LOG_MAX - 1, file);
    log->text[length] = '\0';
    (void)fclose(file);
    return log->text;
}

static void a_file_has_lines_with_times_and_is_appended_to(void **state)
{
    struct log_file *log = *state;
    struct diag diag = {0};
    struct stat st;
    unsigned year;
    int length = 0;

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(oplog_to_file(log->path, &diag), 0);
        oplog_info("number %u", i);
    }
    restore(log);
    assert_int_equal(stat(log->path, &st), 0);
    assert_int_equal(st.st_mode & 07777 & ~0640u, 0);
    assert_int_equal(sscanf(read_log(log, log->path),
                            "%4u-%*2u-%*2uT%*2u:%*2u:%*2u.%*3uZ synauthz: number 0\n%n", &year,
                            &length),
                     1);
    assert_in_range(year, 2024, 2200);
    assert_int_equal(strlen(log->text), 2 * (size_t)length);
    assert_non_null(strstr(log->text, "Z synauthz: number 1\n"));
}

static void a_rotated_log_is_opened_again(void **state)
{
    struct log_file *log = *state;
    struct diag diag = {0};

    assert_int_equal(oplog_to_file(log->path, &diag), 0);
    oplog_info("before");
    assert_int_equal(rename(log->path, log->rotated), 0);
    oplog_info("in between");
    assert_int_equal(oplog_to_file(log->path, &diag), 0);
    oplog_info("behind");
    restore(log);
    assert_non_null(strstr(read_log(log, log->rotated), "in between"));
    assert_null(strstr(log->text, "behind"));
    assert_non_null(strstr(read_log(log, log->path), "behind"));
}

/* And it goes on where it went before. */
static void what_is_no_file_is_refused(void **state)
{
    struct log_file *log = *state;
    const char *const rows[] = {log->folder, "/no/such/folder/log", log->rotated};
    struct diag diag;

    assert_int_equal(mkfifo(log->rotated, 0600), 0);
    assert_int_equal(oplog_to_file(log->path, &diag), 0);
    for (unsigned with_reader = 0; with_reader < 2; with_reader++) {
        int reader = with_reader ? open(log->rotated, O_RDONLY | O_NONBLOCK | O_CLOEXEC) : -1;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            diag_clear(&diag);
            assert_true(oplog_to_file(rows[i], &diag) < 0);
            assert_non_null(strstr(diag.text, rows[i]));
        }
        if (reader >= 0)
            (void)close(reader);
    }
    oplog_info("still here");
    restore(log);
    assert_non_null(strstr(read_log(log, log->path), "still here"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_event_is_a_line),
        cmocka_unit_test(a_line_cannot_be_forged_or_run_on),
        cmocka_unit_test_setup_teardown(a_file_has_lines_with_times_and_is_appended_to, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_rotated_log_is_opened_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
