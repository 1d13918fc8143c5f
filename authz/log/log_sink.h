/* SPDX-License-Identifier: Apache-2.0 */
/* Where lines go.
 *
 *     -            standard output, whatever that is
 *     FILE         appended to, made (0640) when it is not there; or a FIFO that somebody reads
 *     unix:/path   a datagram for each line; whoever receives may come and go
 *
 * Nothing here waits, but for a disk. */
#ifndef LOG_SINK_H
#define LOG_SINK_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "diag.h"
#include "str.h"

enum sink_kind {
    SINK_FILE = 0, /* and a FIFO, a device, which we opened ourselves so that they never block */
    SINK_STREAM, /* a pipe or a terminal as standard output: asked whether it takes more, and given
                    little at once */
    SINK_SOCKET, /* a stream socket as standard output, as systemd makes it */
    SINK_DATAGRAM, /* `path` is the receiver's */
};

struct log_sink {
    enum sink_kind kind;
    int fd; /* owned but for standard output; -1: closed, or a receiver that is not there */
    const char *path;
    uint64_t next_try_ms; /* to find the receiver again */
};

/* Is `destination` written as above?  Returns 0 or -EINVAL with a message. */
int log_sink_check(struct str destination, struct diag *diag);

/* `destination` is borrowed for as long as the sink is used.  A receiver of datagrams need not be
 * there yet.  Returns 0, or a negative errno with a message. */
int log_sink_open(const char *destination, struct log_sink *ret_sink, struct diag *diag);
void log_sink_done(struct log_sink *sink);

/* Writes from the front of the bytes; `ret_lost` counts lines that had no receiver.  Returns how
 * many bytes are done with, a part of a line perhaps, but never of a datagram; -EAGAIN when it
 * takes no more now, another negative errno when it failed.  Then the same bytes are to be tried
 * again. */
ssize_t log_sink_write(struct log_sink *sink, const struct iovec spans[2], uint64_t *ret_lost);

#endif
