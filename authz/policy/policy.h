/* SPDX-License-Identifier: Apache-2.0 */
/* A compiled policy and its evaluation.
 *
 * Immutable once built; shared by reference between threads.  policy_evaluate() runs the rules from
 * top to bottom:
 *
 *     YES      allow, deny: decides, ends     continue: its effects are collected, goes on
 *     UNKNOWN  on_unknown (the rule's, else the policy's) applies: deny ends with the reason
 *              unknown:<rule>; skip goes on; a continue rule always skips
 *     NO       goes on
 *
 * and at the end the policy's default.  For one header, parameter or metadata key the later rule
 * wins, by slots: each name that any rule can change has one, so merging is an assignment.  What is
 * appended is kept with what it is appended to. */
#ifndef POLICY_H
#define POLICY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "diag.h"
#include "header_table.h"
#include "name_table.h"
#include "subject.h"
#include "template.h"
#include "tri.h"

struct cond;
struct fp_db;

enum verdict { VERDICT_DENY = 0, VERDICT_ALLOW, VERDICT_COUNT_ }; /* zeroed memory denies */

enum rule_then { RULE_DENY = 0, RULE_ALLOW, RULE_CONTINUE };

enum on_unknown { ON_UNKNOWN_UNSET = 0, ON_UNKNOWN_DENY, ON_UNKNOWN_SKIP };

/* Does a rule count?  A shadow rule is evaluated and never changes the reply; decision.would_be
 * says what it would have done.  A rule that is off is not even evaluated.  Headers that either
 * could set are taken from clients all the same. */
enum rule_mode { RULE_ENFORCE = 0, RULE_SHADOW, RULE_OFF };

/* What an effect of a rule changes.  Each has names of its own, numbered by policy.slots. */
enum effect_target {
    TARGET_REQUEST_HEADER = 0, /* on its way upstream */
    TARGET_RESPONSE_HEADER,    /* the upstream's answer, on its way to the client */
    TARGET_QUERY,              /* parameters of the request */
    TARGET_METADATA,           /* dynamic metadata: the only one that a denial keeps */
    TARGET_COUNT_,
};

enum effect_kind {
    EFFECT_SET = 0,
    EFFECT_APPEND, /* headers only */
    EFFECT_REMOVE, /* request headers and query only; has no value */
};

struct effect {
    enum effect_kind kind;
    uint32_t slot; /* the number of its name in policy.slots[target] */
    uint32_t
        read_slot; /* EFFECT_APPEND to a request header: the client's copy in subject.headers */
    bool is_underscored;             /* of a parameter: what would need an escape becomes '_' */
    struct template *value;          /* NULL: `members` instead, or a removal */
    struct metadata_member *members; /* of nested metadata; the rule's own */
    size_t member_count;
    struct place place;
};

/* One key of nested metadata: a text, or members again. */
struct metadata_member {
    struct str key;
    struct template *value; /* NULL: `members` */
    struct metadata_member *members;
    size_t member_count;
};

struct effects {
    struct effect *items;
    size_t count;
};

/* One line; a header may stand there several times (set-cookie). */
struct respond_header {
    struct str name; /* lower case */
    struct template *value;
};

/* What a denial answers.  Owned by its rule. */
struct respond {
    uint16_t status;     /* an HTTP status that Envoy knows; 0: not given, 403 or 302 (redirect) */
    uint8_t grpc_status; /* 1..16 for gRPC clients; 0: not given, follows from `status` */
    struct template *body;         /* may be NULL */
    struct template *redirect;     /* where to; may be NULL */
    struct template *grpc_message; /* may be NULL: the first line of the body */
    struct respond_header *headers;
    size_t header_count;
};

struct rule {
    struct str id;
    struct place place; /* of the rule in its file */
    enum rule_mode mode;
    unsigned series; /* of its counter (rule_series.h) */
    enum rule_then then;
    enum on_unknown
        on_unknown;          /* effective: the rule's own or the policy's; UNSET if never needed */
    struct cond *when;       /* NULL: always */
    struct respond *respond; /* NULL unless given */
    struct effects effects[TARGET_COUNT_];
};

struct policy {
    char *file;
    struct str name;   /* "default" */
    char revision[13]; /* 12 hex digits of the files' SHA-256 */
    struct rule *rules;
    size_t rule_count;
    enum verdict default_verdict;
    enum on_unknown on_unknown;
    struct header_table *headers;
    /* Names by slot.  Of request headers the owned ones come first (same index as in `headers`),
     * then those that are only ever removed or appended to. */
    struct name_table slots[TARGET_COUNT_];
    size_t owned_parameter_count; /* so many of the query's come first: those that rules set */
    size_t append_count; /* effects of all rules that append: the most that one decision can hold */
    struct fp_db **databases; /* in order; owned */
    size_t database_count;    /* 0: nothing has a label */
    atomic_uint references;
};

enum decision_reason {
    DECISION_DEFAULT = 0,
    DECISION_RULE,
    DECISION_UNKNOWN,  /* a rule was UNKNOWN and says deny */
    DECISION_OVERSIZE, /* the request is beyond our limits */
    DECISION_REASON_COUNT_,
};

/* What the rules that fired want of one name: the last effect, and for one that appends what came
 * before it. */
struct mutation {
    const struct effect *effect;   /* NULL: no rule touched it */
    const struct mutation *before; /* NULL: what the client or the upstream sent */
};

enum { DECISION_FIRED_MAX = 32 };

struct decision {
    enum verdict verdict;
    enum decision_reason reason;
    const struct rule *rule; /* the one that decided; NULL: none */
    /* What the policy would say if its shadow rules were enforced, and the rule that would decide
     * then; the same as above when no shadow rule fired. */
    enum verdict would_be;
    const struct rule *would_be_rule;
    /* One for each slot of the policy.  On deny all are zero except those of metadata. */
    struct mutation *mutations[TARGET_COUNT_];
    size_t unknown_count; /* rules that were UNKNOWN and skipped */
    /* The rules that were YES, for who counts them: the first of them, and how many they were.  Of
     * shadow rules the one that would decide. */
    const struct rule *fired[DECISION_FIRED_MAX];
    size_t fired_count;
};

/* An empty policy with one reference that denies; whoever builds it fills in the fields, which it
 * owns from then on, and shares it only when it is complete. */
int policy_new(struct policy **ret_policy);

/* Can some subject make the rule's condition UNKNOWN? */
bool rule_can_be_unknown(const struct rule *rule);

/* Takes a reference; policy_unref() gives it back and frees at the last. */
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy);
void policy_unrefp(struct policy **policy);

/* Decide about a subject.  The decision's arrays come from `arena` before the first rule runs;
 * evaluation itself allocates nothing.  Returns 0, or -ENOMEM when the arena is too small for the
 * arrays. */
int policy_evaluate(const struct policy *policy, const struct subject *subject, struct arena *arena,
                    struct decision *ret_decision);

#endif
