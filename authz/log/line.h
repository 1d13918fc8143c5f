/* SPDX-License-Identifier: Apache-2.0 */
/* Writing one line of JSON, value by value, quickly.
 *
 * Each text has a limit of its own, and whoever plans a line gives it a buffer for the sum of them:
 * so nothing here asks for the end of the buffer. */
#ifndef LINE_H
#define LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct line {
    char *at;
    bool cut; /* a text was longer than its limit */
};

/* Bytes as they are. */
void line_put(struct line *line, struct str bytes);

/* What stands between quotes: escaped, valid UTF-8 whatever the text holds, at most `max` bytes,
 * cut between two characters.  Returns how many bytes that were. */
size_t line_escape(struct line *line, struct str text, size_t max);

/* The same with its quotes; null when ptr is NULL. */
void line_text(struct line *line, struct str text, size_t max);

/* At most 20 digits. */
void line_number(struct line *line, uint64_t number);

/* Exactly so many digits, the low ones. */
void line_digits(struct line *line, uint64_t number, unsigned digits);

/* RFC 3339, UTC, with microseconds and quotes: 29 bytes until the year 9999. */
void line_time(struct line *line, uint64_t unix_ns);

#endif
