/* SPDX-License-Identifier: Apache-2.0 */
/* Command line options as a table: parsing, `--help` and the keys of the configuration file all
 * come from it.
 *
 * GNU long options, `--name VALUE` and `--name=VALUE`, no abbreviations; `-h` and one-letter
 * aliases where the table has one; `--` ends the options.  Values are borrowed from argv. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "diag.h"

enum option_kind {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char *; given twice is an error */
    OPTION_LIST,     /* struct text_list; may be repeated */
    OPTION_NUMBER,   /* uint64_t, within min..max */
    OPTION_DURATION, /* uint64_t, in milliseconds, within min..max: "200ms", "5s" (num.h) */
    OPTION_SIZE,     /* uint64_t, in bytes, within min..max: "64MiB" (num.h) */
    OPTION_CHOICE,   /* unsigned: index into `choices` */
};

struct text_list {
    const char **items;
    size_t count;
};

struct option_spec {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    enum option_kind kind;
    const char *value; /* how --help calls the value; NULL for a flag */
    const char *help;
    size_t offset;              /* of the target in the verb's struct of options */
    const char *const *choices; /* ends with NULL */
    uint64_t min, max;

    /* What holds when nobody says otherwise, as it would be written: a value that passes the
     * option's own checks (of a LIST its one item).  NULL: nothing, which is false for a flag, and
     * the first choice for a CHOICE; `help` then says what comes of it. */
    const char *default_text;

    /* TEXT and LIST: is the value (each comma-separated item of it, with `items`) a good one?  Says
     * only what is wrong with it, "expected a port"; which option, which item and where are said by
     * whoever calls.  Later stages need not look at the syntax again. */
    int (*check)(struct str value, struct diag *diag);
    bool items;

    bool live;              /* SIGHUP takes a new value into use; else a restart does */
    bool command_line_only; /* not a key of the configuration file: --config itself, --output */
};

struct option_table {
    const struct option_spec *specs;
    size_t count;
};

#define OPTION_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { OPTIONS_MAX = 64 }; /* of one table */

/* Which options the command line named, by their index in the table. */
struct options_given {
    uint64_t bits;
};

/* The defaults, into `target`, which is all zero.  Returns 0 or -ENOMEM. */
int options_set_defaults(const struct option_table *table, void *target);

/* Parse argv[0..argc-1] (behind the verb) into `target`, which is all zero and gets the defaults
 * first; what is not an option goes to `ret_operands`.  Lists are allocated; options_done() frees
 * them.  Returns 0; 1 when `--help` or `-h` was given; -EINVAL with a message ("--port 70000:
 * expected ..."); -ENOMEM. */
int options_parse(const struct option_table *table, int argc, char **argv, void *target,
                  struct text_list *ret_operands, struct options_given *ret_given,
                  struct diag *diag);
void options_done(const struct option_table *table, void *target);

static inline bool options_is_given(const struct options_given *given, size_t index)
{
    return given->bits >> index & 1;
}

/* The option of this name, or NULL. */
const struct option_spec *option_find(const struct option_table *table, struct str name);

/* Is `value` a good one for an option that takes one?  Returns 0; or -EINVAL or another negative
 * errno with a message that says what was expected, and in `ret_item` the part of `value` that it
 * is about. */
int option_check(const struct option_spec *spec, struct str value, struct str *ret_item,
                 struct diag *diag);

/* Stores a value that option_check() has passed; but a LIST, whose memory is its owner's. */
void option_store(const struct option_spec *spec, const char *value, void *target);

/* Where in the verb's struct an option lives. */
static inline void *option_slot(const struct option_spec *spec, void *target)
{
    return (char *)target + spec->offset;
}

/* The options' part of `--help`. */
void options_print_help(const struct option_table *table, FILE *out);

#endif
