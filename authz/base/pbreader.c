/* SPDX-License-Identifier: Apache-2.0 */
#include "pbreader.h"

#include <errno.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { VARINT_BYTES_MAX = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

/* What is left of a message. */
struct cursor {
    const unsigned char *at, *end;
};

static bool take_long_varint(struct cursor *cursor, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < VARINT_BYTES_MAX && cursor->at + i < cursor->end; i++) {
        unsigned char byte = cursor->at[i];

        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            cursor->at += i + 1;
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static inline bool take_varint(struct cursor *cursor, uint64_t *ret_value)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) { /* nearly always */
        *ret_value = *cursor->at++;
        return true;
    }
    return take_long_varint(cursor, ret_value);
}

/* A little-endian number of fixed size. */
static bool take_fixed(struct cursor *cursor, size_t size, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (size > (size_t)(cursor->end - cursor->at))
        return false;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | cursor->at[i - 1];
    cursor->at += size;
    *ret_value = value;
    return true;
}

static inline bool take_bytes(struct cursor *cursor, struct str *ret_bytes)
{
    uint64_t length;

    if (!take_varint(cursor, &length) || length > (size_t)(cursor->end - cursor->at))
        return false;
    *ret_bytes = (struct str){(const char *)cursor->at, (size_t)length};
    cursor->at += length;
    return true;
}

static bool take_number(struct cursor *cursor, unsigned wire_type, uint64_t *ret_value)
{
    switch (wire_type) {
    case WIRE_VARINT:
        return take_varint(cursor, ret_value);
    case WIRE_FIXED64:
        return take_fixed(cursor, 8, ret_value);
    case WIRE_FIXED32:
        return take_fixed(cursor, 4, ret_value);
    default:
        return false;
    }
}

int pb_next_field_of_any_form(struct str *rest, struct pb_field *ret_field)
{
    struct cursor cursor;
    struct str bytes = {NULL, 0};
    uint64_t tag, value = 0;
    bool is_bytes;

    if (rest->len == 0)
        return 0;
    cursor.at = (const unsigned char *)rest->ptr;
    cursor.end = cursor.at + rest->len;
    if (!take_varint(&cursor, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return -EBADMSG;
    is_bytes = (tag & 7) == WIRE_BYTES;
    if (is_bytes ? !take_bytes(&cursor, &bytes)
                 : !take_number(&cursor, (unsigned)(tag & 7), &value))
        return -EBADMSG;
    *ret_field = (struct pb_field){
        .number = (uint32_t)(tag >> 3),
        .is_bytes = is_bytes,
        .is_fixed64 = (tag & 7) == WIRE_FIXED64,
        .bytes = bytes,
        .value = value,
    };
    *rest = (struct str){(const char *)cursor.at, (size_t)(cursor.end - cursor.at)};
    return 1;
}
