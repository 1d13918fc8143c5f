/* SPDX-License-Identifier: Apache-2.0 */
#include "pbwriter.h"

#include <assert.h>

#include "utf8.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, VARINT_BYTES_MAX = 10 };

void pb_init(struct pbwriter *writer, char *buffer, size_t size)
{
    *writer = (struct pbwriter){.start = buffer, .end = buffer + size, .at = buffer + size};
}

struct str pb_result(const struct pbwriter *writer)
{
    if (writer->full)
        return (struct str){NULL, 0};
    return (struct str){writer->at, (size_t)(writer->end - writer->at)};
}

char *pb_reserve(struct pbwriter *writer, size_t size)
{
    if (writer->full || size > (size_t)(writer->at - writer->start)) {
        writer->full = true;
        return NULL;
    }
    writer->at -= size;
    return writer->at;
}

static void put_raw(struct pbwriter *writer, const char *bytes, size_t size)
{
    char *room = pb_reserve(writer, size);

    if (room && size)
        memcpy(room, bytes, size);
}

static void put_varint(struct pbwriter *writer, uint64_t value)
{
    char bytes[VARINT_BYTES_MAX];
    size_t size = 0;

    if (value < 0x80 && writer->at > writer->start && !writer->full) { /* nearly always */
        *--writer->at = (char)value;
        return;
    }
    while (value >= 0x80) {
        bytes[size++] = (char)(value | 0x80);
        value >>= 7;
    }
    bytes[size++] = (char)value;
    put_raw(writer, bytes, size);
}

size_t pb_open(const struct pbwriter *writer)
{
    return (size_t)(writer->end - writer->at);
}

void pb_close(struct pbwriter *writer, uint32_t number, size_t mark)
{
    put_varint(writer, pb_open(writer) - mark);
    put_varint(writer, (uint64_t)number << 3 | WIRE_BYTES);
}

void pb_put_uint(struct pbwriter *writer, uint32_t number, uint64_t value)
{
    put_varint(writer, value);
    put_varint(writer, (uint64_t)number << 3 | WIRE_VARINT);
}

void pb_put_double(struct pbwriter *writer, uint32_t number, double value)
{
    char bytes[sizeof(uint64_t)];
    uint64_t bits;

    static_assert(sizeof(bits) == sizeof(value), "IEEE 754");
    memcpy(&bits, &value, sizeof(bits));
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(bits >> (8 * i) & 0xff); /* little-endian */
    put_raw(writer, bytes, sizeof(bytes));
    put_varint(writer, (uint64_t)number << 3 | WIRE_FIXED64);
}

void pb_put_bytes(struct pbwriter *writer, uint32_t number, struct str bytes)
{
    size_t mark = pb_open(writer);

    put_raw(writer, bytes.ptr, bytes.len);
    pb_close(writer, number, mark);
}

void pb_put_text(struct pbwriter *writer, uint32_t number, struct str text)
{
    size_t mark = pb_open(writer);
    size_t size = utf8_repaired_length(text);
    char *room;

    if (size == text.len) { /* nothing to repair: a repair makes it longer */
        pb_put_bytes(writer, number, text);
        return;
    }
    room = pb_reserve(writer, size);
    if (room)
        utf8_repair(text, room);
    pb_close(writer, number, mark);
}
