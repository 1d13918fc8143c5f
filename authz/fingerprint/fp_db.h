/* SPDX-License-Identifier: Apache-2.0 */
/* A database in p0f.fp format: labels, SYN signatures, and the MTU table.
 *
 * Accepts and refuses exactly what p0f 3.09b does, except that CRLF and trailing blanks are
 * tolerated with a warning.  HTTP and SYN+ACK sections are checked as p0f checks them, and not
 * kept. Immutable once loaded. */
#ifndef FP_DB_H
#define FP_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "diag.h"
#include "signature.h"

struct fp_db;

struct fp_label {
    const char *class_name; /* "unix", "win", ...; "!" for an application */
    const char *name;       /* "Linux" */
    const char *flavor;     /* "3.11 and newer", may be "" */
    bool generic;
};

struct fp_entry {
    struct signature_pattern pattern;
    const struct fp_label *label;
    unsigned line;
};

/* Class "!": a tool or an application, not an operating system. */
static inline bool fp_label_is_app(const struct fp_label *label)
{
    return label->class_name[0] == '!';
}

/* Returns 0; -EINVAL for a database that p0f would refuse, too, with the place; another negative
 * errno when the file cannot be read. */
int fp_db_load(const char *path, struct fp_db **ret_db, struct diag *diag);

/* Same from memory; `name` for messages.  `text` is borrowed until return. */
int fp_db_parse(struct str text, const char *name, struct fp_db **ret_db, struct diag *diag);
void fp_db_freep(struct fp_db **db);

/* The SYN signatures with exactly this option layout, in file order.  Returns their number. */
size_t fp_db_candidates(const struct fp_db *db, const uint8_t *layout, size_t layout_length,
                        const struct fp_entry *const **ret_entries);

/* Name of the link with this MTU, or NULL. */
const char *fp_db_link(const struct fp_db *db, unsigned mtu);

/* What was tolerated that p0f would refuse: number of lines, and the first of them. */
unsigned fp_db_tolerated(const struct fp_db *db, unsigned *ret_first_line);

#endif
