/* SPDX-License-Identifier: Apache-2.0 */
/* One decision as a line of JSON.
 *
 * What a Check was about, what was decided and why: everything that the decision log says, and
 * nothing that it does not.  All is borrowed until the line is written.  Bytes of clients are
 * escaped (JSON, invalid UTF-8 replaced), so that no request can forge a line.  The keys stand in
 * record_keys.h; a fact that is absent is null. */
#ifndef DECISION_RECORD_H
#define DECISION_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "policy.h"
#include "redact.h"
#include "str.h"

/* How a Check ended. */
enum record_outcome {
    RECORD_FAULT = 0, /* our side's: no decision */
    RECORD_MALFORMED, /* bytes that no Envoy sends: no decision */
    RECORD_DECIDED,
    RECORD_OVERSIZE, /* denied, because the request is beyond our limits: no decision either */
};

struct decision_record {
    enum record_outcome outcome;
    uint64_t time_ns;    /* of the Check's end, CLOCK_REALTIME */
    uint64_t latency_ns; /* from the Check's bytes to the reply's */
    struct str decision_id;
    const struct policy *policy;     /* NULL: there was none */
    const struct subject *subject;   /* NULL: the request was not read */
    const struct decision *decision; /* NULL unless RECORD_DECIDED */
    uint64_t sample;                 /* of how many of its kind it is the one */
};

/* What is shown of a request beside what always is. */
struct record_settings {
    enum query_shown query;
    const struct str *headers; /* lower case; read by every policy (policy_store.h) */
    size_t header_count;       /* at most RECORD_HEADERS_MAX */
};

/* Bytes of a value are counted as they are written. */
enum { RECORD_HEADERS_MAX = 16, RECORD_HEADER_NAME_MAX = 64, RECORD_HEADER_VALUE_MAX = 512 };

/* Writes one line with its newline and returns its length.  What a client made long is cut between
 * two characters, and the line says so. */
enum { RECORD_LINE_MAX = 16384 };
size_t decision_record_write(const struct decision_record *record,
                             const struct record_settings *settings, char line[RECORD_LINE_MAX]);

/* allow, deny, or error where there was no verdict; as in the metric synauthz_checks_total. */
const char *record_verdict_name(const struct decision_record *record);
const char *record_reason_name(const struct decision_record *record);

#endif
