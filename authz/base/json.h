/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON (RFC 8259): strings only, the rest is punctuation that its writers print themselves.
 *
 * The output is always valid UTF-8 without control characters, whatever the input holds: a byte
 * that is no UTF-8 becomes U+FFFD. */
#ifndef JSON_H
#define JSON_H

#include <stdint.h>
#include <stdio.h>

#include "str.h"

enum { JSON_PIECE_MAX = 6 };

/* Takes the first character off `*text`, which is not empty, and writes how it looks between
 * quotes.  Returns the length of that, at least 1; not terminated. */
size_t json_take_character(struct str *text, char piece[JSON_PIECE_MAX]);

/* Print `text` as it looks between quotes, or with them.  Errors stay in `out` (ferror). */
void json_print_text(FILE *out, struct str text);
void json_print_string(FILE *out, struct str text);

/* Unix time as RFC 3339 in UTC: "2000-03-01T00:00:00Z". */
void json_print_time(FILE *out, int64_t unix_s);

/* A string, or null for NULL and "". */
void json_print_text_or_null(FILE *out, const char *text);

#endif
