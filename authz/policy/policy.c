/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "cond.h"
#include "fp_db.h"

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
    template_freep(&respond->redirect);
    template_freep(&respond->grpc_message);
    for (size_t i = 0; i < respond->header_count; i++) {
        freep(&respond->headers[i].name.ptr);
        template_freep(&respond->headers[i].value);
    }
    free(respond->headers);
    free(respond);
}

/* As deep as the policy's file, whose depth is bounded. */
static void members_free(struct metadata_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        freep(&members[i].key.ptr);
        template_freep(&members[i].value);
        members_free(members[i].members, members[i].member_count);
    }
    free(members);
}

static void effects_done(struct effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        template_freep(&effects->items[i].value);
        members_free(effects->items[i].members, effects->items[i].member_count);
    }
    free(effects->items);
}

static void rule_done(struct rule *rule)
{
    freep(&rule->id.ptr);
    cond_freep(&rule->when);
    respond_free(rule->respond);
    for (size_t target = 0; target < TARGET_COUNT_; target++)
        effects_done(&rule->effects[target]);
}

static void policy_free(struct policy *policy)
{
    for (size_t i = 0; i < policy->rule_count; i++)
        rule_done(&policy->rules[i]);
    free(policy->rules);
    for (size_t target = 0; target < TARGET_COUNT_; target++)
        name_table_done(&policy->slots[target]);
    for (size_t i = 0; i < policy->database_count; i++)
        fp_db_freep(&policy->databases[i]);
    free(policy->databases);
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

struct evaluation {
    const struct subject *subject;
    struct mutation *spare; /* room for what is appended to */
    bool has_would_be;
    struct decision decision;
};

/* An append keeps what is there; anything else takes its place. */
static void apply(struct evaluation *evaluation, const struct effect *effect,
                  struct mutation *mutation)
{
    const struct mutation *before = NULL;

    if (effect->kind == EFFECT_APPEND && mutation->effect) {
        *evaluation->spare = *mutation;
        before = evaluation->spare++;
    }
    *mutation = (struct mutation){effect, before};
}

static void collect(struct evaluation *evaluation, const struct rule *rule)
{
    for (size_t target = 0; target < TARGET_COUNT_; target++) {
        const struct effects *effects = &rule->effects[target];
        struct mutation *mutations = evaluation->decision.mutations[target];

        for (size_t i = 0; i < effects->count; i++)
            apply(evaluation, &effects->items[i], &mutations[effects->items[i].slot]);
    }
}

static void note_fired(const struct rule *rule, struct decision *decision)
{
    if (decision->fired_count < DECISION_FIRED_MAX)
        decision->fired[decision->fired_count] = rule;
    decision->fired_count++;
}

static bool decided(struct decision *decision, enum verdict verdict, enum decision_reason reason,
                    const struct rule *rule)
{
    decision->verdict = verdict;
    decision->reason = reason;
    decision->rule = rule;
    return true;
}

static enum tri eval(const struct rule *rule, const struct subject *subject)
{
    return rule->when ? cond_eval(rule->when, subject) : TRI_YES;
}

static enum verdict verdict_of(const struct rule *rule)
{
    return rule->then == RULE_ALLOW ? VERDICT_ALLOW : VERDICT_DENY;
}

/* Remembers what would be; changes nothing.  The first one would end it, so later ones do not
 * count. */
static void run_shadow(struct evaluation *evaluation, const struct rule *rule)
{
    struct decision *decision = &evaluation->decision;

    if (evaluation->has_would_be || rule->then == RULE_CONTINUE ||
        eval(rule, evaluation->subject) != TRI_YES)
        return;
    note_fired(rule, decision);
    evaluation->has_would_be = true;
    decision->would_be = verdict_of(rule);
    decision->would_be_rule = rule;
}

/* The one place where UNKNOWN becomes an outcome.  Returns true when the rule decided. */
static bool run_rule(struct evaluation *evaluation, const struct rule *rule)
{
    struct decision *decision = &evaluation->decision;

    switch (eval(rule, evaluation->subject)) {
    case TRI_NO:
        return false;
    case TRI_UNKNOWN:
        if (rule->then != RULE_CONTINUE && rule->on_unknown != ON_UNKNOWN_SKIP)
            return decided(decision, VERDICT_DENY, DECISION_UNKNOWN, rule);
        decision->unknown_count++;
        return false;
    case TRI_YES:
        note_fired(rule, decision);
        collect(evaluation, rule);
        break;
    }
    return rule->then != RULE_CONTINUE && decided(decision, verdict_of(rule), DECISION_RULE, rule);
}

static void run_rules(const struct policy *policy, struct evaluation *evaluation)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct rule *rule = &policy->rules[i];

        if (rule->mode == RULE_SHADOW)
            run_shadow(evaluation, rule);
        else if (rule->mode == RULE_ENFORCE && run_rule(evaluation, rule))
            return;
    }
}

/* All that evaluation needs, from the arena.  Returns false when it is full. */
static bool take_room(const struct policy *policy, struct arena *arena,
                      struct evaluation *evaluation)
{
    for (size_t target = 0; target < TARGET_COUNT_; target++) {
        struct mutation **mutations = &evaluation->decision.mutations[target];

        *mutations = arena_calloc(arena, policy->slots[target].count, sizeof(**mutations));
        if (!*mutations)
            return false;
    }
    evaluation->spare = arena_calloc(arena, policy->append_count, sizeof(*evaluation->spare));
    return evaluation->spare != NULL;
}

static void drop_mutations(const struct policy *policy, struct decision *decision)
{
    for (size_t target = 0; target < TARGET_COUNT_; target++)
        if (target != TARGET_METADATA && policy->slots[target].count)
            memset(decision->mutations[target], 0,
                   policy->slots[target].count * sizeof(struct mutation));
}

int policy_evaluate(const struct policy *policy, const struct subject *subject, struct arena *arena,
                    struct decision *ret_decision)
{
    struct evaluation evaluation = {
        .subject = subject,
        .decision = {.verdict = policy->default_verdict},
    };
    struct decision *decision = &evaluation.decision;

    if (!take_room(policy, arena, &evaluation))
        return -ENOMEM;
    run_rules(policy, &evaluation);
    if (!evaluation.has_would_be) {
        decision->would_be = decision->verdict;
        decision->would_be_rule = decision->rule;
    }
    if (decision->verdict != VERDICT_ALLOW)
        drop_mutations(policy, decision);
    *ret_decision = *decision;
    return 0;
}
