/* SPDX-License-Identifier: Apache-2.0 */
/* Walk the fields of one protobuf message without unpacking it.
 *
 * No recursion, no allocation: a nested message is a field whose bytes can be walked in turn.
 * Source: protobuf encoding guide. */
#ifndef PBREADER_H
#define PBREADER_H

#include <stdint.h>

#include "str.h"

struct pb_field {
    uint32_t number;  /* 1..2^29-1 */
    bool is_bytes;    /* length-delimited: `bytes` is set; otherwise a number: `value` is set */
    bool is_fixed64;  /* a number that was sent as 8 bytes */
    struct str bytes; /* borrowed from the message */
    uint64_t value;
};

/* Takes one field off the front of `*rest`.  Returns 1 with a field; 0 at the end of the message;
 * -EBADMSG when the bytes are no protobuf (or hold a group, which proto3 does not have). */
int pb_next_field(struct str *rest, struct pb_field *ret_field);

#endif
