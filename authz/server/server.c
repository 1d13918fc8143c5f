/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <errno.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "acceptor.h"
#include "cleanup.h"
#include "decision_log.h"
#include "descriptors.h"
#include "tls_front.h"
#include "stream_guard.h"
#include "transport_args.h"
#include "worker.h"

enum {
    DRAIN_STEP_MS = 20,
    CUT_AFTER_MS = 500, /* for connections to close by themselves */
    DRAIN_QUIET_STEPS =
        5, /* without a call in flight, so that those on the wire when the GOAWAY left have come */
};

struct server {
    struct server_config config;
    struct call_shared shared;
    struct stream_guard guard;
    struct worker_gate gate;
    grpc_resource_quota *quota;
    grpc_server_credentials *credentials;
    struct worker **workers;
    unsigned worker_count;
    atomic_uint next_worker;
    struct tls_front *tls_front; /* NULL without a TLS listener */
    struct acceptor *acceptor;
};

/* --- gRPC's process-wide settings ------------------------------------------------------------- */

/* Debian's abseil looks for lock order inversions in every lock, which costs 6 % of a call.  The
 * C++ function has no C name and carries Debian's version in its own; where it is called otherwise,
 * the reference is null and we pay. */
extern void set_mutex_deadlock_detection(int mode) __asm__(
    "_ZN4absl7debian3"
    "29SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE") __attribute__((weak));

enum { DEADLOCK_DETECTION_OFF = 0 };

/* gRPC core writes a line for whatever a client sends wrongly, so any client could fill the log. */
static void on_grpc_log(gpr_log_func_args *args)
{
    (void)args;
}

static void set_up_grpc(unsigned threads)
{
    if (!getenv("GRPC_VERBOSITY"))
        gpr_set_log_function(on_grpc_log);
    if (set_mutex_deadlock_detection)
        set_mutex_deadlock_detection(DEADLOCK_DETECTION_OFF);
    /* epoll1 has one set for the whole process, so several queues wake each other's threads */
    if (threads > 1)
        (void)setenv("GRPC_POLL_STRATEGY", "poll", 0);
    grpc_init();
}

/* --- start ------------------------------------------------------------------------------------ */

static int start_worker(struct server *server, struct worker **ret_worker)
{
    const struct server_limits *limits = &server->config.limits;
    struct transport_args args;
    const struct worker_config config = {
        .args = &args.list,
        .check = {.store = server->config.store,
                  .source = server->config.source,
                  .on_fault = server->config.on_fault,
                  .fault_status = server->config.fault_status,
                  .log = server->config.log
                             ? decision_log_writer(server->config.log, server->worker_count)
                             : NULL,
                  .limits.bytes_max = limits->request_bytes,
                  .arena_bytes = CHECK_ARENA_BYTES},
        .shared = &server->shared,
        .gate = &server->gate,
    };

    transport_args_init(&args, limits, server->quota);
    return worker_start(&config, ret_worker);
}

static int start_workers(struct server *server)
{
    server->workers = calloc(server->config.threads, sizeof(struct worker *));
    if (!server->workers)
        return -ENOMEM;
    while (server->worker_count < server->config.threads) {
        int r = start_worker(server, &server->workers[server->worker_count]);

        if (r < 0)
            return r;
        server->worker_count++;
    }
    return 0;
}

static void deal_out(struct server *server, int fd, enum socket_kind kind)
{
    const unsigned number = atomic_fetch_add(&server->next_worker, 1) % server->worker_count;

    atomic_store_explicit(&server->shared.sockets[fd], kind, memory_order_relaxed);
    guarded_begin(&server->guard.connections[fd], worker_turns(server->workers[number]));
    worker_add_connection(server->workers[number], fd, server->credentials);
}

static void on_connection(void *context, int fd, const struct listener *from)
{
    struct server *server = context;

    if (from->is_tls)
        tls_front_add(server->tls_front, fd);
    else
        deal_out(server, fd, from->is_tcp ? SOCKET_TCP : SOCKET_UNIX);
}

static void on_tls_connection(void *context, int fd)
{
    deal_out(context, fd, SOCKET_UNIX);
}

