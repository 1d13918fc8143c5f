/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health/Watch: the streams of one thread, a bounded number of them.
 *
 *      watches_begin()       the state, then each change of it      drain: the last state, an end
 *     FREE ----------> OPEN ------------------------------------> ENDING
 *      ^                 | the client cancels                        | closed
 *      +-----------------+-------------------------------------------+
 *
 * A state that changes while its predecessor is being sent is sent next; what it was in between is
 * not told.  One thread at a time. */
#ifndef HEALTH_WATCH_H
#define HEALTH_WATCH_H

#include <grpc/grpc.h>
#include <stdatomic.h>

#include "health_rpc.h"

enum { WATCHES_MAX = 128 };

struct watch {
    grpc_call *grpc; /* NULL: free */
    bool is_known;   /* the service */
    enum health_state sent;
    bool is_sending, is_ending, is_closed;
    int is_cancelled; /* gRPC writes it when the stream is closed; it is not looked at */
    grpc_byte_buffer *message;
    char sending, closed; /* their addresses are the tags of the two batches under way */
    struct watch *next_free;
};

struct watches {
    struct watch all[WATCHES_MAX];
    struct watch *free;
    enum health_state state; /* of the services that are known */
    bool is_ending;
    atomic_uint_fast64_t open; /* read by any thread */
};

void watches_init(struct watches *watches);

/* All must be free. */
void watches_done(struct watches *watches);

/* Takes the call over and sends the state.  Returns false, and does nothing, when there are
 * WATCHES_MAX already. */
bool watches_begin(struct watches *watches, grpc_call *call, bool is_known_service);

/* Is this the tag of an event that belongs to watches_on_event()? */
bool watches_own(const struct watches *watches, const void *tag);
void watches_on_event(struct watches *watches, void *tag);

/* What there is to tell from now on; with `is_ending` the streams end behind it.  Costs nothing
 * when it is what there was. */
void watches_tell(struct watches *watches, enum health_state state, bool is_ending);

#endif
