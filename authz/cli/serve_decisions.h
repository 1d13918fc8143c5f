/* SPDX-License-Identifier: Apache-2.0 */
/* The decision log of a server: from its options to its end. */
#ifndef SERVE_DECISIONS_H
#define SERVE_DECISIONS_H

#include <stdbool.h>

#include "decision_log.h"
#include "options.h"

struct policy_store;
struct serve_options;

/* All zero: there is none. */
struct serve_decisions {
    struct decision_log *log; /* NULL without --decision-log */
    const char *destination;
    char names[RECORD_HEADERS_MAX][RECORD_HEADER_NAME_MAX];
    struct str headers[RECORD_HEADERS_MAX]; /* of those names */

    /* What the operational log was told. */
    int said_error; /* errno, 0: all is well */
    uint64_t said_lost, said_no_receiver, said_at_s;
};

/* For the option's check: a name that Envoy accepts. */
int serve_decisions_check_header(struct str name, struct diag *diag);

/* Do the options fit together?  Returns 0 or -EINVAL with a message. */
int serve_decisions_check(const struct serve_options *options, struct diag *diag);

/* Would it open?  As the user that the server is. */
int serve_decisions_try(const struct serve_options *options, struct diag *diag);

/* Returns 0, also when there is to be none; or a negative errno with a message.  Then and at the
 * end serve_decisions_done(); must not be moved meanwhile. */
int serve_decisions_open(const struct serve_options *options, struct policy_store *store,
                         struct serve_decisions *ret_decisions, struct diag *diag);
int serve_decisions_reopen(struct serve_decisions *decisions, struct diag *diag);

/* Tells the operational log what went wrong since, about once a second. */
void serve_decisions_follow(struct serve_decisions *decisions);

/* What was decided before is written; no thread answers any more. */
void serve_decisions_done(struct serve_decisions *decisions);

#endif
