/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_contexts.h"

#include <stddef.h>

/* FILTER_ROOTS_MAX: there is no such root.  0 finds a free place. */
static uint32_t find_root(const struct filter_contexts *contexts, uint32_t id)
{
    uint32_t index = 0;

    while (index < FILTER_ROOTS_MAX && contexts->roots[index].id != id)
        index++;
    return index;
}

struct filter_settings *filter_contexts_add_root(struct filter_contexts *contexts, uint32_t root)
{
    uint32_t index = find_root(contexts, root);

    if (index == FILTER_ROOTS_MAX)
        index = find_root(contexts, 0);
    if (index == FILTER_ROOTS_MAX)
        return NULL;
    contexts->roots[index].id = root;
    contexts->roots[index].settings = (struct filter_settings){.path_size = 0};
    return &contexts->roots[index].settings;
}

static uint16_t take_entry(struct filter_contexts *contexts)
{
    const uint16_t entry = contexts->released;

    if (entry) {
        contexts->released = contexts->requests[entry].next;
        return entry;
    }
    return contexts->used < FILTER_REQUESTS_MAX ? ++contexts->used : 0;
}

void filter_contexts_add_request(struct filter_contexts *contexts, uint32_t request, uint32_t root)
{
    uint16_t *bucket = &contexts->buckets[request % FILTER_BUCKETS];
    const uint32_t owner = find_root(contexts, root);
    const uint16_t entry = owner < FILTER_ROOTS_MAX ? take_entry(contexts) : 0;

    if (!entry)
        return;
    contexts->requests[entry].id = request;
    contexts->requests[entry].root = (uint16_t)owner;
    contexts->requests[entry].next = *bucket;
    *bucket = entry;
}

const struct filter_settings *filter_contexts_find(const struct filter_contexts *contexts,
                                                   uint32_t request)
{
    uint16_t entry = contexts->buckets[request % FILTER_BUCKETS];

    while (entry && contexts->requests[entry].id != request)
        entry = contexts->requests[entry].next;
    return entry ? &contexts->roots[contexts->requests[entry].root].settings : NULL;
}

static void remove_request(struct filter_contexts *contexts, uint32_t request)
{
    uint16_t *link = &contexts->buckets[request % FILTER_BUCKETS];
    uint16_t entry;

    while (*link && contexts->requests[*link].id != request)
        link = &contexts->requests[*link].next;
    entry = *link;
    if (!entry)
        return;
    *link = contexts->requests[entry].next;
    contexts->requests[entry].next = contexts->released;
    contexts->released = entry;
}

void filter_contexts_remove(struct filter_contexts *contexts, uint32_t context)
{
    const uint32_t root = find_root(contexts, context);

    if (context && root < FILTER_ROOTS_MAX)
        contexts->roots[root].id = 0;
    else
        remove_request(contexts, context);
}
