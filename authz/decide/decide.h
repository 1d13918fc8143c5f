/* SPDX-License-Identifier: Apache-2.0 */
/* The way of one Check: find the SYN of the connection, fingerprint it, evaluate the policy.
 *
 * No wire format and no gRPC here; safe from several threads at once. */
#ifndef DECIDE_H
#define DECIDE_H

#include "arena.h"
#include "policy.h"
#include "subject.h"

enum on_fault {
    ON_FAULT_ERROR = 0, /* the maps cannot be read: a gRPC error, Envoy's failure mode decides */
    ON_FAULT_POLICY,    /* the fingerprint is unobservable, the policy decides */
};

enum decide_status {
    DECIDE_FAULT = 0, /* our side's failure: no decision */
    DECIDE_OK,
    DECIDE_OVERSIZE, /* the arena is full */
};

/* Fills in the SYN part of `subject`, says what became of its peer header, and decides.  What the
 * subject then borrows lives in `arena`. On DECIDE_FAULT the subject says why. */
enum decide_status decide(const struct syn_source *source, const struct policy *policy,
                          enum on_fault on_fault, struct subject *subject, struct arena *arena,
                          struct decision *ret_decision);

#endif
