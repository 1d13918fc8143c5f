/* SPDX-License-Identifier: Apache-2.0 */
#include "header_table.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "name_table.h"

/* The numbers of the names, which are in lower case, are slots and indexes. */
struct header_table {
    struct name_table read, owned;
    uint64_t lengths;               /* of all names, as a set: others need no look-up */
    int known[KNOWN_HEADER_COUNT_]; /* slots */
};

/* In every table. */
static const struct str KNOWN_NAMES[] = {
    [KNOWN_CONTENT_TYPE] = STR_INIT("content-type"),
    [KNOWN_REQUEST_ID] = STR_INIT("x-request-id"),
    [KNOWN_TRACE_PARENT] = STR_INIT("traceparent"),
};

enum { KNOWN_NAME_COUNT = sizeof(KNOWN_NAMES) / sizeof(KNOWN_NAMES[0]) };

/* The bit of a name's length; all long ones share one. */
static uint64_t length_bit(struct str name)
{
    return UINT64_C(1) << (name.len < 63 ? name.len : 63);
}

int header_table_new(struct header_table **ret_table)
{
    CLEANUP(header_table_freep) struct header_table *table = calloc(1, sizeof(*table));
    int r;

    if (!table)
        return -ENOMEM;
    for (unsigned i = 0; i < KNOWN_HEADER_COUNT_; i++)
        table->known[i] = HEADER_NONE;
    for (unsigned i = 0; i < KNOWN_NAME_COUNT; i++) {
        r = header_table_set_known(table, (enum known_header)i, KNOWN_NAMES[i]);
        if (r < 0)
            return r;
    }
    r = header_table_add_owned(table, STR("x-tcp-p0f"));
    if (r < 0)
        return r;
    *ret_table = TAKE_PTR(table);
    return 0;
}

void header_table_freep(struct header_table **slot)
{
    struct header_table *table = *slot;

    *slot = NULL;
    if (!table)
        return;
    name_table_done(&table->read);
    name_table_done(&table->owned);
    free(table);
}

static int add(struct header_table *table, struct name_table *names, struct str name)
{
    CLEANUP(freep) char *lower = str_dup(name);

    if (!lower)
        return -ENOMEM;
    for (size_t i = 0; i < name.len; i++)
        lower[i] = char_lower(lower[i]);
    table->lengths |= length_bit(name);
    return name_table_add(names, (struct str){lower, name.len});
}

int header_table_add_read(struct header_table *table, struct str name)
{
    return add(table, &table->read, name);
}

int header_table_add_owned(struct header_table *table, struct str name)
{
    return add(table, &table->owned, name);
}

int header_table_set_known(struct header_table *table, enum known_header known, struct str name)
{
    int slot = header_table_add_read(table, name);

    if (slot < 0)
        return slot;
    table->known[known] = slot;
    return 0;
}

int header_table_known(const struct header_table *table, enum known_header known)
{
    return table->known[known];
}

/* Nearly all names come in lower case: HTTP/2 has no other, and Envoy makes them so. */
static int find_read(const struct name_table *names, struct str name, uint32_t hash)
{
    size_t at = 0;
    int slot;

    while ((slot = name_table_next(names, hash, &at)) != NAME_NONE)
        if (str_eq(names->names[slot], name) || str_eq_nocase(names->names[slot], name))
            return slot;
    return HEADER_NONE;
}

struct header_match header_table_match(const struct header_table *table, struct str name)
{
    struct header_match match = {HEADER_NONE, HEADER_NONE, false};
    size_t at = 0;
    uint32_t hash;
    int index;

    if (!(table->lengths & length_bit(name)))
        return match;
    hash = name_hash(name);
    match.read_slot = find_read(&table->read, name, hash);
    while (!match.exact && (index = name_table_next(&table->owned, hash, &at)) != NAME_NONE)
        if (name_is_variant(table->owned.names[index], name)) {
            match.owned_index = index;
            match.exact = str_eq(table->owned.names[index], name);
        }
    return match;
}

size_t header_table_read_count(const struct header_table *table)
{
    return table->read.count;
}

size_t header_table_owned_count(const struct header_table *table)
{
    return table->owned.count;
}

struct str header_table_owned_name(const struct header_table *table, size_t index)
{
    return table->owned.names[index];
}

bool header_name_is_valid(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = char_lower(name.ptr[i]);

        if (!char_is_digit(c) && !(c >= 'a' && c <= 'z') && (!c || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return name.len > 0;
}
