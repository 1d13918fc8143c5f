/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings belong to a request.
 *
 * The host numbers contexts: a root one for each configuration of the filter in this VM (while an
 * update takes effect the old and the new one), and one for each request below its root.  Tables of
 * fixed size: a VM has one thread, and what it may take of Envoy's memory is known. */
#ifndef FILTER_CONTEXTS_H
#define FILTER_CONTEXTS_H

#include "filter_settings.h"

enum {
    FILTER_ROOTS_MAX = 32,
    FILTER_REQUESTS_MAX = 65535,
    FILTER_BUCKETS = 16384 /* the host counts its contexts up, so they spread evenly */
};

/* All zero at first. */
struct filter_contexts {
    struct {
        uint32_t id; /* 0: free; the host begins at 1 */
        struct filter_settings settings;
    } roots[FILTER_ROOTS_MAX];
    struct {
        uint32_t id;
        uint16_t root; /* index */
        uint16_t next; /* index in the same chain; 0 ends it */
    } requests[FILTER_REQUESTS_MAX + 1];
    uint16_t buckets[FILTER_BUCKETS]; /* chains */
    uint16_t released;                /* chain of entries that were used once */
    uint16_t used;                    /* entries that ever were */
};

/* Settings for a root, all zero, also where it had some; NULL when there are too many roots. */
struct filter_settings *filter_contexts_add_root(struct filter_contexts *contexts, uint32_t root);

/* Of requests beyond the limit, or of a root that has no settings, nothing is remembered. */
void filter_contexts_add_request(struct filter_contexts *contexts, uint32_t request, uint32_t root);

/* NULL: nothing is known of the request. */
const struct filter_settings *filter_contexts_find(const struct filter_contexts *contexts,
                                                   uint32_t request);

/* A request, or a root that has no requests any more; unknown ones are fine. */
void filter_contexts_remove(struct filter_contexts *contexts, uint32_t context);

#endif
