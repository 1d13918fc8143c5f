/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <cmocka.h>

#include "http2_bytes.h"

enum { FRAME_CONTINUATION = 9, FRAME_PING = 6, ACK = 1 };

struct fixture {
    struct guarded connection;
    atomic_uint_fast64_t turns;
};

static int set_up(void **state)
{
    static struct fixture f;

    f = (struct fixture){.turns = 7};
    guarded_begin(&f.connection, &f.turns);
    assert_true(
        guarded_look(&f.connection, (const unsigned char *)HTTP2_PREFACE, strlen(HTTP2_PREFACE)));
    *state = &f;
    return 0;
}

/* One frame with `length` zeros, as it comes from the socket: `size` bytes at a time. */
static bool look_at(struct fixture *f, unsigned type, unsigned flags, size_t length, size_t size)
{
    unsigned char *bytes = calloc(1, 9 + length);
    bool is_fine = true;

    bytes[0] = (unsigned char)(length >> 16);
    bytes[1] = (unsigned char)(length >> 8);
    bytes[2] = (unsigned char)length;
    bytes[3] = (unsigned char)type;
    bytes[4] = (unsigned char)flags;
    for (size_t at = 0; is_fine && at < 9 + length; at += size)
        is_fine = guarded_look(&f->connection, bytes + at,
                               9 + length - at < size ? 9 + length - at : size);
    free(bytes);
    return is_fine;
}

/* How many of these frames are let through, up to a million. */
static size_t count_of(struct fixture *f, unsigned type, unsigned flags, size_t length)
{
    size_t count = 0;

    while (count < 1000000 && look_at(f, type, flags, length, SIZE_MAX))
        count++;
    return count;
}

static void streams_of_one_turn_are_bounded(void **state)
{
    assert_int_equal(count_of(*state, FRAME_HEADERS, END_HEADERS, 100), GUARD_STREAMS_MAX);
}

static void frames_of_one_turn_are_bounded(void **state)
{
    assert_int_equal(count_of(*state, FRAME_DATA, 0, 8), GUARD_FRAMES_MAX);
}

static void frames_that_want_an_answer_are_bounded(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < GUARD_ANSWERED_MAX; i++) {
        assert_true(look_at(f, i % 2 ? FRAME_PING : FRAME_SETTINGS, 0, 12, SIZE_MAX));
        assert_true(look_at(f, i % 2 ? FRAME_PING : FRAME_SETTINGS, ACK, 12, SIZE_MAX));
    }
    assert_false(look_at(f, FRAME_PING, 0, 8, SIZE_MAX));
}

static void a_header_block_is_bounded_whatever_its_frames_are(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 10; i++) /* each has an end */
        assert_true(look_at(f, FRAME_HEADERS, END_HEADERS, GUARD_BLOCK_MAX - 1, SIZE_MAX));
    assert_true(look_at(f, FRAME_HEADERS, 0, 16384, SIZE_MAX));
    assert_int_equal(count_of(f, FRAME_CONTINUATION, 0, 16384), GUARD_BLOCK_MAX / 16384 - 1);
}

static void streams_before_the_settings_are_known_are_bounded(void **state)
{
    struct fixture *f = *state;
    size_t count = 0;

    while (look_at(f, FRAME_HEADERS, END_HEADERS, 10, SIZE_MAX)) {
        f->turns++;
        count++;
    }
    assert_int_equal(count, GUARD_STREAMS_MAX);
}

static void each_turn_of_the_thread_begins_anew(void **state)
{
    struct fixture *f = *state;

    assert_true(look_at(f, FRAME_SETTINGS, ACK, 0, SIZE_MAX));
    for (size_t i = 0; i < 4 * GUARD_STREAMS_MAX; i++) {
        if (i % 100 == 0)
            f->turns++;
        assert_true(look_at(f, FRAME_HEADERS, END_HEADERS, 10, SIZE_MAX));
    }
    for (size_t i = 0; i < 4 * GUARD_FRAMES_MAX; i++) {
        f->turns += i % 1000 == 0;
        assert_true(look_at(f, FRAME_DATA, 0, 1, SIZE_MAX));
    }
}

/* A head may be cut anywhere; a payload that looks like heads is none. */
static void frames_are_found_however_they_are_cut(void **state)
{
    static const size_t SIZES[] = {1, 2, 5, 9, 10, 1000};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        f->turns++;
        for (size_t j = 0; j < 50; j++)
            assert_true(
                look_at(f, j % 2 ? FRAME_HEADERS : FRAME_DATA, END_HEADERS, 7 * j, SIZES[i]));
        assert_int_equal(f->connection.streams, 25 * (i + 1));
        assert_int_equal(f->connection.frames, 50);
    }
}

/* What recvmsg() reads: the connection is ended, and its number is free for something else. */
static void a_connection_that_floods_is_ended(void **state)
{
    struct fixture *f = *state;
    int fds[2];
    unsigned char head[9] = {0, 0, 1, FRAME_HEADERS}, buffer[1 << 16];
    struct iovec parts[2] = {{buffer, 3}, {buffer + 3, sizeof(buffer) - 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    struct stream_guard guard = {0};
    ssize_t got;
    size_t sent = 0;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    guard.count = fds[0] + 1;
    guard.connections = calloc((size_t)guard.count, sizeof(*guard.connections));
    guarded_begin(&guard.connections[fds[0]], &f->turns);
    stream_guard_install(&guard);
    assert_int_equal(send(fds[1], HTTP2_PREFACE, 24, 0), 24);
    do {
        assert_true(sent++ <= GUARD_STREAMS_MAX);
        assert_int_equal(send(fds[1], head, 9, MSG_NOSIGNAL), 9);
        assert_int_equal(send(fds[1], "x", 1, MSG_NOSIGNAL), 1);
        got = recvmsg(fds[0], &message, 0);
    } while (got > 0);
    assert_int_equal(guard.ended, 1);
    assert_int_equal(send(fds[1], head, 9, MSG_NOSIGNAL), -1);
    assert_int_equal(close(fds[0]), 0);
    assert_false(guard.connections[fds[0]].is_guarded);
    stream_guard_install(NULL);
    (void)close(fds[1]);
    free(guard.connections);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(streams_of_one_turn_are_bounded, set_up),
        cmocka_unit_test_setup(frames_of_one_turn_are_bounded, set_up),
        cmocka_unit_test_setup(frames_that_want_an_answer_are_bounded, set_up),
        cmocka_unit_test_setup(a_header_block_is_bounded_whatever_its_frames_are, set_up),
        cmocka_unit_test_setup(streams_before_the_settings_are_known_are_bounded, set_up),
        cmocka_unit_test_setup(each_turn_of_the_thread_begins_anew, set_up),
        cmocka_unit_test_setup(frames_are_found_however_they_are_cut, set_up),
        cmocka_unit_test_setup(a_connection_that_floods_is_ended, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
