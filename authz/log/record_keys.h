/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a line of the decision log, in the order in which they are written.
 *
 * Names are OpenTelemetry's attributes where it has one, else our own below `synauthz.`; what each
 * means says docs/decision-log.md.  One table for the writer and for whoever reads lines back.
 * In front of the last one stand the headers that were asked for: RECORD_HEADER_PREFIX and the
 * name, with a list of one text. */
#ifndef RECORD_KEYS_H
#define RECORD_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include "str.h"

enum record_key {
    RECORD_TIME = 0,
    RECORD_TRACE_ID,
    RECORD_SPAN_ID,
    RECORD_TRACE_FLAGS,
    RECORD_SCHEMA_,
    RECORD_DECISION_ID,
    RECORD_VERDICT,
    RECORD_REASON,
    RECORD_POLICY,
    RECORD_REVISION,
    RECORD_RULE,
    RECORD_WOULD_BE_VERDICT,
    RECORD_WOULD_BE_RULE,
    RECORD_UNKNOWN_RULES,
    RECORD_LATENCY,
    RECORD_SAMPLE,
    RECORD_STATE,
    RECORD_STATE_REASON,
    RECORD_P0F,
    RECORD_LABEL,
    RECORD_OS_NAME,
    RECORD_OS_FLAVOR,
    RECORD_OS_FAMILY,
    RECORD_OS_MATCH,
    RECORD_DISTANCE,
    RECORD_PEER,
    RECORD_CLIENT_ADDRESS,
    RECORD_CLIENT_PORT,
    RECORD_LOCAL_ADDRESS,
    RECORD_LOCAL_PORT,
    RECORD_PEER_HEADER,
    RECORD_DIRECT_ADDRESS,
    RECORD_DIRECT_PORT,
    RECORD_PRINCIPAL,
    RECORD_SNI,
    RECORD_JA3,
    RECORD_JA4,
    RECORD_METHOD,
    RECORD_SCHEME,
    RECORD_HOST,
    RECORD_PORT,
    RECORD_PATH,
    RECORD_QUERY,
    RECORD_PROTOCOL,
    RECORD_REQUEST_ID,
    RECORD_CUT,
    RECORD_KEY_COUNT_,
};

enum record_type { RECORD_TEXT, RECORD_NUMBER, RECORD_BOOL };

/* So much is copied of each, whatever its length: one small copy of fixed size for each key is what
 * makes a line cheap. */
enum { RECORD_WRITTEN_MAX = 40 };

struct record_field {
    /* The name between quotes, and what stands around it in a line; terminated. */
    char written[RECORD_WRITTEN_MAX];
    uint8_t length;
    uint8_t type; /* enum record_type */
    uint16_t max; /* of a text: bytes between its quotes, escapes included */
};

extern const struct record_field RECORD_FIELDS[RECORD_KEY_COUNT_];

/* The name alone. */
struct str record_key_name(enum record_key key);

#define RECORD_HEADER_PREFIX "http.request.header."

/* What RECORD_SCHEMA_ says: grows when a key changes its meaning, not when one is added. */
enum { RECORD_SCHEMA = 1 };

#endif
