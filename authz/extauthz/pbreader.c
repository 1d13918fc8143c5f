/* SPDX-License-Identifier: Apache-2.0 */
#include "pbreader.h"

#include <errno.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

enum { VARINT_BYTES_MAX = 10, FIELD_NUMBER_MAX = (1 << 29) - 1 };

static int take_varint(struct str *rest, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < rest->len && i < VARINT_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)rest->ptr[i];

        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = str_from_offset(*rest, i + 1);
            *ret_value = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int take_bytes(struct str *rest, uint64_t length, struct str *ret_bytes)
{
    if (length > rest->len)
        return -EBADMSG;
    *ret_bytes = (struct str){rest->ptr, (size_t)length};
    *rest = str_from_offset(*rest, (size_t)length);
    return 0;
}

/* A little-endian number of fixed size. */
static int take_fixed(struct str *rest, size_t size, uint64_t *ret_value)
{
    struct str bytes;
    uint64_t value = 0;

    if (take_bytes(rest, size, &bytes) < 0)
        return -EBADMSG;
    for (size_t i = size; i > 0; i--)
        value = value << 8 | (unsigned char)bytes.ptr[i - 1];
    *ret_value = value;
    return 0;
}

static int take_value(struct str *rest, unsigned wire_type, struct pb_field *field)
{
    uint64_t length;

    switch (wire_type) {
    case WIRE_VARINT:
        return take_varint(rest, &field->value);
    case WIRE_FIXED64:
        return take_fixed(rest, 8, &field->value);
    case WIRE_FIXED32:
        return take_fixed(rest, 4, &field->value);
    case WIRE_BYTES:
        field->is_bytes = true;
        if (take_varint(rest, &length) < 0)
            return -EBADMSG;
        return take_bytes(rest, length, &field->bytes);
    default:
        return -EBADMSG;
    }
}

int pb_next_field(struct str *rest, struct pb_field *ret_field)
{
    struct pb_field field = {0};
    uint64_t tag;

    if (rest->len == 0)
        return 0;
    if (take_varint(rest, &tag) < 0 || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
        return -EBADMSG;
    field.number = (uint32_t)(tag >> 3);
    if (take_value(rest, (unsigned)(tag & 7), &field) < 0)
        return -EBADMSG;
    *ret_field = field;
    return 1;
}
