/* SPDX-License-Identifier: Apache-2.0 */
/* One Check from its bytes to the bytes of the answer, and to the decision log; no gRPC here.
 *
 * One object for each thread: it owns the thread's counts and its arena, which is reset for every
 * Check, since a Check is answered to the end within one event, and its reference to the policy. No
 * system call and no heap, but that waking the log's writer is one.
 *
 *     check_rpc_begin()     the request's bytes have come
 *     check_rpc_answer()    or check_rpc_refuse_size()
 *     ...                   the reply is sent
 *     check_rpc_end()       counted and logged, behind the back of who waits for the reply
 *
 * What the request borrows must be there until the end. */
#ifndef CHECK_RPC_H
#define CHECK_RPC_H

#include "check_counts.h"
#include "decide.h"
#include "decision_record.h"
#include "policy_store.h"
#include "reply.h"
#include "request.h"

struct decision_writer;

/* Holds a request that came in pieces, without its body, its repeated headers joined, and a reply.
 * What does not fit is oversize.  Pages are touched only when they are used. */
enum { CHECK_ARENA_BYTES = 4 << 20 };

enum { DECISION_ID_PREFIX = 16, DECISION_ID_LENGTH = 32 };

struct check_rpc {
    struct arena arena;
    struct policy_store *store;      /* borrowed */
    const struct syn_source *source; /* borrowed */
    enum on_fault on_fault;
    size_t fault_length; /* of the reply to a fault of ours, in `fault_bytes`; 0: a gRPC error */
    struct request_limits limits;
    struct policy_reader reader;
    struct check_tally tally;    /* written by this thread alone */
    struct decision_writer *log; /* borrowed; NULL: there is none */
    uint64_t calls;
    /* The last Check. */
    uint64_t begun_ns; /* CLOCK_MONOTONIC */
    bool is_answered;
    struct request request;
    struct decision decision;
    struct decision_record record;
    char decision_id[DECISION_ID_LENGTH]; /* random for this thread, then the number of the call */
    char fault_bytes[REPLY_FAULT_MAX];
    char oversize[REPLY_OVERSIZE_MAX]; /* the reply to a request beyond our limits */
};

struct check_rpc_config {
    struct policy_store *store;
    const struct syn_source *source;
    enum on_fault on_fault;
    unsigned fault_status; /* HTTP status of an error_response for our faults; 0: a gRPC error */
    struct request_limits limits; /* a member that is 0: its default */
    struct decision_writer *log;  /* NULL: none */
    size_t arena_bytes;
};

/* Returns 0 or a negative errno. */
int check_rpc_init(struct check_rpc *rpc, const struct check_rpc_config *config);
void check_rpc_done(struct check_rpc *rpc);

/* Forget the last Check: its reply is gone, and the arena is free for the bytes of the next. */
void check_rpc_begin(struct check_rpc *rpc);

/* The message may lie in the arena; the limits are our own, those of `wire` are not read.
 * `ret_reply` is set for outcomes with a reply, which a fault has where `fault_status` is given;
 * valid until check_rpc_begin(). */
enum check_outcome check_rpc_answer(struct check_rpc *rpc, const struct request_wire *wire,
                                    struct str *ret_reply);

/* The answer to a request that is too large to be read. */
enum check_outcome check_rpc_refuse_size(struct check_rpc *rpc, struct str *ret_reply);

/* Does nothing when neither of the two was called. */
void check_rpc_end(struct check_rpc *rpc);

#endif
