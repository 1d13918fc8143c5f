/* SPDX-License-Identifier: Apache-2.0 */
/* One slot for a gRPC call, used again and again.
 *
 *          call_arm()             matched: the whole work, one batch
 *     IDLE ----------> WAITING ------------------------------------> REPLYING
 *      ^                  | the server shuts down                        | sent, or cancelled
 *      +------------------+---------------------------------------------+
 *
 * Two events of the completion queue for each call, which is the least there can be: the method is
 * registered, so that the message comes with the call, and everything that is sent goes in one
 * batch. */
#ifndef CALL_H
#define CALL_H

#include <grpc/grpc.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "check_rpc.h"
#include "cork.h"
#include "health_watch.h"

enum call_kind {
    CALL_CHECK = 0,
    CALL_HEALTH,
    CALL_WATCH,   /* REPLYING only when it is refused; else it is handed over to health_watch.h */
    CALL_UNKNOWN, /* any other method: without slots, such calls hang until their deadline */
    CALL_KIND_COUNT_,
};

enum call_state { CALL_IDLE = 0, CALL_WAITING, CALL_REPLYING };

/* SOCKET_OTHER: not a connection that we accepted. */
enum socket_kind { SOCKET_OTHER = 0, SOCKET_UNIX, SOCKET_TCP };

/* What the threads share; written by the server. */
struct call_shared {
    atomic_bool is_serving;  /* what health answers */
    atomic_bool is_draining; /* slots are not armed any more */
    atomic_uchar *sockets;   /* enum socket_kind by descriptor; what it is now, or was */
    int socket_count;
};

/* How calls ended; written by one thread, read by any. */
struct call_counts {
    atomic_uint_fast64_t cancelled;
    /* Checks that never were decided: their deadline had passed, or they had no message that can
     * be read. */
    atomic_uint_fast64_t late, unreadable;
    atomic_uint_fast64_t in_flight; /* matched and not finished */
};

/* What the slots of one thread share. */
struct call_port {
    grpc_server *server;
    grpc_completion_queue *queue;
    void *methods[CALL_UNKNOWN]; /* registered methods, by kind */
    struct check_rpc check;
    struct cork cork;
    struct call_counts counts;
    struct watches watches;
    const struct call_shared *shared;
};

struct call {
    enum call_kind kind;
    enum call_state state;
    struct call_port *port;

    grpc_call *grpc; /* set while REPLYING, as is what follows */
    grpc_metadata_array metadata;
    grpc_call_details details; /* CALL_UNKNOWN only */
    gpr_timespec deadline;     /* the others */
    grpc_byte_buffer *request; /* NULL: the client sent none */
    grpc_byte_buffer *reply;   /* kept from call to call, empty between them */
    int is_cancelled;
    unsigned sweeps; /* that have found this reply not taken yet */
    bool is_overdue; /* it was cancelled */
    int fd;          /* then: its connection's socket, or -1 */
    ino_t socket;    /* and which one that was, since a number is used again */

    struct call *next, *next_idle; /* for the owner's lists */
};

/* What health answers goes to those who watch it; to be done often. */
void call_port_tell_watchers(struct call_port *port);

void call_init(struct call *call, struct call_port *port, enum call_kind kind);
void call_done(struct call *call);

/* Wait for a call.  Does nothing while the server drains. */
void call_arm(struct call *call);

/* An event of the queue whose tag is `call`; afterwards it is REPLYING or IDLE. */
void call_on_event(struct call *call, bool success);

/* Look after a call that is REPLYING: cancel it when it is past its deadline or when `sweeps_max`
 * of these looks, this one included, have found it so.  A call that was cancelled and is still here
 * has bytes in a write that does not end: its connection is shut down.  Returns whether the call
 * was cancelled just now; its event comes as usual. */
bool call_sweep(struct call *call, unsigned sweeps_max);

#endif
