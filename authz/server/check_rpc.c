/* SPDX-License-Identifier: Apache-2.0 */
#include "check_rpc.h"

#include <errno.h>
#include <sys/random.h>

static const char HEX[] = "0123456789abcdef";

/* Exactly 16 digits. */
static void write_hex(char *digits, uint64_t number)
{
    for (size_t i = 16; i > 0; i--) {
        digits[i - 1] = HEX[number & 0xf];
        number >>= 4;
    }
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
        .limits = {config->limits.bytes_max ? config->limits.bytes_max : REQUEST_BYTES_MAX,
                   config->limits.headers_max ? config->limits.headers_max : REQUEST_HEADERS_MAX},
    };
    write_hex(rpc->decision_id, prefix);
    if (config->fault_status)
        rpc->fault_length = reply_fault(config->fault_status, rpc->fault_bytes).len;
    return 0;
}

void check_rpc_done(struct check_rpc *rpc)
{
    policy_reader_done(&rpc->reader);
    arena_done(&rpc->arena);
}

void check_rpc_begin(struct check_rpc *rpc)
{
    arena_reset(&rpc->arena);
}

static struct str next_decision_id(struct check_rpc *rpc)
{
    write_hex(rpc->decision_id + DECISION_ID_PREFIX, rpc->calls++);
    return (struct str){rpc->decision_id, DECISION_ID_LENGTH};
}

/* --- counting --------------------------------------------------------------------------------- */

static enum check_outcome count(struct check_rpc *rpc, enum check_outcome outcome)
{
    check_tally_count(&rpc->tally.checks[outcome][0]);
    return outcome;
}

static enum check_outcome fault(struct check_rpc *rpc, struct str *ret_reply)
{
    *ret_reply = (struct str){rpc->fault_length ? rpc->fault_bytes : NULL, rpc->fault_length};
    return count(rpc, CHECK_FAULT);
}

static enum check_outcome count_decision(struct check_rpc *rpc, const struct decision *decision)
{
    enum check_outcome outcome = decision->verdict == VERDICT_ALLOW ? CHECK_ALLOWED : CHECK_DENIED;

    check_tally_count(&rpc->tally.checks[outcome][decision->reason]);
    if (decision->would_be != decision->verdict)
        check_tally_count(&rpc->tally.shadowed[outcome][decision->reason]);
    return outcome;
}

static void count_lookup(struct check_rpc *rpc, const struct subject *subject)
{
    check_tally_count(&rpc->tally.lookups[subject->syn_state][subject->syn_reason]);
    if (subject->peer_header != PEER_HEADER_UNNAMED)
        check_tally_count(&rpc->tally.peer_headers[subject->peer_header]);
}

/* --- answering -------------------------------------------------------------------------------- */

static enum check_outcome refuse_size(struct check_rpc *rpc, const struct policy *policy,
                                      struct str decision_id, struct str *ret_reply)
{
    *ret_reply = reply_oversize(policy, decision_id, rpc->oversize);
    return count(rpc, CHECK_OVERSIZE);
}

static enum check_outcome answer_request(struct check_rpc *rpc, const struct policy *policy,
                                         struct request *request, struct str *ret_reply)
{
    struct str decision_id = next_decision_id(rpc);
    struct decision decision;
    struct str reply;

    switch (decide(rpc->source, policy, rpc->on_fault, &request->subject, &rpc->arena, &decision)) {
    case DECIDE_OK:
        break;
    case DECIDE_OVERSIZE:
        return refuse_size(rpc, policy, decision_id, ret_reply);
    default:
        count_lookup(rpc, &request->subject);
        return fault(rpc, ret_reply);
    }
    count_lookup(rpc, &request->subject);
    reply = reply_build(policy, request, &decision, decision_id, &rpc->arena);
    if (!reply.ptr)
        return refuse_size(rpc, policy, decision_id, ret_reply);
    *ret_reply = reply;
    return count_decision(rpc, &decision);
}

enum check_outcome check_rpc_answer(struct check_rpc *rpc, const struct request_wire *wire,
                                    struct str *ret_reply)
{
    const struct policy *policy = policy_reader_get(&rpc->reader, rpc->store);
    struct request_wire limited = *wire;
    struct request request;

    if (!policy)
        return fault(rpc, ret_reply);
    limited.limits = rpc->limits;
    switch (request_decode(&limited, policy, &rpc->arena, &request)) {
    case REQUEST_OK:
        return answer_request(rpc, policy, &request, ret_reply);
    case REQUEST_OVERSIZE:
        return refuse_size(rpc, policy, next_decision_id(rpc), ret_reply);
    default:
        return count(rpc, CHECK_MALFORMED);
    }
}

enum check_outcome check_rpc_refuse_size(struct check_rpc *rpc, struct str *ret_reply)
{
    const struct policy *policy = policy_reader_get(&rpc->reader, rpc->store);

    return policy ? refuse_size(rpc, policy, next_decision_id(rpc), ret_reply)
                  : fault(rpc, ret_reply);
}
