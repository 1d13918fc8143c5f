/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_contexts.h"

#include <stddef.h>

enum { BUCKETS = 16384 }; /* a power of two; the host counts its contexts up */

static struct root {
    uint32_t id; /* 0: free; the host begins at 1 */
    struct filter_settings settings;
} roots[FILTER_ROOTS_MAX];

/* Chains of indexes; 0 ends one. */
static struct request {
    uint32_t id;
    uint16_t root; /* index */
    uint16_t next;
} requests[FILTER_REQUESTS_MAX + 1];
static uint16_t buckets[BUCKETS];
static uint16_t released; /* chain of entries that were used once */
static uint32_t never_used_yet = 1;

static struct root *find_root(uint32_t id)
{
    for (uint32_t i = 0; i < FILTER_ROOTS_MAX; i++)
        if (roots[i].id == id)
            return &roots[i];
    return NULL;
}

struct filter_settings *filter_contexts_add_root(uint32_t root)
{
    struct root *slot = find_root(root);

    if (!slot)
        slot = find_root(0);
    if (!slot)
        return NULL;
    *slot = (struct root){.id = root};
    return &slot->settings;
}

static uint16_t take_entry(void)
{
    uint16_t entry = released;

    if (entry)
        released = requests[entry].next;
    else if (never_used_yet <= FILTER_REQUESTS_MAX)
        entry = (uint16_t)never_used_yet++;
    return entry;
}

void filter_contexts_add_request(uint32_t request, uint32_t root)
{
    const struct root *owner = find_root(root);
    const uint16_t entry = owner ? take_entry() : 0;
    uint16_t *bucket = &buckets[request % BUCKETS];

    if (!entry)
        return;
    requests[entry] =
        (struct request){.id = request, .root = (uint16_t)(owner - roots), .next = *bucket};
    *bucket = entry;
}

const struct filter_settings *filter_contexts_find(uint32_t request)
{
    for (uint16_t entry = buckets[request % BUCKETS]; entry; entry = requests[entry].next)
        if (requests[entry].id == request)
            return &roots[requests[entry].root].settings;
    return NULL;
}

static void remove_request(uint32_t request)
{
    for (uint16_t *link = &buckets[request % BUCKETS]; *link; link = &requests[*link].next) {
        const uint16_t entry = *link;

        if (requests[entry].id != request)
            continue;
        *link = requests[entry].next;
        requests[entry].next = released;
        released = entry;
        return;
    }
}

/* The host removes a root after its requests. */
void filter_contexts_remove(uint32_t context)
{
    struct root *root = context ? find_root(context) : NULL;

    if (root)
        root->id = 0;
    else
        remove_request(context);
}
