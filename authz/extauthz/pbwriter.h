/* SPDX-License-Identifier: Apache-2.0 */
/* Write a protobuf message back to front into a bounded buffer.
 *
 * The last field is written first, so that the length of a nested message is known when its header
 * is written and nothing is moved.  Within a message, write its fields in descending order:
 *
 *     size_t mark = pb_open(&writer);
 *     pb_put_text(&writer, 2, value);
 *     pb_put_text(&writer, 1, key);
 *     pb_close(&writer, 7, mark);          field 7 = {1: key, 2: value}
 *
 * A write that does not fit sets `full` and drops everything from then on: ask once, at the end. */
#ifndef PBWRITER_H
#define PBWRITER_H

#include <stdint.h>

#include "str.h"

struct pbwriter {
    char *start, *end; /* of the buffer, borrowed */
    char *at;          /* the message so far is at..end */
    bool full;
};

void pb_init(struct pbwriter *writer, char *buffer, size_t size);

/* The message, inside the buffer; {NULL, 0} when it did not fit. */
struct str pb_result(const struct pbwriter *writer);

/* A nested message ends here (it is written backwards) ... */
size_t pb_open(const struct pbwriter *writer);
/* ... and begins here: puts its length and the tag of field `number` in front. */
void pb_close(struct pbwriter *writer, uint32_t number, size_t mark);

void pb_put_uint(struct pbwriter *writer, uint32_t number, uint64_t value);
void pb_put_double(struct pbwriter *writer, uint32_t number, double value);
void pb_put_bytes(struct pbwriter *writer, uint32_t number, struct str bytes);

/* A `string` field: what is not UTF-8 becomes U+FFFD, a parser of proto3 refuses the whole message
 * otherwise. */
void pb_put_text(struct pbwriter *writer, uint32_t number, struct str text);

/* Room for `size` bytes in front of what was written, to be filled by the caller; NULL when it does
 * not fit. */
char *pb_reserve(struct pbwriter *writer, size_t size);

#endif
