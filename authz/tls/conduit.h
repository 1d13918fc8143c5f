/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection: its handshake, and then the bytes between it and a pair of unix sockets, of
 * which gRPC has the other end and knows nothing of TLS.
 *
 *      the network           one thread, one epoll set            gRPC
 *     ============  outer  ============================  inner  ========
 *       records    <----->  decrypt ->   <- encrypt      <----->  bytes
 *
 *     SHAKING --- handshake done, pair made ---> RELAYING --- inner ended, all sent ---> CLOSED
 *        |                                          |                                      ^
 *        +----- refused, too slow ------------------+------- outer broken, too slow -------+
 *
 * What one side has said and the other does not take yet is kept, one record at most, and while it
 * is, that side is not read: the sockets' own limits hold back whoever sends too much.  A conduit
 * is asked for by whichever of its sockets can go on; private to this folder, one thread. */
#ifndef CONDUIT_H
#define CONDUIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conduit;
struct ssl_st;

enum conduit_state { CONDUIT_SHAKING, CONDUIT_RELAYING, CONDUIT_CLOSED };

/* What epoll's events point to. */
struct conduit_end {
    struct conduit *conduit;
    int fd;          /* -1: none */
    uint32_t events; /* that epoll was asked for; 0: it does not have the socket */
};

/* What one side has said and the other has not taken. */
struct conduit_rest {
    char *bytes; /* NULL: nothing */
    size_t length, taken;
};

struct conduit {
    enum conduit_state state;
    struct ssl_st *session;
    int epoll; /* borrowed */
    struct conduit_end outer, inner;
    struct conduit_rest to_outer, to_inner;
    bool outer_ended, inner_ended;   /* nothing more comes from there */
    bool wants_write;                /* the library has something of its own to send */
    bool is_cut;                     /* gRPC has let go of it; what it said may still be unread */
    bool has_more;                   /* its turn ended before it had read all there is */
    uint64_t deadline_ms;            /* beat_clock_ms() then, when it is closed; 0: none */
    struct conduit *next, *previous; /* for the owner's list */
};

/* A new one in the state SHAKING that takes over `fd` and the session on it.  NULL without memory;
 * then both are still the caller's. */
struct conduit *conduit_new(int epoll, int fd, struct ssl_st *session, uint64_t deadline_ms);

/* Takes the handshake as far as it goes.  Returns 1 when it is done, 0 when it waits for the other
 * end, -1 when it failed: credentials_explain(). */
int conduit_shake(struct conduit *conduit);

/* Now RELAYING, with `inner`, which it takes over. */
void conduit_connect(struct conduit *conduit, int inner);

/* Moves what can be moved; `events` are epoll's for `end`.  `scratch` has CONDUIT_SCRATCH bytes and
 * is the thread's. */
enum { CONDUIT_SCRATCH = 16384 };
void conduit_turn(struct conduit *conduit, const struct conduit_end *end, uint32_t events,
                  char *scratch);

/* Tells epoll what the conduit waits for; after each of the above.  Closes it when that fails. */
void conduit_watch(struct conduit *conduit);

/* Closes both sockets; the struct stays, CLOSED. */
void conduit_close(struct conduit *conduit);

/* Of a closed one. */
void conduit_free(struct conduit *conduit);

#endif
