/* SPDX-License-Identifier: Apache-2.0 */
/* Names, each kept once and numbered from 0 in the order they came, found by a hash.
 *
 * Names that differ only in letter case or in '-' and '_' are different names with one hash, so
 * that one walk finds all spellings of a header.
 *
 * All zero is an empty table.  Built by one thread, then read by any number. */
#ifndef NAME_TABLE_H
#define NAME_TABLE_H

#include <stdint.h>

#include "str.h"

enum { NAME_NONE = -1 };

struct name_table {
    struct str *names; /* by number; owned by the table, with a NUL behind */
    size_t count;

    uint32_t *hashes;  /* by number */
    size_t room;       /* of `names` and `hashes` */
    uint32_t *buckets; /* 1 + a number, 0: free; a power of two of them, at least twice the names */
    size_t bucket_count;
};

void name_table_done(struct name_table *table);

/* The number of `name`, which is added (as a copy) if it is new; or -ENOMEM, and nothing has
 * changed. */
int name_table_add(struct name_table *table, struct str name);

/* The number of `name`, or NAME_NONE. */
int name_table_find(const struct name_table *table, struct str name);

/* Letter case and '-' or '_' make no difference: neither to this nor to the hash. */
bool name_is_variant(struct str a, struct str b);
uint32_t name_hash(struct str name);

/* Walks the names with this hash, in the order they came:
 *
 *     size_t at = 0;
 *     while ((number = name_table_next(table, hash, &at)) != NAME_NONE)
 */
int name_table_next(const struct name_table *table, uint32_t hash, size_t *at);

#endif
