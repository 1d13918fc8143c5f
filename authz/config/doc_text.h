/* SPDX-License-Identifier: Apache-2.0 */
/* The text under a YAML document: is it text at all, and where is what libyaml speaks of.
 *
 * libyaml counts lines and characters; editors and our messages count bytes. */
#ifndef DOC_TEXT_H
#define DOC_TEXT_H

#include <stddef.h>

#include "diag.h"
#include "str.h"

/* A text and a position in it; the position is zeroed at the start. */
struct doc_text {
    struct str text; /* borrowed */
    size_t offset;
    size_t line_offset;
    size_t line;   /* from 0 */
    size_t column; /* from 0, in characters */
};

/* Fails at the first byte that is no UTF-8 or that YAML does not allow in a file (control
 * characters, NUL). The functions below want a text that passed. */
int doc_text_check(struct str text, struct diag *diag);

/* Moves to a line and column as libyaml counts them, or to the end where there is no such place.
 * Fast when positions go forward. */
struct place doc_text_seek(struct doc_text *text, size_t line, size_t column);

struct place doc_text_place(const struct doc_text *text);

/* The byte there; NUL at the end. */
char doc_text_char(const struct doc_text *text);

/* What stands from there to the end of its line, for messages; cut when long. */
struct str doc_text_rest_of_line(const struct doc_text *text);

/* The longest beginning of `s` that has at most `max` bytes and ends with a whole character. */
struct str doc_text_cut(struct str s, size_t max);

#endif
