/* SPDX-License-Identifier: Apache-2.0 */
#include "header_reader.h"

#include "message.h"

enum request_status header_field_read(const struct pb_field *field, bool is_raw,
                                      struct header_field *ret_header)
{
    struct header_field header = {STR_INIT(""), STR_INIT(""), is_raw};
    struct str entry = field->bytes, raw = {NULL, 0};
    uint32_t last = is_raw ? ENTRY_RAW_VALUE : ENTRY_VALUE;
    struct pb_field part;
    int r;

    if (!field->is_bytes)
        return REQUEST_MALFORMED;
    while ((r = pb_next_field(&entry, &part)) > 0) {
        if (part.number > last)
            continue;
        if (!part.is_bytes)
            return REQUEST_MALFORMED;
        *(part.number == ENTRY_KEY     ? &header.name
          : part.number == ENTRY_VALUE ? &header.value
                                       : &raw) = part.bytes;
    }
    if (r < 0)
        return REQUEST_MALFORMED;
    if (raw.len)
        header.value = raw;
    *ret_header = header;
    return REQUEST_OK;
}

enum request_status header_reader_start(struct header_reader *reader)
{
    size_t count = header_table_read_count(reader->table);

    if (reader->values)
        return REQUEST_OK;
    reader->values = arena_calloc(reader->arena, count, sizeof(*reader->values));
    reader->is_raw = arena_calloc(reader->arena, count, sizeof(*reader->is_raw));
    return reader->values && reader->is_raw ? REQUEST_OK : REQUEST_OVERSIZE;
}

/* A repeated header is one value with commas (RFC 9110 5.3), as Envoy joins them in its map form.
 * The third value comes behind the first two where they are: however many there are, each is copied
 * once. */
static enum request_status join_value(struct header_reader *reader, struct str *known,
                                      struct str value)
{
    const size_t more = 1 + value.len;
    char *added = arena_extend(reader->arena, known->ptr, known->len, more);

    if (!added) {
        char *joined = arena_alloc(reader->arena, known->len + more);

        if (!joined)
            return REQUEST_OVERSIZE;
        memcpy(joined, known->ptr, known->len);
        known->ptr = joined;
        added = joined + known->len;
    }
    added[0] = ',';
    memcpy(added + 1, value.ptr, value.len);
    known->len += more;
    return REQUEST_OK;
}

static enum request_status add_value(struct header_reader *reader, int slot,
                                     const struct header_field *header)
{
    if (header->is_raw && reader->is_raw[slot])
        return join_value(reader, &reader->values[slot], header->value);
    if (header->is_raw || !reader->is_raw[slot])
        reader->values[slot] = header->value;
    reader->is_raw[slot] |= header->is_raw;
    return REQUEST_OK;
}

static bool is_owned_name(const struct header_table *table, struct str name)
{
    for (size_t i = 0; i < header_table_owned_count(table); i++)
        if (str_eq_nocase(name, header_table_owned_name(table, i)))
            return true;
    return false;
}

enum request_status header_reader_add_variant(struct header_reader *reader, struct str name)
{
    struct request *request = reader->request;

    if (is_owned_name(reader->table, name))
        return REQUEST_OK;
    if (!request->variants)
        request->variants = arena_calloc(reader->arena, REQUEST_VARIANTS_MAX, sizeof(struct str));
    if (!request->variants || request->variant_count == REQUEST_VARIANTS_MAX)
        return REQUEST_OVERSIZE;
    request->variants[request->variant_count++] = name;
    return REQUEST_OK;
}

enum request_status header_reader_add(struct header_reader *reader,
                                      const struct header_field *header)
{
    struct header_match match;
    enum request_status status = REQUEST_OK;

    if (reader->left == 0)
        return REQUEST_OVERSIZE;
    reader->left--;
    match = header_table_match(reader->table, header->name);
    if (match.read_slot != HEADER_NONE)
        status = add_value(reader, match.read_slot, header);
    if (status == REQUEST_OK && match.owned_index != HEADER_NONE && !match.exact)
        status = header_reader_add_variant(reader, header->name);
    return status;
}

struct str header_reader_known(const struct header_reader *reader, enum known_header known)
{
    int slot = header_table_known(reader->table, known);

    return slot == HEADER_NONE ? (struct str){NULL, 0} : reader->values[slot];
}
