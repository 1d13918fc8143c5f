/* SPDX-License-Identifier: Apache-2.0 */
#include "log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "beat.h"
#include "cleanup.h"

enum { FILE_MODE = 0640, CONNECT_EVERY_MS = 100 };

static const struct str UNIX = STR_INIT("unix:");

/* --- opening ---------------------------------------------------------------------------------- */

int log_sink_check(struct str destination, struct diag *diag)
{
    const struct str path = str_from_offset(destination, UNIX.len);

    if (!str_has_prefix(destination, UNIX))
        return destination.len ? 0 : diag_set(diag, -EINVAL, "expected a file, unix:/path or `-`");
    if (path.len == 0 || path.ptr[0] != '/')
        return diag_set(diag, -EINVAL, "expected an absolute path behind `unix:`");
    if (path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
        return diag_set(diag, -EINVAL, "the path of a socket has at most %zu bytes",
                        sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
    return 0;
}

static int kind_of(int fd, enum sink_kind *ret_kind)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISREG(st.st_mode))
        *ret_kind = SINK_FILE;
    else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        *ret_kind = SINK_STREAM;
    else if (S_ISSOCK(st.st_mode))
        *ret_kind = SINK_SOCKET;
    else
        return -EINVAL;
    return 0;
}

static int open_standard_output(struct log_sink *ret_sink, struct diag *diag)
{
    enum sink_kind kind;
    int r = kind_of(STDOUT_FILENO, &kind);

    if (r < 0)
        return diag_set(diag, r, "standard output: %s", strerror(-r));
    *ret_sink = (struct log_sink){.kind = kind, .fd = STDOUT_FILENO};
    return 0;
}

static int open_file(const char *path, struct log_sink *ret_sink, struct diag *diag)
{
    CLEANUP(closep)
    int fd =
        open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, FILE_MODE);
    enum sink_kind kind;

    if (fd < 0)
        return diag_set(diag, -errno, "%s: cannot open it to write: %s", path,
                        errno == ENXIO ? "nobody reads from it" : strerror(errno));
    if (kind_of(fd, &kind) < 0 || kind == SINK_SOCKET)
        return diag_set(diag, -EINVAL, "%s: expected a file, or unix:/path for a socket", path);
    *ret_sink = (struct log_sink){.kind = SINK_FILE, .fd = take_fd(&fd)};
    return 0;
}

/* 0 without a receiver, too: it is looked for again. */
static int connect_to(struct log_sink *sink)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    memcpy(address.sun_path, sink->path, strlen(sink->path)); /* fits: log_sink_check() */
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        sink->fd = take_fd(&fd);
    return 0;
}

int log_sink_open(const char *destination, struct log_sink *ret_sink, struct diag *diag)
{
    struct log_sink sink = {.kind = SINK_DATAGRAM, .fd = -1, .path = destination + UNIX.len};
    int r;

    if (strcmp(destination, "-") == 0)
        return open_standard_output(ret_sink, diag);
    if (!str_has_prefix(str_from(destination), UNIX))
        return open_file(destination, ret_sink, diag);
    r = log_sink_check(str_from(destination), diag);
    if (r < 0)
        return r;
    r = connect_to(&sink);
    if (r < 0)
        return diag_set(diag, r, "%s: no socket: %s", destination, strerror(-r));
    *ret_sink = sink;
    return 0;
}

void log_sink_done(struct log_sink *sink)
{
    if (sink->fd > STDERR_FILENO)
        closep(&sink->fd);
    sink->fd = -1;
}

/* --- datagrams -------------------------------------------------------------------------------- */

/* The spans up to and with the first newline; there is one. */
static size_t first_line(const struct iovec spans[2], struct iovec ret_line[2])
{
    const char *end = memchr(spans[0].iov_base, '\n', spans[0].iov_len);

    ret_line[0] = spans[0];
    ret_line[1] = spans[1];
    if (end) {
        ret_line[0].iov_len = (size_t)(end - (const char *)spans[0].iov_base) + 1;
        ret_line[1].iov_len = 0;
    } else {
        end = memchr(spans[1].iov_base, '\n', spans[1].iov_len);
        ret_line[1].iov_len = (size_t)(end - (const char *)spans[1].iov_base) + 1;
    }
    return ret_line[0].iov_len + ret_line[1].iov_len;
}

static ssize_t send_spans(int fd, const struct iovec spans[2])
{
    struct iovec copy[2] = {spans[0], spans[1]};
    const struct msghdr message = {.msg_iov = copy, .msg_iovlen = 2};
    const ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

    return sent < 0 ? -errno : sent;
}

/* A receiver that ended, or that began anew under the same path. */
static bool is_gone(ssize_t error)
{
    return error == -ECONNREFUSED || error == -ENOTCONN || error == -ECONNRESET ||
           error == -EPIPE || error == -EDESTADDRREQ;
}

static ssize_t send_again(struct log_sink *sink, const struct iovec line[2])
{
    const uint64_t now_ms = beat_clock_ms();

    if (sink->fd >= 0)
        (void)close(take_fd(&sink->fd));
    if (now_ms < sink->next_try_ms)
        return -ENOTCONN;
    sink->next_try_ms = now_ms + CONNECT_EVERY_MS;
    if (connect_to(sink) < 0 || sink->fd < 0)
        return -ENOTCONN;
    return send_spans(sink->fd, line);
}

static ssize_t write_datagram(struct log_sink *sink, const struct iovec spans[2],
                              uint64_t *ret_lost)
{
    struct iovec line[2];
    const size_t length = first_line(spans, line);
    ssize_t sent = sink->fd >= 0 ? send_spans(sink->fd, line) : -ENOTCONN;

    if (is_gone(sent))
        sent = send_again(sink, line);
    if (is_gone(sent) || sent == -EMSGSIZE) {
        ++*ret_lost;
        return (ssize_t)length;
    }
    return sent;
}

/* --- streams ---------------------------------------------------------------------------------- */

static ssize_t result_of(ssize_t written)
{
    if (written >= 0)
        return written;
    return errno == EINTR ? -EAGAIN : -errno;
}

/* Standard output may be shared with others, for whom it must go on to block, so it is asked first;
 * a pipe that says yes takes PIPE_BUF bytes. */
static ssize_t write_stream(int fd, const struct iovec spans[2])
{
    const struct iovec *span = spans[0].iov_len ? &spans[0] : &spans[1];
    const size_t length = span->iov_len < PIPE_BUF ? span->iov_len : PIPE_BUF;
    struct pollfd can = {.fd = fd, .events = POLLOUT};

    if (poll(&can, 1, 0) == 0)
        return -EAGAIN;
    return result_of(write(fd, span->iov_base, length));
}

ssize_t log_sink_write(struct log_sink *sink, const struct iovec spans[2], uint64_t *ret_lost)
{
    switch (sink->kind) {
    case SINK_DATAGRAM:
        return write_datagram(sink, spans, ret_lost);
    case SINK_SOCKET:
        return send_spans(sink->fd, spans);
    case SINK_STREAM:
        return write_stream(sink->fd, spans);
    default:
        return result_of(writev(sink->fd, spans, 2));
    }
}
