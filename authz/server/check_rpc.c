/* SPDX-License-Identifier: Apache-2.0 */
#include "check_rpc.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "decision_log.h"

static const char HEX[] = "0123456789abcdef";

/* Exactly 16 digits. */
static void write_hex(char *digits, uint64_t number)
{
    for (size_t i = 16; i > 0; i--) {
        digits[i - 1] = HEX[number & 0xf];
        number >>= 4;
    }
}

/* The reply lies somewhere in the buffer; from here on at its start. */
static void prepare_fault(struct check_rpc *rpc, unsigned http_status)
{
    struct str reply = reply_fault(http_status, rpc->fault_bytes);

    memmove(rpc->fault_bytes, reply.ptr, reply.len);
    rpc->fault_length = reply.len;
}

int check_rpc_init(struct check_rpc *rpc, const struct check_rpc_config *config)
{
    struct arena arena;
    uint64_t prefix;
    int r;

    if (getrandom(&prefix, sizeof(prefix), 0) != sizeof(prefix))
        return -errno;
    r = arena_init(&arena, config->arena_bytes);
    if (r < 0)
        return r;
    *rpc = (struct check_rpc){
        .arena = arena,
        .store = config->store,
        .source = config->source,
        .on_fault = config->on_fault,
        .log = config->log,
        .limits = {config->limits.bytes_max ? config->limits.bytes_max : REQUEST_BYTES_MAX,
                   config->limits.headers_max ? config->limits.headers_max : REQUEST_HEADERS_MAX},
    };
    write_hex(rpc->decision_id, prefix);
    if (config->fault_status)
        prepare_fault(rpc, config->fault_status);
    return 0;
}

void check_rpc_done(struct check_rpc *rpc)
{
    policy_reader_done(&rpc->reader);
    arena_done(&rpc->arena);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void check_rpc_begin(struct check_rpc *rpc)
{
    arena_reset(&rpc->arena);
    rpc->is_answered = false;
    rpc->begun_ns = clock_ns(CLOCK_MONOTONIC);
}

static struct str next_decision_id(struct check_rpc *rpc)
{
    write_hex(rpc->decision_id + DECISION_ID_PREFIX, rpc->calls++);
    return (struct str){rpc->decision_id, DECISION_ID_LENGTH};
}

/* --- counting --------------------------------------------------------------------------------- */

/* Of outcomes without a decision. */
static enum check_outcome count(struct check_rpc *rpc, enum check_outcome outcome)
{
    static const enum record_outcome OUTCOMES[] = {
        [CHECK_FAULT] = RECORD_FAULT,
        [CHECK_MALFORMED] = RECORD_MALFORMED,
        [CHECK_OVERSIZE] = RECORD_OVERSIZE,
    };

    check_tally_count(&rpc->tally.checks[outcome][0]);
    rpc->record.outcome = OUTCOMES[outcome];
    return outcome;
}

static enum check_outcome fault(struct check_rpc *rpc, struct str *ret_reply)
{
    *ret_reply = (struct str){rpc->fault_length ? rpc->fault_bytes : NULL, rpc->fault_length};
    return count(rpc, CHECK_FAULT);
}

static enum check_outcome count_decision(struct check_rpc *rpc)
{
    enum check_outcome outcome =
        rpc->decision.verdict == VERDICT_ALLOW ? CHECK_ALLOWED : CHECK_DENIED;

    check_tally_decision(&rpc->tally, outcome, &rpc->decision);
    rpc->record.outcome = RECORD_DECIDED;
    rpc->record.decision = &rpc->decision;
    return outcome;
}

static void count_lookup(struct check_rpc *rpc, const struct subject *subject)
{
    check_tally_count(&rpc->tally.lookups[subject->syn_state][subject->syn_reason]);
    if (subject->peer_header != PEER_HEADER_UNNAMED)
        check_tally_count(&rpc->tally.peer_headers[subject->peer_header]);
}

/* --- answering -------------------------------------------------------------------------------- */

static enum check_outcome refuse_size(struct check_rpc *rpc, struct str *ret_reply)
{
    *ret_reply = reply_oversize(rpc->record.policy, rpc->record.decision_id, rpc->oversize);
    return count(rpc, CHECK_OVERSIZE);
}

static enum check_outcome answer_request(struct check_rpc *rpc, struct str *ret_reply)
{
    const struct policy *policy = rpc->record.policy;
    struct subject *subject = &rpc->request.subject;
    struct str reply;

    rpc->record.subject = subject;
    switch (decide(rpc->source, policy, rpc->on_fault, subject, &rpc->arena, &rpc->decision)) {
    case DECIDE_OK:
        break;
    case DECIDE_OVERSIZE:
        return refuse_size(rpc, ret_reply);
    default:
        count_lookup(rpc, subject);
        return fault(rpc, ret_reply);
    }
    count_lookup(rpc, subject);
    reply =
        reply_build(policy, &rpc->request, &rpc->decision, rpc->record.decision_id, &rpc->arena);
    if (!reply.ptr)
        return refuse_size(rpc, ret_reply);
    *ret_reply = reply;
    return count_decision(rpc);
}

/* Returns false without a policy. */
static bool start_record(struct check_rpc *rpc)
{
    rpc->record = (struct decision_record){
        .decision_id = next_decision_id(rpc),
        .policy = policy_reader_get(&rpc->reader, rpc->store),
    };
    return rpc->record.policy != NULL;
}

static enum check_outcome answer(struct check_rpc *rpc, const struct request_wire *wire,
                                 struct str *ret_reply)
{
    struct request_wire limited = *wire;

    if (!start_record(rpc))
        return fault(rpc, ret_reply);
    limited.limits = rpc->limits;
    switch (request_decode(&limited, rpc->record.policy, &rpc->arena, &rpc->request)) {
    case REQUEST_OK:
        return answer_request(rpc, ret_reply);
    case REQUEST_OVERSIZE:
        return refuse_size(rpc, ret_reply);
    default:
        return count(rpc, CHECK_MALFORMED);
    }
}

/* The reply is there, or it is known that there is none. */
static enum check_outcome answered(struct check_rpc *rpc, enum check_outcome outcome)
{
    rpc->record.latency_ns = clock_ns(CLOCK_MONOTONIC) - rpc->begun_ns;
    rpc->is_answered = true;
    return outcome;
}

enum check_outcome check_rpc_answer(struct check_rpc *rpc, const struct request_wire *wire,
                                    struct str *ret_reply)
{
    return answered(rpc, answer(rpc, wire, ret_reply));
}

enum check_outcome check_rpc_refuse_size(struct check_rpc *rpc, struct str *ret_reply)
{
    return answered(rpc, start_record(rpc) ? refuse_size(rpc, ret_reply) : fault(rpc, ret_reply));
}

void check_rpc_end(struct check_rpc *rpc)
{
    if (!rpc->is_answered)
        return;
    rpc->is_answered = false;
    check_tally_latency(&rpc->tally, rpc->record.latency_ns);
    if (!rpc->log || !decision_writer_wants(rpc->log, &rpc->record, rpc->calls))
        return;
    rpc->record.time_ns = clock_ns(CLOCK_REALTIME);
    decision_writer_put(rpc->log, &rpc->record);
}
