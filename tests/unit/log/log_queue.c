/* SPDX-License-Identifier: Apache-2.0 */
#include "log_queue.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 64 };

static size_t drain(struct log_queue *queue, char *text)
{
    struct iovec spans[2];
    const size_t count = log_queue_peek(queue, spans);

    assert_int_equal(spans[0].iov_len + spans[1].iov_len, count);
    memcpy(text, spans[0].iov_base, spans[0].iov_len);
    memcpy(text + spans[0].iov_len, spans[1].iov_base, spans[1].iov_len);
    log_queue_take(queue, count);
    return count;
}

static void what_is_put_comes_out_in_order(void **state)
{
    struct log_queue queue;
    char text[SIZE];

    (void)state;
    assert_int_equal(log_queue_init(&queue, SIZE), 0);
    assert_int_equal(drain(&queue, text), 0);
    for (unsigned round = 0; round < 100; round++) { /* around the end of the ring in all ways */
        char line[32];
        const int length = snprintf(line, sizeof(line), "line %u\nand %u\n", round, round);

        assert_true(log_queue_put(&queue, line, (size_t)length));
        assert_int_equal(log_queue_used(&queue), length);
        assert_int_equal(drain(&queue, text), length);
        assert_memory_equal(text, line, (size_t)length);
    }
    log_queue_done(&queue);
}

static void a_full_queue_takes_nothing_and_keeps_what_it_has(void **state)
{
    struct log_queue queue;
    char text[SIZE], line[SIZE];

    (void)state;
    memset(line, 'x', sizeof(line));
    assert_int_equal(log_queue_init(&queue, SIZE), 0);
    assert_true(log_queue_put(&queue, "first\n", 6));
    assert_false(log_queue_put(&queue, line, SIZE - 5));
    assert_true(log_queue_put(&queue, line, SIZE - 6)); /* to the last byte */
    assert_false(log_queue_put(&queue, "y", 1));
    assert_int_equal(drain(&queue, text), SIZE);
    assert_memory_equal(text, "first\nxxx", 9);
    assert_true(log_queue_put(&queue, line, SIZE));
    log_queue_done(&queue);
}

static void what_is_not_taken_comes_again(void **state)
{
    struct log_queue queue;
    struct iovec spans[2];

    (void)state;
    assert_int_equal(log_queue_init(&queue, SIZE), 0);
    assert_true(log_queue_put(&queue, "abcdef", 6));
    assert_int_equal(log_queue_peek(&queue, spans), 6);
    log_queue_take(&queue, 2);
    assert_int_equal(log_queue_peek(&queue, spans), 4);
    assert_memory_equal(spans[0].iov_base, "cdef", 4);
    log_queue_done(&queue);
}

/* --- two threads ------------------------------------------------------------------------------ */

enum { LINES = 20000 };

static void *put_lines(void *context)
{
    struct log_queue *queue = context;

    for (unsigned i = 0; i < LINES; i++) {
        char line[32];
        const int length = snprintf(line, sizeof(line), "%u\n", i * 7);

        while (!log_queue_put(queue, line, (size_t)length))
            (void)sched_yield();
    }
    return NULL;
}

static void between_two_threads_nothing_is_lost_torn_or_turned_round(void **state)
{
    struct log_queue queue;
    pthread_t thread;
    unsigned number = 0, lines = 0;

    (void)state;
    assert_int_equal(log_queue_init(&queue, SIZE), 0);
    assert_int_equal(pthread_create(&thread, NULL, put_lines, &queue), 0);
    while (lines < LINES) {
        char text[SIZE];
        const size_t count = drain(&queue, text);

        for (size_t i = 0; i < count; i++) {
            if (text[i] != '\n') {
                number = number * 10 + (unsigned)(text[i] - '0');
                continue;
            }
            assert_int_equal(number, lines * 7);
            lines++;
            number = 0;
        }
        if (count == 0)
            (void)sched_yield();
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    log_queue_done(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_comes_out_in_order),
        cmocka_unit_test(a_full_queue_takes_nothing_and_keeps_what_it_has),
        cmocka_unit_test(what_is_not_taken_comes_again),
        cmocka_unit_test(between_two_threads_nothing_is_lost_torn_or_turned_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
