/* SPDX-License-Identifier: Apache-2.0 */
/* Database entries by option layout: only an entry with exactly the SYN's layout can match it, and
 * few have the same one. */
#ifndef LAYOUT_INDEX_H
#define LAYOUT_INDEX_H

#include "fp_db.h"

struct layout_group;

/* Zeroed is empty. */
struct layout_index {
    struct layout_group **slots; /* open addressing, a power of two of them */
    size_t slot_count;
    size_t group_count;
};

/* Adds behind the entries of the same layout.  The entry is borrowed for the life of the index.
 * Returns 0 or -ENOMEM. */
int layout_index_add(struct layout_index *index, const struct fp_entry *entry);

/* The entries with this layout in the order they were added; returns their number. */
size_t layout_index_find(const struct layout_index *index, const uint8_t *layout, size_t length,
                         const struct fp_entry *const **ret_entries);

void layout_index_done(struct layout_index *index);

#endif
