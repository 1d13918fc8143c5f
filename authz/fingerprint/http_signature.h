/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP signatures of p0f.fp, as far as p0f refuses a database for them: their grammar, and
 * signatures that an earlier one covers.  Nothing is matched with them.
 *
 *   VERSION:HEADER,...:ABSENT,...:SOFTWARE    VERSION is 0, 1 or *; HEADER is [?]NAME[=[VALUE]] */
#ifndef HTTP_SIGNATURE_H
#define HTTP_SIGNATURE_H

#include "diag.h"

struct http_entry;

/* The signatures of one direction.  Zeroed is empty.  They borrow from the texts that they were
 * read from. */
struct http_signatures {
    struct http_entry *items;
    size_t count, capacity;
};

/* Reads one signature and adds it.  Returns 0; -EINVAL for a bad one, with a message and the offset
 * in `text` of what is wrong; -EEXIST with the line of the earlier specific one that covers it;
 * -ENOMEM. */
int http_signatures_add(struct http_signatures *signatures, struct str text, bool generic,
                        unsigned line, size_t *ret_error_offset, unsigned *ret_earlier_line,
                        struct diag *diag);

void http_signatures_done(struct http_signatures *signatures);

#endif
