/* SPDX-License-Identifier: Apache-2.0 */
/* How a struct fp_db is filled: between its reader and its look-ups, for nobody else. */
#ifndef FP_BUILD_H
#define FP_BUILD_H

#include "fp_db.h"
#include "layout_index.h"

struct fp_block;

struct fp_link {
    uint16_t mtu;
    const char *name;
};

struct fp_db {
    struct fp_block *blocks;     /* all that is taken with fp_build_alloc() */
    struct layout_index request; /* SYN signatures */
    struct fp_link *links;       /* ascending, each MTU once */
    size_t link_count;
    unsigned tolerated, first_tolerated_line;
};

/* Zeroed memory that lives as long as the database, or NULL. */
void *fp_build_alloc(struct fp_db *db, size_t size);
char *fp_build_copy(struct fp_db *db, struct str text);

/* A second name for the same MTU is ignored.  Returns 0 or -ENOMEM. */
int fp_build_link(struct fp_db *db, uint16_t mtu, const char *name);

/* Adds a signature to `index`, unless an earlier specific one already covers it: then returns
 * -EEXIST and sets `ret_earlier_line`.  Returns 0 or -ENOMEM besides.  The entry is borrowed. */
int fp_build_signature(struct layout_index *index, const struct fp_entry *entry,
                       unsigned *ret_earlier_line);

#endif
