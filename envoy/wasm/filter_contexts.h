/* SPDX-License-Identifier: Apache-2.0 */
/* Which settings belong to a request.
 *
 * The host numbers contexts: a root one for each configuration of the filter in this VM (while an
 * update takes effect the old and the new one), and one for each request below its root.  Tables of
 * fixed size: a VM has one thread, and what it may take of Envoy's memory is known. */
#ifndef FILTER_CONTEXTS_H
#define FILTER_CONTEXTS_H

#include "filter_settings.h"

enum { FILTER_ROOTS_MAX = 32, FILTER_REQUESTS_MAX = 65535 };

/* Settings for a root, all zero; NULL when there are too many. */
struct filter_settings *filter_contexts_add_root(uint32_t root);

/* Of requests beyond the limit nothing is remembered. */
void filter_contexts_add_request(uint32_t request, uint32_t root);

/* NULL: nothing is known of the request. */
const struct filter_settings *filter_contexts_find(uint32_t request);

/* A root or a request; unknown ones are fine. */
void filter_contexts_remove(uint32_t context);

#endif
