/* SPDX-License-Identifier: Apache-2.0 */
/* `--database FILE|none`: the p0f databases that name a SYN, in order. */
#ifndef DATABASES_H
#define DATABASES_H

#include "cli.h"
#include "fp_db.h"

struct databases {
    struct fp_db **items;
    size_t count; /* 0: nothing is named */
};

/* One row for a verb's option table; `field` is a struct text_list. */
#define OPTION_DATABASES(type, field)                                                              \
    {                                                                                              \
        .name = "database", .kind = OPTION_LIST, .value = "FILE|none",                             \
        .help = "a database in p0f.fp format; may be repeated: the first that knows a SYN names "  \
                "it (default none)",                                                               \
        .offset = offsetof(type, field)                                                            \
    }

/* Loads them; what a database has that p0f itself would refuse is warned about on standard error.
 * Returns STATUS_OK, or another status with a message.  databases_done() in any case. */
enum exit_status databases_load(const struct text_list *paths, struct databases *ret_databases,
                                struct diag *diag);
void databases_done(struct databases *databases);

#endif
