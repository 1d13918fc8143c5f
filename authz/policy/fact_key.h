/* SPDX-License-Identifier: Apache-2.0 */
/* Which one of several: `header: {name: N, ...}`, `metadata: {namespace: N, path: [a, b], ...}`,
 * "%{header:N}", "%{metadata:N:a:b}".
 *
 * Built from the names when a policy is loaded, immutable afterwards. */
#ifndef FACT_KEY_H
#define FACT_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "fact.h"
#include "str.h"

struct header_table;

struct fact_key {
    uint32_t slot;      /* of a header, in subject.headers */
    size_t count;       /* of `names`; of a path all but the first are keys, at least one */
    struct str names[]; /* owned, in the same block */
};

enum { FACT_PATH_MAX = 16 }; /* names of a path, the namespace included */

/* Makes the key of a fact, NULL for one that takes none, from what stands in the file; a header
 * gets its slot in `headers`.  Returns 0, or a negative errno; with -EINVAL the message says what
 * was expected, without a place, and `ret_wrong` is the index of the name that is wrong. */
int fact_key_new(const struct fact *fact, const struct str *names, size_t count,
                 struct header_table *headers, struct fact_key **ret_key, size_t *ret_wrong,
                 struct diag *diag);
void fact_key_freep(struct fact_key **key);

#endif
