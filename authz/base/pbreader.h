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
static inline int pb_next_field(struct str *rest, struct pb_field *ret_field);

/* The same for fields of every form. */
int pb_next_field_of_any_form(struct str *rest, struct pb_field *ret_field);

/* Nearly all fields of a request are text with a tag of one byte and a length of one byte. */
static inline int pb_next_field(struct str *rest, struct pb_field *ret_field)
{
    const unsigned char *at = (const unsigned char *)rest->ptr;

    if (rest->len == 0)
        return 0;
    if (rest->len < 2 || (at[0] & 0x87) != 2 || at[0] < 8 || at[1] > 0x7f || at[1] > rest->len - 2)
        return pb_next_field_of_any_form(rest, ret_field);
    *ret_field =
        (struct pb_field){.number = at[0] >> 3, .is_bytes = true, .bytes = {rest->ptr + 2, at[1]}};
    rest->ptr += 2 + ret_field->bytes.len;
    rest->len -= 2 + ret_field->bytes.len;
    return 1;
}

#endif