static int start_tls_front(struct server *server)
{
    const struct tls_front_config config = {
        .certificates = server->config.certificates,
        .threads = server->config.threads,
        .descriptor_limit = server->shared.socket_count,
        .on_connection = on_tls_connection,
        .context = server,
    };

    return server->config.certificates ? tls_front_start(&config, &server->tls_front) : 0;
}

static int start_acceptor(struct server *server)
{
    const struct acceptor_config config = {
        .listeners = server->config.listeners,
        .listener_count = server->config.listener_count,
        .descriptor_limit = server->shared.socket_count,
        .on_connection = on_connection,
        .context = server,
    };

    return acceptor_start(&config, &server->acceptor);
}

static int new_server(const struct server_config *config, int descriptor_limit,
                      struct server **ret_server)
{
    CLEANUP(freep) struct server *server = calloc(1, sizeof(*server));
    pthread_condattr_t clock;

    if (!server)
        return -ENOMEM;
    server->config = *config;
    server->shared.socket_count = descriptor_limit;
    server->shared.sockets =
        calloc((size_t)server->shared.socket_count, sizeof(*server->shared.sockets));
    server->guard.connections = calloc((size_t)descriptor_limit, sizeof(struct guarded));
    server->guard.count = descriptor_limit;
    if (!server->shared.sockets || !server->guard.connections) {
        free(server->guard.connections);
        free(server->shared.sockets);
        return -ENOMEM;
    }
    (void)pthread_mutex_init(&server->gate.lock, NULL);
    (void)pthread_condattr_init(&clock);
    (void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&server->gate.opened, &clock);
    (void)pthread_condattr_destroy(&clock);
    *ret_server = TAKE_PTR(server);
    return 0;
}

static int start_all(struct server *server, struct diag *diag)
{
    int r;

    set_up_grpc(server->config.threads);
    stream_guard_install(&server->guard);
    server->quota = grpc_resource_quota_create("synauthz");
    grpc_resource_quota_resize(server->quota, TRANSPORT_QUOTA_BYTES);
    server->credentials = grpc_insecure_server_credentials_create();
    r = start_workers(server);
    if (r < 0)
        return diag_set(diag, r, "cannot start the threads that answer calls: %s", strerror(-r));
    server_set_serving(server, true);
    r = start_tls_front(server);
    if (r < 0)
        return diag_set(diag, r, "cannot start the threads that speak TLS: %s", strerror(-r));
    r = start_acceptor(server);
    if (r < 0)
        return diag_set(diag, r, "cannot start the thread that accepts connections: %s",
                        strerror(-r));
    return 0;
}

int server_start(const struct server_config *config, struct server **ret_server, struct diag *diag)
{
    struct server *server;
    sigset_t all, before;
    int descriptor_limit, r;

    r = descriptors_limit(config->limits.connections ? config->limits.connections
                                                     : SERVER_CONNECTIONS,
                          &descriptor_limit, diag);
    if (r < 0)
        return r;
    r = new_server(config, descriptor_limit, &server);
    if (r < 0)
        return diag_set(diag, r, "no memory for the server");
    /* signals belong to the thread that called us; gRPC's own threads inherit the mask as well */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = start_all(server, diag);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0) {
        server_stop(server, 0);
        return r;
    }
    *ret_server = server;
    return 0;
}

void server_set_serving(struct server *server, bool is_serving)
{
    atomic_store(&server->shared.is_serving, is_serving);
}

/* --- counts ----------------------------------------------------------------------------------- */

