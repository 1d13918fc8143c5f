/* SPDX-License-Identifier: Apache-2.0 */
/* A policy on its way from nodes to rules: what policy_file.c and the files draft_*.c share. */
#ifndef DRAFT_H
#define DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "diag.h"
#include "digest.h"
#include "doc.h"

struct cond;
struct name_table;
struct policy;
struct rule;
struct template;

enum { DRAFT_ID_MAX = 64, DRAFT_DATABASES_MAX = 16 };

struct draft {
    struct policy *policy;
    struct rule *rule;        /* the one being read, and in it: */
    unsigned target;          /* enum effect_target */
    struct name_table *names; /* that it changes there; none may come twice */
    char digests[DRAFT_DATABASES_MAX][DIGEST_HEX_SIZE]; /* of policy->databases */
    struct diag *diag;
};

/* One key of a mapping and who reads its value. */
struct draft_key {
    const char *name;
    int (*read)(struct draft *draft, const struct node *value);
    bool required;
};

/* Reads a mapping that may hold these keys only. `what` names it in messages: "a rule". */
int draft_read_keys(struct draft *draft, const struct node *node, const char *what,
                    const struct draft_key *keys, size_t count);

/* Fails unless the node is of this kind: "found ..., expected WHAT". */
int draft_expect(struct draft *draft, const struct node *node, enum node_kind kind,
                 const char *what);

/* A scalar that was not left out; an empty text is written "". */
int draft_expect_text(struct draft *draft, const struct node *node, const char *what);

/* One of a few words, as its index. */
int draft_read_word(struct draft *draft, const struct node *node, const char *const *words,
                    size_t count, size_t *ret_index);

/* Fails unless the policy has databases, which this fact needs. */
int draft_need_database(struct draft *draft, struct place place, const char *fact);

int draft_read_template(struct draft *draft, const struct node *node,
                        struct template **ret_template);

/* An unknown word at `place`, with the nearest known one or, where none is near, all of them.
 * `what` is "key in a rule" or the like. */
int draft_unknown(struct draft *draft, struct place place, const char *what, struct str word,
                  const char *const *known, size_t count);

/* deny or skip */
int draft_read_on_unknown(struct draft *draft, const struct node *node, bool *ret_skip);

int draft_no_memory(struct draft *draft);

/* The value of `when` (draft_cond.c). */
int draft_read_cond(struct draft *draft, const struct node *node, struct cond **ret_cond);

/* The value of `databases` (draft_databases.c), read before any rule. */
int draft_read_databases(struct draft *draft, const struct node *node);

/* An item of `rules`, into draft->rule (draft_rule.c).  The headers that any rule sets are
 * in policy->headers and policy->slots by then. */
int draft_read_rule(struct draft *draft, const struct node *node);

/* Its effects (draft_effects.c) and its answer (draft_respond.c). */
int draft_read_request_headers(struct draft *draft, const struct node *node);
int draft_read_response_headers(struct draft *draft, const struct node *node);
int draft_read_query(struct draft *draft, const struct node *node);
int draft_read_metadata(struct draft *draft, const struct node *node);
int draft_read_respond(struct draft *draft, const struct node *node);

/* --- names and values (draft_header.c) */

/* Letters, digits, '.', '_' and '-', at most DRAFT_ID_MAX of them: rule ids and metadata keys stand
 * in logs, metrics and Envoy's format strings as they are. */
bool draft_is_identifier(struct str text);

bool draft_is_one_of(struct str text, const struct str *words, size_t count);

/* Checks a header name that a policy changes and gives it in lower case, owned by the caller. */
int draft_read_header_name(struct draft *draft, struct place place, struct str name,
                           struct str *ret_name);

/* The same of a key under which a header is set.  Many upstreams read x_a and x-a as one header,
 * and Envoy can be told to refuse the first: what a policy sets is spelled with '-'. */
int draft_read_set_name(struct draft *draft, const struct node *node, struct str *ret_name);

/* The template of a header's value.  Only its own text is checked here: what facts bring is made
 * valid in the reply. */
int draft_read_header_value(struct draft *draft, const struct node *node,
                            struct template **ret_template);

#endif
