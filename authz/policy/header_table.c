/* SPDX-License-Identifier: Apache-2.0 */
#include "header_table.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

/* Open addressing over the canonical form of a name: lower case, '-' for '_'.  All spellings of one
 * name share a hash, so one walk along its run of buckets finds the read and the owned entry. */
struct entry {
    struct str name; /* lower case, owned */
    uint32_t hash;
    int read_slot;
    int owned_index;
};

struct header_table {
    struct entry *buckets; /* name.ptr NULL: free */
    size_t bucket_count;   /* a power of two, at least twice the entries */
    size_t entry_count;
    size_t longest;    /* of all names: longer ones need no look-up */
    struct str *owned; /* names by index, borrowed from the buckets */
    size_t owned_count;
    size_t read_count;
};

enum { BUCKETS_MIN = 16 };

static char canonical(char c)
{
    return c == '_' ? '-' : char_lower(c);
}

/* FNV-1a. The names in the table are the policy's own: a client cannot make them collide. */
static uint32_t canonical_hash(struct str name)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)canonical(name.ptr[i])) * 16777619u;
    return hash;
}

static bool is_variant(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (canonical(a.ptr[i]) != canonical(b.ptr[i]))
            return false;
    return true;
}

int header_table_new(struct header_table **ret_table)
{
    CLEANUP(header_table_freep) struct header_table *table = calloc(1, sizeof(*table));
    int r;

    if (!table)
        return -ENOMEM;
    table->buckets = calloc(BUCKETS_MIN, sizeof(*table->buckets));
    if (!table->buckets)
        return -ENOMEM;
    table->bucket_count = BUCKETS_MIN;
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
    for (size_t i = 0; table->buckets && i < table->bucket_count; i++)
        freep(&table->buckets[i].name.ptr);
    free(table->buckets);
    free(table->owned);
    free(table);
}

static struct entry *free_bucket(struct entry *buckets, size_t count, uint32_t hash)
{
    size_t i = hash & (count - 1);

    while (buckets[i].name.ptr)
        i = (i + 1) & (count - 1);
    return &buckets[i];
}

static int make_room(struct header_table *table)
{
    size_t count = table->bucket_count * 2;
    struct entry *buckets;

    if ((table->entry_count + 1) * 2 <= table->bucket_count)
        return 0;
    buckets = calloc(count, sizeof(*buckets));
    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < table->bucket_count; i++)
        if (table->buckets[i].name.ptr)
            *free_bucket(buckets, count, table->buckets[i].hash) = table->buckets[i];
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
    return 0;
}

static struct entry *find(const struct header_table *table, struct str name)
{
    uint32_t hash = canonical_hash(name);
    size_t mask = table->bucket_count - 1;

    for (size_t i = hash & mask; table->buckets[i].name.ptr; i = (i + 1) & mask)
        if (table->buckets[i].hash == hash && str_eq_nocase(table->buckets[i].name, name))
            return &table->buckets[i];
    return NULL;
}

/* The entry of `name`, new if need be; NULL without memory. */
static struct entry *find_or_add(struct header_table *table, struct str name)
{
    struct entry *entry = find(table, name);
    char *copy;

    if (entry)
        return entry;
    copy = make_room(table) == 0 ? str_dup(name) : NULL;
    if (!copy)
        return NULL;
    for (size_t i = 0; i < name.len; i++)
        copy[i] = char_lower(copy[i]);
    entry = free_bucket(table->buckets, table->bucket_count, canonical_hash(name));
    *entry = (struct entry){
        .name = {copy, name.len},
        .hash = canonical_hash(name),
        .read_slot = HEADER_NONE,
        .owned_index = HEADER_NONE,
    };
    table->entry_count++;
    if (name.len > table->longest)
        table->longest = name.len;
    return entry;
}

int header_table_add_read(struct header_table *table, struct str name)
{
    struct entry *entry = find_or_add(table, name);

    if (!entry)
        return -ENOMEM;
    if (entry->read_slot == HEADER_NONE)
        entry->read_slot = (int)table->read_count++;
    return entry->read_slot;
}

int header_table_add_owned(struct header_table *table, struct str name)
{
    struct entry *entry = find_or_add(table, name);
    struct str *owned;

    if (!entry)
        return -ENOMEM;
    if (entry->owned_index != HEADER_NONE)
        return entry->owned_index;
    owned = reallocarray(table->owned, table->owned_count + 1, sizeof(*owned));
    if (!owned)
        return -ENOMEM;
    table->owned = owned;
    owned[table->owned_count] = entry->name;
    entry->owned_index = (int)table->owned_count++;
    return entry->owned_index;
}

struct header_match header_table_match(const struct header_table *table, struct str name)
{
    struct header_match match = {HEADER_NONE, HEADER_NONE, false};
    size_t mask = table->bucket_count - 1;
    uint32_t hash;

    if (name.len > table->longest)
        return match;
    hash = canonical_hash(name);
    for (size_t i = hash & mask; table->buckets[i].name.ptr; i = (i + 1) & mask) {
        const struct entry *entry = &table->buckets[i];

        if (entry->hash != hash || !is_variant(entry->name, name))
            continue;
        if (entry->read_slot != HEADER_NONE && str_eq_nocase(entry->name, name))
            match.read_slot = entry->read_slot;
        if (entry->owned_index != HEADER_NONE && !match.exact) {
            match.owned_index = entry->owned_index;
            match.exact = str_eq(entry->name, name);
        }
    }
    return match;
}

size_t header_table_read_count(const struct header_table *table)
{
    return table->read_count;
}

size_t header_table_owned_count(const struct header_table *table)
{
    return table->owned_count;
}

struct str header_table_owned_name(const struct header_table *table, size_t index)
{
    return table->owned[index];
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
