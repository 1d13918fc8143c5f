/* SPDX-License-Identifier: Apache-2.0 */
/* One decision as a line of JSON.
 *
 * What a Check was about, what was decided and why: everything that the decision log says, and
 * nothing that it does not.  All is borrowed until the line is written. Bytes of clients are
 * escaped (JSON, invalid UTF-8 replaced), so that no request can forge a line. */
#ifndef DECISION_RECORD_H
#define DECISION_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "str.h"

/* How a Check ended that has no decision. */
enum record_outcome { RECORD_FAULT = 0, RECORD_DECIDED, RECORD_OVERSIZE };

struct decision_record {
    enum record_outcome outcome;
    uint64_t time_ns;    /* of the Check, CLOCK_REALTIME */
    uint64_t latency_ns; /* from the Check's bytes to the reply's */
    struct str decision_id;
    const struct policy *policy;
    const struct subject *subject;   /* NULL: the request was not read */
    const struct decision *decision; /* NULL unless RECORD_DECIDED */
};

/* Writes one line with its newline to `buffer`; never more than `size` bytes: what a client made
 * long is cut, and the line says so.  Returns its length. */
enum { RECORD_LINE_MAX = 4096 };
size_t decision_record_write(const struct decision_record *record, char *buffer, size_t size);

#endif
