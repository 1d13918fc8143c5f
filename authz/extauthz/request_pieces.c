/* SPDX-License-Identifier: Apache-2.0 */
#include "request_pieces.h"

#include <stdint.h>

/* CheckRequest.attributes.request.http, and in it body and raw_body.  Source: ext_authz v3 API. */
static const uint32_t PATH[] = {1, 4, 2};
enum { DEPTH = sizeof(PATH) / sizeof(PATH[0]), BODY = 11, RAW_BODY = 12 };
enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { VARINT_BYTES_MAX = 10 };

/* A body, and the lengths that it counts in; one Envoy sends one of each kind at most.  What is
 * beyond these many is copied. */
enum { CUTS_MAX = 2, LENGTHS_MAX = 8 };

/* Positions are in the message as it came. */
struct cut {
    size_t at, size;
};

struct length {
    size_t at;      /* of the varint */
    unsigned width; /* its bytes */
    uint64_t value; /* what it becomes */
};

/* A place in the pieces. */
struct place {
    const struct str *pieces;
    size_t count, total, index, offset;
    size_t position; /* in the message */
};

struct search {
    struct place place;
    struct cut cuts[CUTS_MAX];
    struct length lengths[LENGTHS_MAX];
    size_t cut_count, length_count;
};

/* A message within which we are. */
struct level {
    size_t end;
    struct length length; /* its own, as it was */
    size_t cut;           /* bytes of it that are left out */
};

/* --- walking over pieces ---------------------------------------------------------------------- */

static bool take_byte(struct place *place, unsigned char *ret_byte)
{
    while (place->index < place->count && place->offset == place->pieces[place->index].len) {
        place->index++;
        place->offset = 0;
    }
    if (place->index == place->count)
        return false;
    *ret_byte = (unsigned char)place->pieces[place->index].ptr[place->offset++];
    place->position++;
    return true;
}

static bool skip(struct place *place, uint64_t size)
{
    if (size > place->total - place->position)
        return false;
    place->position += size;
    while (size > place->pieces[place->index].len - place->offset) {
        size -= place->pieces[place->index].len - place->offset;
        place->index++;
        place->offset = 0;
    }
    place->offset += size;
    return true;
}

static bool take_varint(struct place *place, struct length *ret_length)
{
    struct length length = {.at = place->position};
    unsigned char byte;

    do {
        if (length.width == VARINT_BYTES_MAX || !take_byte(place, &byte))
            return false;
        length.value |= (uint64_t)(byte & 0x7f) << (7 * length.width++);
    } while (byte & 0x80);
    *ret_length = length;
    return true;
}

/* --- looking for bodies ----------------------------------------------------------------------- */

static void leave_out(struct search *search, struct level *level, struct length length)
{
    if (search->cut_count == CUTS_MAX || search->length_count + DEPTH + 1 > LENGTHS_MAX)
        return;
    search->cuts[search->cut_count++] =
        (struct cut){.at = search->place.position, .size = (size_t)length.value};
    level->cut += (size_t)length.value;
    length.value = 0;
    search->lengths[search->length_count++] = length;
}

/* The innermost level ends here. */
static void leave(struct search *search, struct level *levels, unsigned depth)
{
    struct level *level = &levels[depth];

    if (level->cut == 0)
        return;
    level->length.value -= level->cut;
    search->lengths[search->length_count++] = level->length;
    levels[depth - 1].cut += level->cut;
}

/* A field of the innermost level, of which `depth` counts from 0.  Returns the depth from then on,
 * or -1 when these bytes are no protobuf. */
static int take_field(struct search *search, struct level *levels, int depth)
{
    struct place *place = &search->place;
    struct level *level = &levels[depth];
    struct length key, length;

    if (!take_varint(place, &key))
        return -1;
    switch (key.value & 7) {
    case WIRE_VARINT:
        return take_varint(place, &length) ? depth : -1;
    case WIRE_FIXED64:
        return skip(place, 8) ? depth : -1;
    case WIRE_FIXED32:
        return skip(place, 4) ? depth : -1;
    case WIRE_BYTES:
        break;
    default:
        return -1;
    }
    if (!take_varint(place, &length) || place->position > level->end ||
        length.value > level->end - place->position)
        return -1;
    if (depth < DEPTH && key.value >> 3 == PATH[depth]) {
        levels[depth + 1] = (struct level){
            .end = place->position + (size_t)length.value,
            .length = length,
        };
        return depth + 1;
    }
    if (depth == DEPTH && (key.value >> 3 == BODY || key.value >> 3 == RAW_BODY))
        leave_out(search, level, length);
    return skip(place, length.value) ? depth : -1;
}

/* Returns false when these bytes are no protobuf. */
static bool find_bodies(struct search *search)
{
    struct level levels[DEPTH + 1] = {{.end = search->place.total}};
    int depth = 0;

    for (;;) {
        if (search->place.position > levels[depth].end)
            return false;
        if (search->place.position < levels[depth].end) {
            depth = take_field(search, levels, depth);
            if (depth < 0)
                return false;
            continue;
        }
        if (depth == 0)
            return true;
        leave(search, levels, (unsigned)depth--);
    }
}

/* --- copying ---------------------------------------------------------------------------------- */

/* `position` in the message, without what was left out before it. */
static size_t moved(const struct search *search, size_t position)
{
    size_t cut = 0;

    for (size_t i = 0; i < search->cut_count; i++)
        if (search->cuts[i].at < position)
            cut += search->cuts[i].size;
    return position - cut;
}

static void write_length(char *at, const struct length *length)
{
    for (unsigned i = 0; i < length->width; i++) {
        unsigned more = i + 1 < length->width ? 0x80 : 0;

        at[i] = (char)((length->value >> (7 * i) & 0x7f) | more);
    }
}

/* The next `size` bytes; `to` NULL: nowhere. */
static char *copy(struct place *place, size_t size, char *to)
{
    while (size > 0) {
        const struct str *piece = &place->pieces[place->index];
        size_t length = piece->len - place->offset;

        length = length < size ? length : size;
        if (to) {
            memcpy(to, piece->ptr + place->offset, length);
            to += length;
        }
        place->offset += length;
        size -= length;
        if (place->offset == piece->len) {
            place->index++;
            place->offset = 0;
        }
    }
    return to;
}

static void copy_rest(const struct search *search, char *to)
{
    struct place place = {.pieces = search->place.pieces};
    size_t position = 0;
    char *at = to;

    for (size_t i = 0; i < search->cut_count; i++) {
        at = copy(&place, search->cuts[i].at - position, at);
        (void)copy(&place, search->cuts[i].size, NULL);
        position = search->cuts[i].at + search->cuts[i].size;
    }
    (void)copy(&place, search->place.total - position, at);
    for (size_t i = 0; i < search->length_count; i++)
        write_length(to + moved(search, search->lengths[i].at), &search->lengths[i]);
}

static size_t total_of(const struct str *pieces, size_t count)
{
    size_t total = 0;

    for (size_t i = 0; i < count; i++)
        total += pieces[i].len;
    return total;
}

bool request_pieces_join(const struct str *pieces, size_t count, struct arena *arena,
                         struct str *ret_message)
{
    struct search search = {
        .place = {.pieces = pieces, .count = count, .total = total_of(pieces, count)}};
    size_t size = search.place.total;
    char *message;

    if (size >= REQUEST_SEARCHED_MIN && !find_bodies(&search))
        search.cut_count = search.length_count = 0;
    size = moved(&search, size);
    message = arena_alloc(arena, size);
    if (!message)
        return false;
    copy_rest(&search, message);
    *ret_message = (struct str){message, size};
    return true;
}
