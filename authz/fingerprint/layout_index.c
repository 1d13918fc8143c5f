/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 64, ENTRIES_MIN = 4 };

struct layout_group {
    uint32_t hash;
    size_t count, capacity;
    const struct fp_entry **entries; /* at least one; its layout is the group's */
};

/* FNV-1a */
static uint32_t hash_layout(const uint8_t *layout, size_t length)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ layout[i]) * 16777619u;
    return hash;
}

static bool has_layout(const struct layout_group *group, const uint8_t *layout, size_t length)
{
    const struct signature_pattern *pattern = &group->entries[0]->pattern;

    return pattern->layout_length == length && memcmp(pattern->layout, layout, length) == 0;
}

/* The slot that holds the group of this layout, or the empty one where it belongs. */
static struct layout_group **find_slot(const struct layout_index *index, uint32_t hash,
                                       const uint8_t *layout, size_t length)
{
    size_t at = hash & (index->slot_count - 1);

    while (index->slots[at] &&
           !(index->slots[at]->hash == hash && has_layout(index->slots[at], layout, length)))
        at = (at + 1) & (index->slot_count - 1);
    return &index->slots[at];
}

/* Keeps at least half of the slots empty, so that find_slot() ends soon. */
static int make_room(struct layout_index *index)
{
    struct layout_index larger = {
        .slot_count = index->slot_count ? index->slot_count * 2 : SLOTS_MIN,
        .group_count = index->group_count,
    };

    if ((index->group_count + 1) * 2 <= index->slot_count)
        return 0;
    larger.slots = calloc(larger.slot_count, sizeof(larger.slots[0]));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < index->slot_count; i++) {
        struct layout_group *group = index->slots[i];

        if (group)
            *find_slot(&larger, group->hash, group->entries[0]->pattern.layout,
                       group->entries[0]->pattern.layout_length) = group;
    }
    free(index->slots);
    *index = larger;
    return 0;
}

static int append(struct layout_group *group, const struct fp_entry *entry)
{
    if (group->count == group->capacity) {
        size_t capacity = group->capacity ? group->capacity * 2 : ENTRIES_MIN;
        const struct fp_entry **entries =
            reallocarray(group->entries, capacity, sizeof(entries[0]));

        if (!entries)
            return -ENOMEM;
        group->entries = entries;
        group->capacity = capacity;
    }
    group->entries[group->count++] = entry;
    return 0;
}

static void free_group(struct layout_group *group)
{
    if (group)
        free(group->entries);
    free(group);
}

int layout_index_add(struct layout_index *index, const struct fp_entry *entry)
{
    const uint8_t *layout = entry->pattern.layout;
    size_t length = entry->pattern.layout_length;
    uint32_t hash = hash_layout(layout, length);
    struct layout_group *group;
    struct layout_group **slot;
    int r;

    r = make_room(index);
    if (r < 0)
        return r;
    slot = find_slot(index, hash, layout, length);
    if (*slot)
        return append(*slot, entry);

    group = calloc(1, sizeof(*group));
    if (!group || append(group, entry) < 0) {
        free_group(group);
        return -ENOMEM;
    }
    group->hash = hash;
    *slot = group;
    index->group_count++;
    return 0;
}

size_t layout_index_find(const struct layout_index *index, const uint8_t *layout, size_t length,
                         const struct fp_entry *const **ret_entries)
{
    const struct layout_group *group;

    if (index->slot_count == 0)
        return 0;
    group = *find_slot(index, hash_layout(layout, length), layout, length);
    if (!group)
        return 0;
    *ret_entries = group->entries;
    return group->count;
}

void layout_index_done(struct layout_index *index)
{
    for (size_t i = 0; i < index->slot_count; i++)
        free_group(index->slots[i]);
    free(index->slots);
    *index = (struct layout_index){0};
}
