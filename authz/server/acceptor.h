/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that accepts connections.
 *
 * Our own, because gRPC's listener would unlink socket paths at the end and cannot deal connections
 * out evenly. When descriptors or memory run out it rests for a moment instead of spinning; the
 * backlog keeps the connections meanwhile. */
#ifndef ACCEPTOR_H
#define ACCEPTOR_H

#include <stddef.h>
#include <stdint.h>

struct acceptor;
struct listener;

struct acceptor_config {
    const struct listener *listeners; /* borrowed */
    size_t listener_count;
    /* The kernel hands out the lowest free descriptor, so a number at or beyond this one says that
     * so many are open: the connection is closed at once. */
    int descriptor_limit;
    /* Called by the acceptor's thread; takes over `fd`: connected, non-blocking, below the limit.
     */
    void (*on_connection)(void *context, int fd, const struct listener *from);
    void *context;
};

/* Returns 0 or a negative errno.  Signals should be blocked in the caller: the thread inherits
 * that. */
int acceptor_start(const struct acceptor_config *config, struct acceptor **ret_acceptor);

/* Connections that were closed at once, beyond the limit. */
uint64_t acceptor_refused(const struct acceptor *acceptor);

/* Since the thread was last around its loop, which it is at least once a second. */
uint64_t acceptor_silence_ms(const struct acceptor *acceptor);

/* Ends and joins the thread, which takes what waits in the backlogs first; NULL is fine. */
void acceptor_stopp(struct acceptor **acceptor);

#endif
