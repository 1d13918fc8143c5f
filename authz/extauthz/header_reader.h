/* SPDX-License-Identifier: Apache-2.0 */
/* The headers of a CheckRequest, in either of their two forms.
 *
 *   headers      map<string, string>: Envoy has joined repeated ones with ","; of a repeated key
 * the last counts, as in every map of protobuf header_map   repeated HeaderValue, with
 * encode_raw_headers: the values as they came, joined here
 *
 * so that a policy sees the same text in both.  Where both are sent, header_map counts. */
#ifndef HEADER_READER_H
#define HEADER_READER_H

#include "arena.h"
#include "header_table.h"
#include "pbreader.h"
#include "request.h"

struct header_field {
    struct str name, value; /* ptr never NULL */
    bool is_raw;            /* of a header_map */
};

/* One entry of `headers` or of `header_map`. */
enum request_status header_field_read(const struct pb_field *field, bool is_raw,
                                      struct header_field *ret_header);

struct header_reader {
    const struct header_table *table;
    struct arena *arena;
    struct request *request; /* its variants are added to */
    size_t left;             /* header fields that may still come */

    struct str *values; /* by read slot; NULL until header_reader_start() */
    bool *is_raw;       /* where the value is from */
};

/* Makes room for the values; does nothing the second time. */
enum request_status header_reader_start(struct header_reader *reader);

enum request_status header_reader_add(struct header_reader *reader,
                                      const struct header_field *header);

/* A name that must not get upstream; one that the policy owns is set or removed anyway, and is not
 * added: Envoy removes last. */
enum request_status header_reader_add_variant(struct header_reader *reader, struct str name);

/* The value of a header that the product itself reads; ptr NULL: absent. */
struct str header_reader_known(const struct header_reader *reader, enum known_header known);

#endif
