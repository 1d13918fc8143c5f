/* SPDX-License-Identifier: Apache-2.0 */
/* The header names that a policy cares about, found by one hash look-up for each header of a
 * request.
 *
 * Read: a rule tests its value; the name must be equal, letter case aside; it has a slot in
 * subject.headers.
 * Owned: the policy can set it on the request, so a client's own copy must never get upstream, in
 * no letter case and with neither '-' nor '_' (many upstreams see both as one name). It has an
 * index into the policy's owned headers.  x-tcp-p0f is owned by every policy.
 *
 * Built at policy load, immutable afterwards. */
#ifndef HEADER_TABLE_H
#define HEADER_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct header_table;

enum { HEADER_NONE = -1 };

/* Headers that the product itself reads, whatever the rules do; request.c brings them to fields of
 * the subject.  The first have slots in every table, the others when the policy names them. */
enum known_header {
    KNOWN_CONTENT_TYPE = 0,
    KNOWN_REQUEST_ID,
    KNOWN_TRACE_PARENT,
    KNOWN_JA3,
    KNOWN_JA4,
    KNOWN_HEADER_COUNT_,
};

struct header_match {
    int read_slot;   /* index into subject.headers, or HEADER_NONE */
    int owned_index; /* index into the owned headers, or HEADER_NONE */
    bool exact;      /* the owned header's own spelling (lower case), not a variant of it */
};

int header_table_new(struct header_table **ret_table);
void header_table_freep(struct header_table **table);

/* While building. Both are idempotent; names are kept in lower case.  Return the slot or index, or
 * -ENOMEM. */
int header_table_add_read(struct header_table *table, struct str name);
int header_table_add_owned(struct header_table *table, struct str name);

/* Names the header that is this known one.  Returns 0 or -ENOMEM. */
int header_table_set_known(struct header_table *table, enum known_header known, struct str name);

/* Its slot, or HEADER_NONE. */
int header_table_known(const struct header_table *table, enum known_header known);

/* On the call path: allocates nothing. `name` in any letter case. */
struct header_match header_table_match(const struct header_table *table, struct str name);

size_t header_table_read_count(const struct header_table *table);
size_t header_table_owned_count(const struct header_table *table);

/* Lower-case name of an owned header. */
struct str header_table_owned_name(const struct header_table *table, size_t index);

/* Is this a header name that Envoy accepts in a mutation (RFC 9110 token, no ':' in front)? */
bool header_name_is_valid(struct str name);

#endif
