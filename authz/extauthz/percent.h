/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding (RFC 3986 2.1): bytes that a place does not allow become %XX. */
#ifndef PERCENT_H
#define PERCENT_H

#include "str.h"

/* What stays as it is. */
enum percent_kept {
    PERCENT_KEEP_FORM = 0, /* letters, digits and *-._: a value inside a query, as in a form */
    PERCENT_KEEP_URI,      /* also reserved characters and '%': a text that is a URI */
};

size_t percent_encoded_length(struct str text, enum percent_kept kept);

/* `buffer` has that many bytes. */
void percent_encode(struct str text, enum percent_kept kept, char *buffer);

/* For a place that takes no escapes either: such bytes become '_'.  `buffer` has text.len bytes. */
void percent_replace(struct str text, enum percent_kept kept, char *buffer);

/* What a key of a query says, with '+' as a blank: as applications read it.  Returns its length, or
 * SIZE_MAX when it is longer than `size`.  A '%' without two hex digits stays. */
size_t percent_decode(struct str text, char *buffer, size_t size);

#endif
