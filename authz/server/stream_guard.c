/* SPDX-License-Identifier: Apache-2.0 */
#include "stream_guard.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { PREFACE_LENGTH = 24 };
enum { FRAME_HEADERS = 1, FRAME_SETTINGS = 4, FRAME_PING = 6, FRAME_CONTINUATION = 9 };
enum { ACK = 1, END_HEADERS = 4 };

void guarded_begin(struct guarded *connection, const atomic_uint_fast64_t *turns)
{
    *connection = (struct guarded){.is_guarded = true, .skip = PREFACE_LENGTH, .turns = turns};
}

/* --- one connection --------------------------------------------------------------------------- */

static void begin_turn(struct guarded *connection)
{
    uint64_t turn = atomic_load_explicit(connection->turns, memory_order_relaxed);

    if (turn == connection->turn)
        return;
    connection->turn = turn;
    connection->frames = connection->answered = 0;
    if (connection->knows_settings)
        connection->streams = 0;
}

static bool take_head(struct guarded *connection)
{
    const unsigned char *head = connection->head;
    const unsigned type = head[3], flags = head[4];

    connection->head_length = 0;
    connection->skip = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    connection->frames++;
    if (type == FRAME_HEADERS)
        connection->streams++;
    if (type == FRAME_SETTINGS && flags & ACK)
        connection->knows_settings = true;
    if ((type == FRAME_SETTINGS || type == FRAME_PING) && !(flags & ACK))
        connection->answered++;
    if (type == FRAME_HEADERS || type == FRAME_CONTINUATION) {
        connection->block += connection->skip;
        if (connection->block > GUARD_BLOCK_MAX)
            return false;
        if (flags & END_HEADERS)
            connection->block = 0;
    }
    return connection->streams <= GUARD_STREAMS_MAX && connection->frames <= GUARD_FRAMES_MAX &&
           connection->answered <= GUARD_ANSWERED_MAX;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool guarded_look(struct guarded *connection, const unsigned char *bytes, size_t length)
{
    begin_turn(connection);
    while (length > 0) {
        size_t size = least(length, connection->skip);

        if (size == 0) {
            size = least(length, sizeof(connection->head) - connection->head_length);
            memcpy(connection->head + connection->head_length, bytes, size);
            connection->head_length += (uint8_t)size;
            if (connection->head_length == sizeof(connection->head) && !take_head(connection))
                return false;
        } else {
            connection->skip -= (uint32_t)size;
        }
        bytes += size;
        length -= size;
    }
    return true;
}

/* --- all that gRPC reads ---------------------------------------------------------------------- */

static struct stream_guard *_Atomic installed;

void stream_guard_install(struct stream_guard *guard)
{
    atomic_store(&installed, guard);
}

static bool look_at_all(struct guarded *connection, const struct msghdr *message, size_t length)
{
    for (size_t i = 0; i < message->msg_iovlen && length > 0; i++) {
        size_t size = least(length, message->msg_iov[i].iov_len);

        if (!guarded_look(connection, message->msg_iov[i].iov_base, size))
            return false;
        length -= size;
    }
    return true;
}

static struct guarded *guarded_of(struct stream_guard *guard, int fd)
{
    if (!guard || fd < 0 || fd >= guard->count ||
        !atomic_load_explicit(&guard->connections[fd].is_guarded, memory_order_relaxed))
        return NULL;
    return &guard->connections[fd];
}

/* The linker calls these where a library calls recvmsg() and close(): --wrap in CMakeLists. */
ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags) __attribute__((used));
int __real_close(int fd);
int __wrap_close(int fd) __attribute__((used));

ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct stream_guard *guard = atomic_load_explicit(&installed, memory_order_acquire);
    struct guarded *connection = guarded_of(guard, fd);
    ssize_t length = __real_recvmsg(fd, message, flags);

    if (length <= 0 || !connection || look_at_all(connection, message, (size_t)length))
        return length;
    atomic_fetch_add_explicit(&guard->ended, 1, memory_order_relaxed);
    (void)shutdown(fd, SHUT_RDWR);
    errno = ECONNRESET;
    return -1;
}

int __wrap_close(int fd)
{
    struct guarded *connection =
        guarded_of(atomic_load_explicit(&installed, memory_order_acquire), fd);

    if (connection)
        atomic_store_explicit(&connection->is_guarded, false, memory_order_relaxed);
    return __real_close(fd);
}
