/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cond.h"

/* --- lifetime */

int policy_new(struct policy **ret_policy)
{
    CLEANUP(policy_unrefp) struct policy *policy = calloc(1, sizeof(*policy));
    int r;

    if (!policy)
        return -ENOMEM;
    atomic_init(&policy->references, 1);
    r = header_table_new(&policy->headers);
    if (r < 0)
        return r;
    *ret_policy = TAKE_PTR(policy);
    return 0;
}

static void respond_free(struct respond *respond)
{
    if (!respond)
        return;
    template_freep(&respond->body);
    for (size_t i = 0; i < respond->header_count; i++) {
        freep(&respond->headers[i].name.ptr);
        template_freep(&respond->headers[i].value);
    }
    free(respond->headers);
    free(respond);
}

static void effects_free(struct effect *effects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        template_freep(&effects[i].value);
    free(effects);
}

static void rule_done(struct rule *rule)
{
    freep(&rule->id.ptr);
    cond_freep(&rule->when);
    respond_free(rule->respond);
    effects_free(rule->request_headers, rule->request_header_count);
    effects_free(rule->metadata, rule->metadata_count);
}

static void policy_free(struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++)
        rule_done(&policy->rules[i]);
    free(policy->rules);
    name_table_done(&policy->header_slots);
    name_table_done(&policy->metadata_slots);
    header_table_freep(&policy->headers);
    freep(&policy->name.ptr);
    free(policy->file);
    free(policy);
}

struct policy *policy_ref(struct policy *policy)
{
    atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
    return policy;
}

void policy_unref(struct policy *policy)
{
    /* release: our reads end before another thread frees; acquire: theirs did before we free */
    if (policy && atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) == 1)
        policy_free(policy);
}

void policy_unrefp(struct policy **policy)
{
    policy_unref(*policy);
    *policy = NULL;
}

/* --- evaluation */

bool rule_can_be_unknown(const struct rule *rule)
{
    return rule->when && cond_can_be_unknown(rule->when);
}

static void collect(const struct rule *rule, struct decision *decision)
{
    for (size_t i = 0; i < rule->request_header_count; i++)
        decision->request_headers[rule->request_headers[i].slot] = &rule->request_headers[i];
    for (size_t i = 0; i < rule->metadata_count; i++)
        decision->metadata[rule->metadata[i].slot] = &rule->metadata[i];
}

static bool decided(struct decision *decision, enum verdict verdict, enum decision_reason reason,
                    const struct rule *rule)
{
    decision->verdict = verdict;
    decision->reason = reason;
    decision->rule = rule;
    return true;
}

/* The one place where UNKNOWN becomes an outcome.  Returns true when the rule decided. */
static bool run_rule(const struct rule *rule, const struct subject *subject,
                     struct decision *decision)
{
    switch (rule->when ? cond_eval(rule->when, subject) : TRI_YES) {
    case TRI_NO:
        return false;
    case TRI_UNKNOWN:
        if (rule->then != RULE_CONTINUE && rule->on_unknown != ON_UNKNOWN_SKIP)
            return decided(decision, VERDICT_DENY, DECISION_UNKNOWN, rule);
        decision->unknown_count++;
        return false;
    case TRI_YES:
        collect(rule, decision);
        break;
    }
    switch (rule->then) {
    case RULE_CONTINUE:
        return false;
    case RULE_ALLOW:
        return decided(decision, VERDICT_ALLOW, DECISION_RULE, rule);
    case RULE_DENY:
        break;
    }
    return decided(decision, VERDICT_DENY, DECISION_RULE, rule);
}

int policy_evaluate(const struct policy *policy, const struct subject *subject, struct arena *arena,
                    struct decision *ret_decision)
{
    struct decision decision = {
        .verdict = policy->default_verdict,
        .request_headers =
            arena_calloc(arena, policy->header_slots.count, sizeof(*decision.request_headers)),
        .metadata = arena_calloc(arena, policy->metadata_slots.count, sizeof(*decision.metadata)),
    };

    if (!decision.request_headers || !decision.metadata)
        return -ENOMEM;
    for (size_t i = 0; i < policy->rule_count; i++)
        if (run_rule(&policy->rules[i], subject, &decision))
            break;
    decision.would_be = decision.verdict;
    decision.would_be_rule = decision.rule;
    if (decision.verdict != VERDICT_ALLOW)
        memset(decision.request_headers, 0,
               policy->header_slots.count * sizeof(*decision.request_headers));
    *ret_decision = decision;
    return 0;
}
