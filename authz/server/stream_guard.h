/* SPDX-License-Identifier: Apache-2.0 */
/* Ends connections whose client makes gRPC core keep more than it has a limit for.
 *
 * Debian's gRPC core reads a connection as long as bytes come, without a look at the calls that
 * pile up meanwhile, and some of its limits hold only for clients that have acknowledged them.
 * Streams opened and reset again and again (CVE-2023-44487), streams beyond the limit, a header
 * block without an end, a flood of small frames: each takes whatever memory there is.  So the bytes
 * that gRPC reads are looked at on their way: the head of each HTTP/2 frame, no more.  What is
 * counted begins anew when the connection's thread has come to look for events, which it does when
 * it has dealt with all calls it was given; a client that keeps to the limits never gets near.
 * Source: RFC 9113 4.1, 6.2, 6.10. */
#ifndef STREAM_GUARD_H
#define STREAM_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Between two turns of the thread, or before the client has acknowledged our settings, and so
     * the calls of one connection that are in memory: some 11 KB each.  Envoy has as many as we
     * tell it (100), before it was told 1024 or what its circuit breaker allows. */
    GUARD_STREAMS_MAX = 2048,
    GUARD_FRAMES_MAX = 1 << 16,
    GUARD_ANSWERED_MAX = 1000, /* frames that are answered by one, PING and SETTINGS */
    /* Of one header block, as sent.  Envoy's own limit for requests is 60 KiB. */
    GUARD_BLOCK_MAX = 256 << 10,
};

/* Of one connection. */
struct guarded {
    atomic_bool is_guarded; /* until its descriptor is closed */
    unsigned char head[9];  /* of the frame that begins, `head_length` bytes of it */
    uint8_t head_length;
    uint32_t skip;       /* bytes before the next head: a preface, a payload */
    uint32_t block;      /* bytes of the header block that has not ended; 0: none */
    bool knows_settings; /* has acknowledged them; gRPC then bounds the streams that are open */
    uint32_t streams, frames, answered; /* since `turn`, or since the beginning */
    uint64_t turn;
    const atomic_uint_fast64_t *turns; /* of its thread */
};

/* A connection begins; `turns` counts the turns of the thread that is to read it. */
void guarded_begin(struct guarded *connection, const atomic_uint_fast64_t *turns);

/* The next bytes that were read.  Returns false when they are too much. */
bool guarded_look(struct guarded *connection, const unsigned char *bytes, size_t length);

/* All connections of the process, by descriptor. */
struct stream_guard {
    struct guarded *connections;
    int count;
    atomic_uint_fast64_t ended; /* connections */
};

/* From now on what recvmsg() reads is looked at, and close() is noticed; NULL: no more.  The one
 * thing here that is the process's, as are its descriptors: the C library has no place for a
 * context.  No connection may be read meanwhile. */
void stream_guard_install(struct stream_guard *guard);

#endif
