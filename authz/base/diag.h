/* SPDX-License-Identifier: Apache-2.0 */
/* One message for a person: what is wrong, where, and what to do about it.
 *
 * Offline and start-up code takes a `struct diag *`, fills it once and returns a negative errno;
 * -ENOMEM may come without a message.  Only the edge (cli) prints it.  The first message wins: a
 * caller that adds to a failure of its callee does not overwrite the cause. */
#ifndef DIAG_H
#define DIAG_H

#include <stdarg.h>
#include <stddef.h>

#include "str.h"

enum { DIAG_TEXT_MAX = 512, DIAG_FILE_MAX = 256 };

/* A place in a text file; line and column count from 1, 0 means "not known".  Columns count bytes.
 */
struct place {
    unsigned line;
    unsigned column;
};

struct diag {
    char file[DIAG_FILE_MAX]; /* "" when the message is not about a file */
    struct place place;
    char text[DIAG_TEXT_MAX]; /* "" until something was set */
};

/* Sets the message, without a place.  Returns `error`, so that a failure is one statement:
 *     return diag_set(diag, -EINVAL, "...");
 * Control characters in the result are replaced by '?'.  `diag` may be NULL. */
int diag_set(struct diag *diag, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Same with a place; the file is what diag_set_file() said. */
int diag_set_at(struct diag *diag, int error, struct place place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Names the file that later messages are about.  A name that does not fit keeps its end. */
void diag_set_file(struct diag *diag, const char *file);

void diag_clear(struct diag *diag);

/* "FILE:LINE:COLUMN: text", as much of it as is known, without a newline.  Always terminated. */
void diag_format(const struct diag *diag, char *buffer, size_t size);

/* The candidate nearest to `word`, for "did you mean": NULL when none is near (more than a third of
 * its letters differ).  `count` candidates. */
const char *diag_nearest(struct str word, const char *const *candidates, size_t count);

/* The candidates as "a, b or c" in `buffer`, which it returns; cut where they do not fit. */
const char *diag_words(const char *const *candidates, size_t count, char *buffer, size_t size);

#endif
