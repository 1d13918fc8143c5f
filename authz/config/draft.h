/* SPDX-License-Identifier: Apache-2.0 */
/* A policy on its way from nodes to rules: what policy_file.c, draft_rule.c and draft_cond.c share.
 */
#ifndef DRAFT_H
#define DRAFT_H

#include <stdbool.h>
#include <stddef.h>

#include "diag.h"
#include "doc.h"

struct cond;
struct name_table;
struct policy;
struct rule;
struct template;

struct draft {
    struct policy *policy;
    struct rule *rule;                  /* the one being read */
    struct name_table *request_headers; /* names that it sets and removes, by index of the effect */
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

/* An item of `rules`, into draft->rule (draft_rule.c).  The headers that any rule sets are
 * in policy->headers and policy->header_slots by then. */
int draft_read_rule(struct draft *draft, const struct node *node);

#endif
