/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include "matcher.h"
#include "signature.h"
#include "syn_source.h"

/* Only a TCP connection has a SYN; for other peers the source is not asked, since their address may
 * be that of somebody's TCP connection (QUIC), or no address at all. */
static enum syn_reason unsupported_reason(enum peer_kind peer)
{
    switch (peer) {
    case PEER_HTTP3:
        return SYN_REASON_HTTP3;
    case PEER_PIPE:
        return SYN_REASON_PIPE;
    case PEER_INTERNAL:
        return SYN_REASON_INTERNAL;
    case PEER_PROXIED:
        return SYN_REASON_PROXY_PROTOCOL;
    default:
        return SYN_REASON_NO_PEER;
    }
}

static void answer_unsupported(enum peer_kind peer, struct syn_answer *ret_answer)
{
    *ret_answer =
        (struct syn_answer){.state = SYN_STATE_UNSUPPORTED, .reason = unsupported_reason(peer)};
}

static void look_up(const struct syn_source *source, const struct flow *flow,
                    struct syn_answer *ret_answer)
{
    if (flow->source.addr.family == 0 || flow->destination.addr.family == 0)
        *ret_answer =
            (struct syn_answer){.state = SYN_STATE_MISSING,
                                .reason = SYN_REASON_NOT_SEEN}; /* half a tuple finds nothing */
    else
        source->lookup(source, flow, ret_answer);
}

/* The peer header counts where source.address proves nothing.  Where that is verified, a header
 * that says otherwise is an attempt to be somebody else; and without a header that can be read, an
 * address that is only in a PROXY header must not find what somebody else's SYN has left. */
static void ask_peer_header(const struct syn_source *source, struct subject *subject,
                            struct syn_answer *answer)
{
    bool has_tuple = subject->peer_header == PEER_HEADER_READ;

    if (answer->state == SYN_STATE_VERIFIED) {
        if (has_tuple)
            subject->peer_header = endpoint_eq(&subject->direct.source, &subject->source)
                                       ? PEER_HEADER_USED
                                       : PEER_HEADER_IGNORED;
        return;
    }
    if (has_tuple) {
        subject->peer_header = PEER_HEADER_USED;
        look_up(source, &subject->direct, answer);
    } else if (subject->peer == PEER_TCP) {
        subject->peer = PEER_PROXIED;
        answer_unsupported(subject->peer, answer);
    }
}

static void find_syn(const struct syn_source *source, struct subject *subject,
                     struct syn_answer *ret_answer)
{
    const struct flow flow = {.source = subject->source, .destination = subject->destination};

    if (subject->peer == PEER_TCP)
        look_up(source, &flow, ret_answer);
    else
        answer_unsupported(subject->peer, ret_answer);
    if (subject->peer_header != PEER_HEADER_UNNAMED && subject->peer != PEER_HTTP3 &&
        ret_answer->state != SYN_STATE_UNAVAILABLE)
        ask_peer_header(source, subject, ret_answer);
}

/* Name and flavor, as p0f prints them.  Returns false when the arena is full. */
static bool name_label(const struct fp_label *label, struct subject *subject, struct arena *arena)
{
    struct str name = str_from(label->name), flavor = str_from(label->flavor);
    char *text;

    if (!flavor.len) {
        subject->label = name;
        return true;
    }
    text = arena_alloc(arena, name.len + 1 + flavor.len);
    if (!text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = ' ';
    memcpy(text + name.len + 1, flavor.ptr, flavor.len);
    subject->label = (struct str){text, name.len + 1 + flavor.len};
    return true;
}

/* Returns false when the arena is full. */
static bool fingerprint(const struct syn *syn, const struct policy *policy, struct subject *subject,
                        struct arena *arena)
{
    struct signature *signature = arena_alloc(arena, sizeof(*signature));
    struct match *match = arena_alloc(arena, sizeof(*match));
    char *text = arena_alloc(arena, SIGNATURE_TEXT_MAX);

    if (!signature || !match || !text)
        return false;
    signature_from_syn(syn, signature);
    matcher_match_first((const struct fp_db *const *)policy->databases, policy->database_count,
                        signature, match);
    subject->signature = signature;
    subject->p0f = (struct str){text, signature_format(signature, text)};
    subject->match = match;
    return !match->label || name_label(match->label, subject, arena);
}

enum decide_status decide(const struct syn_source *source, const struct policy *policy,
                          enum on_fault on_fault, struct subject *subject, struct arena *arena,
                          struct decision *ret_decision)
{
    struct syn_answer *answer =
        arena_calloc(arena, 1, sizeof(*answer)); /* the signature borrows from it */

    if (!answer)
        return DECIDE_OVERSIZE;
    find_syn(source, subject, answer);
    subject->syn_state = answer->state;
    subject->syn_reason = answer->reason;
    if (answer->state == SYN_STATE_UNAVAILABLE && on_fault == ON_FAULT_ERROR)
        return DECIDE_FAULT;
    if (syn_state_has_syn(answer->state) && !fingerprint(&answer->syn, policy, subject, arena))
        return DECIDE_OVERSIZE;
    if (policy_evaluate(policy, subject, arena, ret_decision) < 0)
        return DECIDE_OVERSIZE;
    return DECIDE_OK;
}
