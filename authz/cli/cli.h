/* SPDX-License-Identifier: Apache-2.0 */
/* The program's verbs.
 *
 * Results go to standard output, messages to standard error.  Each verb is one file, verb_<name>.c,
 * that defines one `const struct verb`; cli.c holds the table of them. */
#ifndef CLI_H
#define CLI_H

#include "options.h"

enum exit_status {
    STATUS_OK = 0,
    STATUS_FAILURE = 1,  /* unexpected */
    STATUS_USAGE = 2,    /* bad usage */
    STATUS_INVALID = 3,  /* invalid configuration, policy, database or capture file */
    STATUS_NEGATIVE = 4, /* a test, health check or look-up had a negative answer */
};

struct verb {
    const char *name;
    const char *summary;     /* one line, for the list of verbs */
    const char *synopsis;    /* behind the verb's name */
    const char *description; /* paragraphs of --help, each line ends with a newline */
    const struct option_table *options;
    size_t options_size; /* of the struct that the table's offsets are into */
    size_t operands_min, operands_max;

    /* Run with parsed options; `given` are those that the command line named (for --config).
     * Returns an exit status; prints its own messages (cli_complain). */
    enum exit_status (*run)(void *options, const struct text_list *operands,
                            const struct options_given *given);
};

extern const struct verb VERB_AGENT, VERB_CLEANUP;
extern const struct verb VERB_LOOKUP, VERB_WATCH;
extern const struct verb VERB_SERVE, VERB_FINGERPRINT, VERB_VERSION, VERB_DOCTOR, VERB_HEALTHCHECK;

int cli_main(int argc, char **argv);

/* Prints "synauthz: <diag>" and returns `status`. */
enum exit_status cli_complain(enum exit_status status, const struct diag *diag);

/* For `-o text|json`: the index into the choices. */
enum output_format { OUTPUT_TEXT = 0, OUTPUT_JSON = 1 };
extern const char *const OUTPUT_FORMATS[];

/* One row for a verb's option table. */
#define OPTION_OUTPUT(type, field)                                                                 \
    {                                                                                              \
        .name = "output", .letter = 'o', .kind = OPTION_CHOICE, .value = "text|json",              \
        .help = "how to print results; JSON is one object per line", .default_text = "text",       \
        .offset = offsetof(type, field), .choices = OUTPUT_FORMATS                                 \
    }

#endif
