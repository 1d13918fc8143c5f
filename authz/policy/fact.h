/* SPDX-License-Identifier: Apache-2.0 */
/* The table of facts: what rules can test and templates can show.
 *
 * One row for each fact: its name, its type, how it is read from a subject.  The only reader of
 * `struct subject` for rules; a new fact is a new row. */
#ifndef FACT_H
#define FACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"
#include "subject.h"

struct addr;
struct fact_key;
struct signature;

enum fact_type {
    FACT_TEXT = 0,
    FACT_WORD, /* one of a few known words; its value is an index */
    FACT_NUMBER,
    FACT_ADDRESS,
    FACT_SIGNATURE, /* tested by p0f patterns */
    FACT_TYPE_COUNT_,
};

/* What says which one, where there are several of a fact (fact_key.h). */
enum fact_key_kind {
    FACT_KEY_NONE = 0,
    FACT_KEY_HEADER, /* the name of a header of the request */
    FACT_KEY_NAME,   /* some other name */
    FACT_KEY_PATH,   /* a namespace of metadata, and keys from the outermost inwards */
};

/* The three cases of a fact; zeroed memory is unobservable. */
enum fact_case { FACT_UNOBSERVABLE = 0, FACT_ABSENT, FACT_PRESENT };

enum { FACT_SCRATCH_MAX = 32 };

struct fact_value {
    union {
        struct str text;
        uint64_t number; /* also the index of a word */
        const struct addr *address;
        const struct signature *signature;
    };
    char scratch[FACT_SCRATCH_MAX]; /* what `text` borrows from where the request has no text */
};

struct fact {
    const char *name;
    enum fact_type type;
    enum fact_key_kind key;
    bool may_be_unobservable;
    bool ignores_case;             /* text compares with letter case aside (host names) */
    bool needs_database;           /* without one in the policy there is never a value */
    bool holds_commas;             /* each of its values does; unquoted lists would cut them */
    uint64_t number_max;           /* of a number */
    unsigned word_first, word_end; /* of a word: its indexes */
    const char *(*word)(unsigned index);
    size_t offset;         /* of the field, for readers of several facts */
    unsigned known_header; /* it comes in a header that the policy must name: 1 + that one's
                              enum known_header; else 0 */
    enum fact_case (*read)(const struct fact *fact, const struct subject *subject,
                           const struct fact_key *key, struct fact_value *ret_value);
};

/* NULL: there is no such fact. */
const struct fact *fact_find(struct str name);

/* Can a template show it?  A signature is shown by the fact `p0f`. */
bool fact_is_showable(const struct fact *fact);

enum { FACT_NAMES_MAX = 64 };

/* The names of all facts, or of those a template can show.  Returns their number. */
size_t fact_names(bool showable_only, const char *names[FACT_NAMES_MAX]);

/* The same for a message, with "tcp.*" for all that begin so. */
enum { FACT_GROUP_MAX = 24 };
size_t fact_groups(bool showable_only, char groups[FACT_NAMES_MAX][FACT_GROUP_MAX]);

/* `key` is NULL for facts that take none.  `ret_value` is set only when it is present; it borrows
 * from the subject, and text also from `ret_value` itself: do not copy it. */
static inline enum fact_case fact_read(const struct fact *fact, const struct subject *subject,
                                       const struct fact_key *key, struct fact_value *ret_value)
{
    return fact->read(fact, subject, key, ret_value);
}

/* The value as text.  Borrowed from the value or written into `buffer`; terminated in neither case.
 */
enum { FACT_TEXT_MAX = 64 };
struct str fact_show(const struct fact *fact, const struct fact_value *value,
                     char buffer[FACT_TEXT_MAX]);

#endif
