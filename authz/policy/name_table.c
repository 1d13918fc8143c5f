/* SPDX-License-Identifier: Apache-2.0 */
#include "name_table.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "cleanup.h"

enum { ROOM_MIN = 8, BUCKETS_MIN = 2 * ROOM_MIN };

static char canonical(char c)
{
    return c == '_' ? '-' : char_lower(c);
}

/* FNV-1a.  The names in a table are the policy's own: a client cannot make them collide. */
uint32_t name_hash(struct str name)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (unsigned char)canonical(name.ptr[i])) * 16777619u;
    return hash;
}

bool name_is_variant(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (canonical(a.ptr[i]) != canonical(b.ptr[i]))
            return false;
    return true;
}

void name_table_done(struct name_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        freep(&table->names[i].ptr);
    free(table->names);
    free(table->hashes);
    free(table->buckets);
    *table = (struct name_table){0};
}

static void put(uint32_t *buckets, size_t bucket_count, uint32_t hash, size_t number)
{
    size_t i = hash & (bucket_count - 1);

    while (buckets[i])
        i = (i + 1) & (bucket_count - 1);
    buckets[i] = (uint32_t)number + 1;
}

static int grow_buckets(struct name_table *table)
{
    size_t bucket_count = table->bucket_count ? table->bucket_count * 2 : BUCKETS_MIN;
    uint32_t *buckets;

    if ((table->count + 1) * 2 <= table->bucket_count)
        return 0;
    buckets = calloc(bucket_count, sizeof(*buckets));
    if (!buckets)
        return -ENOMEM;
    for (size_t i = 0; i < table->count; i++) /* in their order, which walks rely on */
        put(buckets, bucket_count, table->hashes[i], i);
    free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
    return 0;
}

static int grow_room(struct name_table *table)
{
    size_t room = table->room ? table->room * 2 : ROOM_MIN;
    struct str *names;
    uint32_t *hashes;

    if (table->count < table->room)
        return 0;
    names = reallocarray(table->names, room, sizeof(*names));
    if (!names)
        return -ENOMEM;
    table->names = names;
    hashes = reallocarray(table->hashes, room, sizeof(*hashes));
    if (!hashes)
        return -ENOMEM;
    table->hashes = hashes;
    table->room = room;
    return 0;
}

int name_table_next(const struct name_table *table, uint32_t hash, size_t *at)
{
    while (*at < table->bucket_count) {
        uint32_t found = table->buckets[(hash + *at) & (table->bucket_count - 1)];

        if (!found)
            return NAME_NONE;
        ++*at;
        if (table->hashes[found - 1] == hash)
            return (int)(found - 1);
    }
    return NAME_NONE;
}

static int find(const struct name_table *table, struct str name, uint32_t hash)
{
    size_t at = 0;
    int number;

    while ((number = name_table_next(table, hash, &at)) != NAME_NONE)
        if (str_eq(table->names[number], name))
            return number;
    return NAME_NONE;
}

int name_table_find(const struct name_table *table, struct str name)
{
    return find(table, name, name_hash(name));
}

int name_table_add(struct name_table *table, struct str name)
{
    uint32_t hash = name_hash(name);
    int number = find(table, name, hash);
    char *copy;

    if (number != NAME_NONE)
        return number;
    if (table->count == INT_MAX || grow_buckets(table) < 0 || grow_room(table) < 0)
        return -ENOMEM;
    copy = str_dup(name);
    if (!copy)
        return -ENOMEM;
    table->names[table->count] = (struct str){copy, name.len};
    table->hashes[table->count] = hash;
    put(table->buckets, table->bucket_count, hash, table->count);
    return (int)table->count++;
}
