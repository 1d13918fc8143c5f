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
 * and at the end the policy's default.  For one header or metadata key the later rule wins, by
 * slots: each name that any rule can set, remove or write has one, so merging is an assignment.  */
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

enum verdict { VERDICT_DENY = 0, VERDICT_ALLOW, VERDICT_COUNT_ }; /* zeroed memory denies */

enum rule_then { RULE_DENY = 0, RULE_ALLOW, RULE_CONTINUE };

enum on_unknown { ON_UNKNOWN_UNSET = 0, ON_UNKNOWN_DENY, ON_UNKNOWN_SKIP };

/* One mutation of a request header or one metadata key. */
struct effect {
    uint32_t slot; /* into decision.request_headers or decision.metadata */
    bool remove;   /* request headers only: remove the header, `value` is unused */
    struct template *value;
    struct place place;
};

struct respond_header {
    struct str name; /* lower case */
    struct template *value;
};

/* What a denial answers.  Owned by its rule. */
struct respond {
    uint16_t status;       /* an HTTP status that Envoy knows; 0: not given, 403 */
    struct template *body; /* may be NULL */
    struct respond_header *headers;
    size_t header_count;
};

struct rule {
    struct str id;
    struct place place; /* of the rule in its file */
    enum rule_then then;
    enum on_unknown
        on_unknown;          /* effective: the rule's own or the policy's; UNSET if never needed */
    struct cond *when;       /* NULL: always */
    struct respond *respond; /* NULL unless given */
    struct effect *request_headers;
    size_t request_header_count;
    struct effect *metadata;
    size_t metadata_count;
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
    /* Slots of decision.request_headers: the owned headers first (same index as in `headers`), then
     * those that are only ever removed. */
    struct name_table header_slots;
    struct name_table metadata_slots; /* keys */
    atomic_uint references;
};

enum decision_reason {
    DECISION_DEFAULT = 0,
    DECISION_RULE,
    DECISION_UNKNOWN,  /* a rule was UNKNOWN and says deny */
    DECISION_OVERSIZE, /* the request is beyond our limits */
    DECISION_REASON_COUNT_,
};

struct decision {
    enum verdict verdict;
    enum decision_reason reason;
    const struct rule *rule; /* the one that decided; NULL: none */
    /* What the policy would say if its shadow rules were enforced, and the rule that would decide
     * then; the same as above when no shadow rule fired. */
    enum verdict would_be;
    const struct rule *would_be_rule;
    /* Winners, one for each slot of the policy; NULL: no rule touched it. request_headers is all
     * NULL on deny. */
    const struct effect **request_headers;
    const struct effect **metadata;
    size_t unknown_count; /* rules that were UNKNOWN and skipped */
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
