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
struct signature;

enum fact_type {
    FACT_TEXT = 0,
    FACT_WORD, /* one of a few known words; its value is an index */
    FACT_NUMBER,
    FACT_ADDRESS,
    FACT_SIGNATURE, /* tested by p0f patterns */
    FACT_TYPE_COUNT_,
};

/* The three cases of a fact; zeroed memory is unobservable. */
enum fact_case { FACT_UNOBSERVABLE = 0, FACT_ABSENT, FACT_PRESENT };

struct fact_value {
    union {
        struct str text;
        uint64_t number; /* also the index of a word */
        const struct addr *address;
        const struct signature *signature;
    };
};

struct fact {
    const char *name;
    enum fact_type type;
    bool takes_name; /* "header": a name says which one; `slot` of fact_read() */
    bool may_be_unobservable;
    bool ignores_case;             /* text compares with letter case aside (host names) */
    bool needs_database;           /* without one in the policy there is never a value */
    bool holds_commas;             /* each of its values does; unquoted lists would cut them */
    uint64_t number_max;           /* of a number */
    unsigned word_first, word_end; /* of a word: its indexes */
    const char *(*word)(unsigned index);
    size_t offset; /* of the field, for readers of several facts */
    enum fact_case (*read)(const struct fact *fact, const struct subject *subject, uint32_t slot,
                           struct fact_value *ret_value);
};

/* NULL: there is no such fact. */
const struct fact *fact_find(struct str name);

/* Can a template show it?  A signature is shown by the fact `p0f`; a header needs a name. */
bool fact_is_showable(const struct fact *fact);

enum { FACT_NAMES_MAX = 32 };

/* The names of all facts, or of those a template can show.  Returns their number. */
size_t fact_names(bool showable_only, const char *names[FACT_NAMES_MAX]);

/* `slot` is the header's in subject.headers, 0 for other facts. `ret_value` is set only when it is
 * present; it borrows from the subject. */
static inline enum fact_case fact_read(const struct fact *fact, const struct subject *subject,
                                       uint32_t slot, struct fact_value *ret_value)
{
    return fact->read(fact, subject, slot, ret_value);
}

/* The value as text.  Borrowed from the value or written into `buffer`; terminated in neither case.
 */
enum { FACT_TEXT_MAX = 64 };
struct str fact_show(const struct fact *fact, const struct fact_value *value,
                     char buffer[FACT_TEXT_MAX]);

#endif
