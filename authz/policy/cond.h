/* SPDX-License-Identifier: Apache-2.0 */
/* Compiled conditions: all, any, not, and tests of facts, evaluated three-valued (tri.h).
 *
 * One flat array of nodes in the order in which they were written, immutable once finished, shared
 * by all threads.  Evaluation allocates nothing; its depth is bounded when the condition is built.
 */
#ifndef COND_H
#define COND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "fact.h"
#include "fact_key.h"
#include "str.h"
#include "subject.h"
#include "tri.h"

struct cond;

enum cond_kind { COND_TEST = 0, COND_ALL, COND_ANY, COND_NOT };

/* What a test does with its operands; several operands mean "one of". */
enum cond_operator {
    COND_EQUALS =
        0,   /* text, word, number: equal; address: inside; signature: the pattern matches */
    COND_IN, /* the same, for a list */
    COND_PREFIX,
    COND_SUFFIX,
    COND_CONTAINS,
    COND_PRESENT, /* true: there is a value; false: observed absent */
    COND_OPERATOR_COUNT_,
};

const char *cond_operator_name(enum cond_operator op);

/* Does it make sense for facts of this type? */
bool cond_operator_fits(enum cond_operator op, enum fact_type type);

enum tri cond_eval(const struct cond *cond, const struct subject *subject);

/* Is there a subject for which it is UNKNOWN?  Errs on the side of yes: relations between facts are
 * not considered. */
bool cond_can_be_unknown(const struct cond *cond);

void cond_freep(struct cond **cond);

/* --- building
 *
 * Zeroed at the start.  Open a group, add its members, close it; then finish:
 *     open(COND_ALL)  test(...) operand(...)  open(COND_NOT) test(...) close()  close()  finish()
 * Functions that can fail return 0 or a negative errno; the builder is then only good for done().
 */
enum { COND_DEPTH_MAX = 32 };

struct cond_builder {
    struct cond *cond;
    size_t node_room, operand_room;
    uint32_t open[COND_DEPTH_MAX];
    unsigned depth;
};

/* -E2BIG: deeper than COND_DEPTH_MAX. */
int cond_builder_open(struct cond_builder *builder, enum cond_kind kind);
void cond_builder_close(struct cond_builder *builder);

/* A test without operands yet.  `key` says which one of several facts, NULL for facts without: the
 * condition's own from now on, also when this fails.  `present` is what COND_PRESENT wants. */
int cond_builder_test(struct cond_builder *builder, const struct fact *fact, struct fact_key *key,
                      enum cond_operator op, bool present);

/* An operand of the last test, from its text.  On -EINVAL the message says what was expected,
 * without a place; `ret_error_offset` is then the byte of `text` where it went wrong. */
int cond_builder_operand(struct cond_builder *builder, struct str text, size_t *ret_error_offset,
                         struct diag *diag);

/* Takes the condition out of the builder. */
struct cond *cond_builder_finish(struct cond_builder *builder);
void cond_builder_done(struct cond_builder *builder);

#endif
