/* SPDX-License-Identifier: Apache-2.0 */
/* One thread that answers calls: a grpc_server of its own, one completion queue, and the slots for
 * its calls.
 *
 * Nothing is shared between workers on the way of a call but the policy and the maps.  Life:
 * worker_start(), worker_drain(), worker_cancel() when the wait has been long enough,
 * worker_freep() once the gate has opened. */
#ifndef WORKER_H
#define WORKER_H

#include <grpc/grpc.h>
#include <pthread.h>

#include "call.h"

struct worker;

/* Where a worker reports that its server has shut down. */
struct worker_gate {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    unsigned waiting_for; /* workers whose server still drains */
};

struct worker_config {
    const grpc_channel_args *args; /* of its server */
    struct check_rpc_config check;
    const struct call_shared *shared;
    struct worker_gate *gate;
};

/* Returns 0 and a running worker, or a negative errno.  The thread inherits the caller's signal
 * mask. */
int worker_start(const struct worker_config *config, struct worker **ret_worker);

/* Takes over a connected socket; any thread. */
void worker_add_connection(struct worker *worker, int fd, grpc_server_credentials *credentials);

/* Shut the server down: no new calls, those in flight go on; the gate opens for this worker when
 * the last one has ended and the connections are closed.  `shared->is_draining` is set by then. */
void worker_drain(struct worker *worker);

/* Cancel what still runs and close the connections; the gate then opens soon. */
void worker_cancel(struct worker *worker);

/* After the gate has opened: joins the thread and releases everything. */
void worker_freep(struct worker **worker);

const struct call_counts *worker_counts(const struct worker *worker);
const struct check_tally *worker_tally(const struct worker *worker);

/* Streams of health's Watch that are open. */
uint64_t worker_watchers(const struct worker *worker);

/* Counts how often the thread has looked for an event. */
const atomic_uint_fast64_t *worker_turns(const struct worker *worker);

/* Since the thread was last around its loop, which it is at least once a second. */
uint64_t worker_silence_ms(const struct worker *worker);

#endif
