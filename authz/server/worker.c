/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <grpc/grpc_posix.h>
#include <stdlib.h>

#include "beat.h"
#include "cleanup.h"
#include "slots.h"

static const char *const METHODS[CALL_UNKNOWN] = {
    [CALL_CHECK] = "/envoy.service.auth.v3.Authorization/Check",
    [CALL_HEALTH] = "/grpc.health.v1.Health/Check",
    [CALL_WATCH] = "/grpc.health.v1.Health/Watch",
};

struct worker {
    struct call_port port;
    struct worker_gate *gate;
    pthread_t thread;
    struct slots slots;
    struct beat beat;
    atomic_uint_fast64_t turns;
    gpr_timespec next_turn; /* when the loop turns without an event */
};

static void open_gate(struct worker_gate *gate)
{
    (void)pthread_mutex_lock(&gate->lock);
    gate->waiting_for--;
    (void)pthread_cond_signal(&gate->opened);
    (void)pthread_mutex_unlock(&gate->lock);
}

static void on_event(struct worker *worker, const grpc_event *event)
{
    if (event->tag == worker) /* of the server's shutdown */
        open_gate(worker->gate);
    else if (watches_own(&worker->port.watches, event->tag))
        watches_on_event(&worker->port.watches, event->tag);
    else
        slots_on_event(&worker->slots, event->tag, event->success);
}

static void plan_next_turn(struct worker *worker)
{
    worker->next_turn = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                     gpr_time_from_millis(BEAT_EVERY_MS, GPR_TIMESPAN));
}

static grpc_event next_event(struct worker *worker)
{
    const uint64_t turns = atomic_load_explicit(&worker->turns, memory_order_relaxed);
    gpr_timespec wake = gpr_time_min(slots_wake_time(&worker->slots), worker->next_turn);
    grpc_event event = grpc_completion_queue_next(worker->port.queue, wake, NULL);

    beat_now(&worker->beat);
    atomic_store_explicit(&worker->turns, turns + 1, memory_order_relaxed);
    if (event.type == GRPC_QUEUE_TIMEOUT)
        plan_next_turn(worker);
    return event;
}

static void *run(void *context)
{
    struct worker *worker = context;

    (void)pthread_setname_np(pthread_self(), "answer");
    slots_arm(&worker->slots);
    for (;;) {
        grpc_event event = next_event(worker);

        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (event.type == GRPC_OP_COMPLETE)
            on_event(worker, &event);
        call_port_tell_watchers(&worker->port); /* at least once a second */
        slots_sweep(&worker->slots);
    }
}

/* What is left when the queue has been shut down and emptied. */
static void release(struct worker *worker)
{
    grpc_completion_queue_destroy(worker->port.queue);
    slots_done(&worker->slots);
    watches_done(&worker->port.watches);
    check_rpc_done(&worker->port.check);
    free(worker);
}

/* End a worker whose thread never ran: no slot is armed, so these are the only two events. */
static void abandon(struct worker *worker)
{
    gpr_timespec forever = gpr_inf_future(GPR_CLOCK_MONOTONIC);

    grpc_server_shutdown_and_notify(worker->port.server, worker->port.queue, worker);
    (void)grpc_completion_queue_next(worker->port.queue, forever, NULL);
    grpc_server_destroy(worker->port.server);
    grpc_completion_queue_shutdown(worker->port.queue);
    (void)grpc_completion_queue_next(worker->port.queue, forever, NULL);
    release(worker);
}

static void start_server(struct call_port *port, const grpc_channel_args *args)
{
    port->queue = grpc_completion_queue_create_for_next(NULL);
    port->server = grpc_server_create(args, NULL);
    grpc_server_register_completion_queue(port->server, port->queue, NULL);
    for (unsigned kind = 0; kind < CALL_UNKNOWN; kind++) {
        port->methods[kind] = grpc_server_register_method(
            port->server, METHODS[kind], NULL, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        assert(port->methods[kind]); /* refused only for a method that is registered twice */
    }
    grpc_server_start(port->server);
}

int worker_start(const struct worker_config *config, struct worker **ret_worker)
{
    CLEANUP(freep) struct worker *worker = calloc(1, sizeof(*worker));
    int r;

    if (!worker)
        return -ENOMEM;
    r = check_rpc_init(&worker->port.check, &config->check);
    if (r < 0)
        return r;
    worker->gate = config->gate;
    worker->port.shared = config->shared;
    watches_init(&worker->port.watches);
    plan_next_turn(worker);
    beat_now(&worker->beat);
    start_server(&worker->port, config->args);
    r = slots_init(&worker->slots, &worker->port);
    if (r == 0)
        r = -pthread_create(&worker->thread, NULL, run, worker);
    if (r < 0) {
        abandon(TAKE_PTR(worker));
        return r;
    }
    *ret_worker = TAKE_PTR(worker);
    return 0;
}

void worker_add_connection(struct worker *worker, int fd, grpc_server_credentials *credentials)
{
    grpc_server_add_channel_from_fd(worker->port.server, fd, credentials);
}

void worker_drain(struct worker *worker)
{
    grpc_server_shutdown_and_notify(worker->port.server, worker->port.queue, worker);
}

void worker_cancel(struct worker *worker)
{
    grpc_server_cancel_all_calls(worker->port.server);
}

void worker_freep(struct worker **worker)
{
    if (!*worker)
        return;
    grpc_server_destroy((*worker)->port.server);
    grpc_completion_queue_shutdown((*worker)->port.queue);
    (void)pthread_join((*worker)->thread, NULL); /* it empties the queue first */
    release(*worker);
    *worker = NULL;
}

const struct call_counts *worker_counts(const struct worker *worker)
{
    return &worker->port.counts;
}

const struct check_tally *worker_tally(const struct worker *worker)
{
    return &worker->port.check.tally;
}

uint64_t worker_silence_ms(const struct worker *worker)
{
    return beat_age_ms(&worker->beat);
}

uint64_t worker_watchers(const struct worker *worker)
{
    return atomic_load_explicit(&worker->port.watches.open, memory_order_relaxed);
}

const atomic_uint_fast64_t *worker_turns(const struct worker *worker)
{
    return &worker->turns;
}
