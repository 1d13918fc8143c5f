/* SPDX-License-Identifier: Apache-2.0 */
/* The live policy: loaded from a file, replaced whole, read by many threads without waiting.
 *
 * Each reading thread keeps its own reference and looks at one counter per call; it takes the lock
 * only when the policy was replaced.  A reload that fails changes nothing. */
#ifndef POLICY_STORE_H
#define POLICY_STORE_H

#include <stdint.h>

#include "diag.h"
#include "str.h"

struct policy;
struct policy_store;
struct rule_series;

/* One for each thread; all zero at the start. */
struct policy_reader {
    struct policy *policy;
    uint64_t generation;
};

int policy_store_open(const char *path, struct policy_store **ret_store, struct diag *diag);
void policy_store_freep(struct policy_store **store);

/* Headers that are read beside those that the policy reads, of the live policy and of all that
 * follow: their slots are in its header_table.  Before there are readers; `names` are borrowed, for
 * as long as the store lives.  Returns 0 or -ENOMEM. */
int policy_store_read_headers(struct policy_store *store, const struct str *names, size_t count);

/* The numbers of the rules that are counted, of all policies that were ever live. */
struct rule_series *policy_store_series(struct policy_store *store);

/* Load the file again: all or nothing.  Returns 0, or a negative errno with a message while the
 * last good policy stays. */
int policy_store_reload(struct policy_store *store, struct diag *diag);

/* The same from another file, which later reloads read. */
int policy_store_move(struct policy_store *store, const char *path, struct diag *diag);

/* The current policy, valid until the thread's next call with this reader. */
const struct policy *policy_reader_get(struct policy_reader *reader, struct policy_store *store);
void policy_reader_done(struct policy_reader *reader);

#endif
