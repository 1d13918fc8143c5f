/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC server: envoy.service.auth.v3.Authorization/Check and grpc.health.v1.Health.
 *
 * The only user of gRPC core.  One grpc_server and one completion queue per thread; connections are
 * accepted by a thread of our own and dealt out round-robin, those that speak TLS by way of
 * relay.h. Everything else answers UNIMPLEMENTED. */
#ifndef SERVER_H
#define SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "check_counts.h"
#include "decide.h"
#include "diag.h"
#include "listener.h"
#include "relay.h"

struct certificates;
struct decision_log;
struct policy_store;
struct server;

/* What clients may take; a member that is 0: its default. */
struct server_limits {
    /* Fewer where RLIMIT_NOFILE is low, and about so many, since other descriptors count too. */
    unsigned connections;
    unsigned streams;     /* at once, of each connection: calls and watchers */
    size_t request_bytes; /* of a Check; more is denied as oversize */
    /* A connection as old as this is told to end: GOAWAY, then what is in flight ends.  0: never.
     */
    unsigned connection_age_ms;
};

struct server_config {
    const struct listener *listeners; /* borrowed; closed by their owner after server_stop() */
    size_t listener_count;
    /* Borrowed; of the TLS listeners, NULL where there is none.  May be reloaded at any time. */
    struct certificates *certificates;
    unsigned threads;                /* at least 1 */
    struct policy_store *store;      /* borrowed */
    const struct syn_source *source; /* borrowed */
    enum on_fault on_fault;
    unsigned fault_status;    /* HTTP status of an error_response for our faults; 0: a gRPC error */
    struct decision_log *log; /* borrowed, with a writer for each thread; NULL: none */
    struct server_limits limits;
};

enum { SERVER_CONNECTIONS = 4096, SERVER_STREAMS = 100 };

/* Summed over all threads. */
struct server_counts {
    struct check_counts checks;
    uint64_t late, unreadable; /* Checks that never were decided: call.h */
    uint64_t cancelled;        /* calls whose client did not wait for the answer, or take it */
    uint64_t in_flight;        /* calls now */
    uint64_t watchers;         /* of health, now */
    uint64_t refused_connections;
    uint64_t ended_connections; /* whose client took more than stream_guard.h lets it */
    struct relay_counts tls;    /* handshakes and connections */
};

/* Initialises gRPC, starts the threads and accepts.  Call it after privileges were given up.  When
 * it returns 0, calls are answered.  Raises the soft RLIMIT_NOFILE to the hard one; some
 * descriptors below it are never taken by connections, so that files can be opened at any time. The
 * threads take no signals.  With more than one thread the environment variable GRPC_POLL_STRATEGY
 * is set unless it is there. */
int server_start(const struct server_config *config, struct server **ret_server, struct diag *diag);

/* What health answers, and watchers are told within a second: true from the start, false from
 * server_stop() on.  Saying false some time
 * before server_stop() lets clients that check health go elsewhere first. */
void server_set_serving(struct server *server, bool is_serving);

void server_get_counts(const struct server *server, struct server_counts *ret_counts);

/* The longest that one of the threads has not been around its loop; each is at least once a second.
 * Much more means that it hangs. */
uint64_t server_silence_ms(const struct server *server);

/* Health answers NOT_SERVING, watchers are told and their streams end, new connections are refused,
 * calls in flight get up to `grace_ms` to end, then are cancelled.  Frees the server. */
void server_stop(struct server *server, unsigned grace_ms);

#endif
