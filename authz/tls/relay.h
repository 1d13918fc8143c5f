/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that speaks TLS for those who do not: it makes the handshakes of the sockets that it is
 * given, and for each that succeeds hands over one end of a pair of unix sockets, on which the
 * bytes go in clear.
 *
 * The other end of the bargain: whoever gets that socket may shut it down or close it like the
 * connection itself.  What it has written by then is sent, for at most two seconds. */
#ifndef RELAY_H
#define RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct relay;
struct ssl_st;

enum { RELAY_HANDSHAKE_MS = 10000 };

struct relay_config {
    unsigned handshake_ms; /* a client that takes longer is refused; 0: RELAY_HANDSHAKE_MS */
    /* Handshakes under way; beyond them the oldest is refused, so that clients who say nothing keep
     * nobody out.  0: any number. */
    unsigned handshakes_max;
    int descriptor_limit; /* sockets that are handed over have lower numbers */
    /* Takes over `inner`: connected, non-blocking.  Both by the relay's thread. */
    void (*on_connection)(void *context, int inner);
    /* The handshake on `outer` failed, which is closed afterwards. */
    void (*on_refused)(void *context, int outer, const char *why);
    void *context;
};

struct relay_counts {
    uint64_t accepted, refused; /* handshakes */
    uint64_t open;              /* connections now, those in their handshake included */
};

/* Returns 0 or a negative errno.  The thread takes no signals. */
int relay_start(const struct relay_config *config, struct relay **ret_relay);

/* Takes over a connected, non-blocking socket and the session on it (credentials.h); any thread.
 * Returns 0; or -ENOMEM, also for a session of NULL, and the socket is closed. */
int relay_add(struct relay *relay, int outer, struct ssl_st *session);

/* Waits until the handshakes that have begun are over, for about `patience_ms`.  From its return on
 * nothing is handed over any more; connections that are there go on. */
void relay_close_door(struct relay *relay, unsigned patience_ms);

/* Waits until the connections have ended, as they do when their inner ends are closed, for about
 * `flush_ms`; closes what is left, ends and joins the thread.  NULL is fine. */
void relay_stop(struct relay **relay, unsigned flush_ms);

struct relay_counts relay_get_counts(struct relay *relay);

/* Since the thread was last around its loop, which it is at least once a second. */
uint64_t relay_silence_ms(const struct relay *relay);

#endif