static uint64_t read_count(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void add_worker(struct server_counts *sum, const struct worker *worker)
{
    const struct call_counts *counts = worker_counts(worker);

    check_counts_add(&sum->checks, worker_tally(worker));
    sum->late += read_count(&counts->late);
    sum->unreadable += read_count(&counts->unreadable);
    sum->cancelled += read_count(&counts->cancelled);
    sum->in_flight += read_count(&counts->in_flight);
    sum->watchers += worker_watchers(worker);
}

void server_get_counts(const struct server *server, struct server_counts *ret_counts)
{
    struct server_counts sum = {
        .refused_connections = acceptor_refused(server->acceptor),
        .ended_connections = atomic_load_explicit(&server->guard.ended, memory_order_relaxed),
        .tls = tls_front_counts(server->tls_front),
    };

    for (unsigned i = 0; i < server->worker_count; i++)
        add_worker(&sum, server->workers[i]);
    *ret_counts = sum;
}

uint64_t server_silence_ms(const struct server *server)
{
    uint64_t longest = acceptor_silence_ms(server->acceptor);
    const uint64_t tls_silence = tls_front_silence_ms(server->tls_front);

    longest = tls_silence > longest ? tls_silence : longest;
    for (unsigned i = 0; i < server->worker_count; i++) {
        uint64_t silence = worker_silence_ms(server->workers[i]);

        longest = silence > longest ? silence : longest;
    }
    return longest;
}

/* --- stop ------------------------------------------------------------------------------------- */

static void stop_accepting(struct server *server)
{
    acceptor_stopp(&server->acceptor);
    for (size_t i = 0; i < server->config.listener_count; i++)
        (void)shutdown(server->config.listeners[i].fd, SHUT_RDWR); /* refuses from now on */
    tls_front_close_door(server->tls_front);
}

static void begin_drain(struct server *server)
{
    server_set_serving(server, false);
    atomic_store(&server->shared.is_draining, true);
    server->gate.waiting_for = server->worker_count;
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_drain(server->workers[i]);
}

static bool has_calls(const struct server *server)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        if (read_count(&worker_counts(server->workers[i])->in_flight) ||
            worker_watchers(server->workers[i]))
            return true;
    return false;
}

static void add_ms(struct timespec *time, unsigned ms)
{
    time->tv_sec += ms / 1000;
    time->tv_nsec += (long)(ms % 1000) * 1000000;
    if (time->tv_nsec >= 1000000000) {
        time->tv_sec++;
        time->tv_nsec -= 1000000000;
    }
}

/* Wait until each worker's server has shut down, at most `step_ms`. */
static bool wait_at_gate(struct worker_gate *gate, unsigned step_ms)
{
    struct timespec end;
    int r = 0;
    bool open;

    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    add_ms(&end, step_ms);
    (void)pthread_mutex_lock(&gate->lock);
    while (gate->waiting_for && r == 0)
        r = pthread_cond_timedwait(&gate->opened, &gate->lock, &end);
    open = gate->waiting_for == 0;
    (void)pthread_mutex_unlock(&gate->lock);
    return open;
}

/* A client may keep its connection open after the GOAWAY: once no call has been in flight for a
 * while there is nothing to wait for. */
static void wait_for_calls(struct server *server, unsigned grace_ms)
{
    unsigned quiet = 0;

    for (unsigned waited = 0; waited < grace_ms && quiet < DRAIN_QUIET_STEPS;
         waited += DRAIN_STEP_MS) {
        if (wait_at_gate(&server->gate, DRAIN_STEP_MS))
            return;
        quiet = has_calls(server) ? 0 : quiet + 1;
    }
}

/* gRPC closes a connection only when the write in progress has ended, which a client that does not
 * read puts off for ever.  A number that is another socket by now is one of this process, which
 * ends. */
static void cut_connections(struct server *server)
{
    for (int fd = 0; fd < server->shared.socket_count; fd++)
        if (atomic_load(&server->shared.sockets[fd]) != SOCKET_OTHER)
            (void)shutdown(fd, SHUT_RDWR);
}

static void end_workers(struct server *server, unsigned grace_ms)
{
    begin_drain(server);
    wait_for_calls(server, grace_ms);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_cancel(server->workers[i]);
    while (!wait_at_gate(&server->gate, CUT_AFTER_MS))
        cut_connections(server);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_freep(&server->workers[i]);
}

static void release(struct server *server)
{
    grpc_server_credentials_release(server->credentials);
    grpc_resource_quota_unref(server->quota);
    grpc_shutdown_blocking();
    (void)pthread_cond_destroy(&server->gate.opened);
    (void)pthread_mutex_destroy(&server->gate.lock);
    stream_guard_install(NULL);
    free(server->guard.connections);
    free(server->shared.sockets);
    free(server->workers);
    free(server);
}

void server_stop(struct server *server, unsigned grace_ms)
{
    stop_accepting(server);
    end_workers(server, grace_ms);
    tls_front_stop(&server->tls_front); /* sends what gRPC has left */
    release(server);
}
