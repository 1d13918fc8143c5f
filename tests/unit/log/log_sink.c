/* SPDX-License-Identifier: Apache-2.0 */
#include "log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "output.h"

static void a_destination_is_checked_before_anything_is_opened(void **state)
{
    static const struct {
        const char *destination, *complaint; /* NULL: it is a good one */
    } ROWS[] = {
        {"-", NULL},
        {"/var/log/decisions", NULL},
        {"decisions", NULL},
        {"unix:/run/log", NULL},
        {"", "expected a file, unix:/path or `-`"},
        {"unix:", "expected an absolute path behind `unix:`"},
        {"unix:run/log", "expected an absolute path behind `unix:`"},
        {"unix:/"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
         "the path of a socket has at most 107 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};
        int r = log_sink_check(str_from(ROWS[i].destination), &diag);

        assert_int_equal(r, ROWS[i].complaint ? -EINVAL : 0);
        assert_string_equal(diag.text, ROWS[i].complaint ? ROWS[i].complaint : "");
    }
}

static void standard_output_is_what_it_is_and_stays_open(void **state)
{
    struct output output = output_begin();
    const struct iovec spans[2] = {{(void *)(uintptr_t) "{}\n", 3}, {NULL, 0}};
    struct log_sink sink;
    struct diag diag = {0};
    uint64_t lost = 0;
    char text[16];
    ssize_t written = -1;
    int r = log_sink_open("-", &sink, &diag);

    (void)state;
    if (r == 0)
        written = log_sink_write(&sink, spans, &lost);
    log_sink_done(&sink);
    output_end(&output, text, sizeof(text));
    assert_int_equal(r, 0);
    assert_int_equal(sink.kind, SINK_FILE);
    assert_int_equal(written, 3);
    assert_string_equal(text, "{}\n");
    assert_true(fcntl(STDOUT_FILENO, F_GETFL) >= 0);
}

/* As systemd starts programs: it must go on to block for everybody else. */
static void a_socket_as_standard_output_is_never_waited_for(void **state)
{
    enum { BIG = 1 << 16 };
    static char bytes[BIG];
    const struct iovec spans[2] = {{bytes, BIG / 2}, {bytes + BIG / 2, BIG / 2}};
    struct log_sink sink = {.fd = -1};
    const int kept = dup(STDOUT_FILENO);
    struct diag diag = {0};
    uint64_t lost = 0;
    ssize_t written = 0;
    int pair[2], flags, r;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    (void)fflush(stdout);
    assert_true(dup2(pair[0], STDOUT_FILENO) >= 0);
    r = log_sink_open("-", &sink, &diag);
    while (r == 0 && written >= 0)
        written = log_sink_write(&sink, spans, &lost);
    flags = fcntl(STDOUT_FILENO, F_GETFL);
    assert_true(dup2(kept, STDOUT_FILENO) >= 0);
    assert_int_equal(r, 0);
    assert_int_equal(sink.kind, SINK_SOCKET);
    assert_int_equal(written, -EAGAIN);
    assert_int_equal(flags & O_NONBLOCK, 0);
    assert_int_equal(lost, 0);
    (void)close(kept);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_destination_is_checked_before_anything_is_opened),
        cmocka_unit_test(standard_output_is_what_it_is_and_stays_open),
        cmocka_unit_test(a_socket_as_standard_output_is_never_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
