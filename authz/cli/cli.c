/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

const char *const OUTPUT_FORMATS[] = {"text", "json", NULL};

static const struct verb *const VERBS[] = {
    &VERB_SERVE,
    &VERB_AGENT,
    &VERB_CLEANUP,
    &VERB_FINGERPRINT,
    &VERB_LOOKUP,
    &VERB_WATCH,
    &VERB_DOCTOR,
    &VERB_HEALTHCHECK,
    &VERB_VERSION,
};

enum { VERB_COUNT = sizeof(VERBS) / sizeof(VERBS[0]) };

enum exit_status cli_complain(enum exit_status status, const struct diag *diag)
{
    char text[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];

    diag_format(diag, text, sizeof(text));
    (void)fprintf(stderr, "synauthz: %s\n", diag->text[0] ? text : "out of memory");
    return status;
}

static void print_help(FILE *out)
{
    (void)fputs(
        "usage: synauthz VERB [OPTION...] [ARGUMENT...]\n\n"
        "Envoy's external authorization by the client's TCP SYN: finds the SYN of the very\n"
        "connection that a request came in on, computes its p0f signature, and lets a policy\n"
        "allow, deny or enrich the request.\n\n"
        "verbs:\n",
        out);
    for (size_t i = 0; i < VERB_COUNT; i++)
        (void)fprintf(out, "  %-12s %s\n", VERBS[i]->name, VERBS[i]->summary);
    (void)fputs(
        "\n`synauthz VERB --help` explains each.\n"
        "exit status: 0 ok, 1 unexpected failure, 2 bad usage, 3 invalid configuration, policy,\n"
        "database or capture file, 4 a test, check or look-up had a negative answer\n",
        out);
}

static void print_verb_help(const struct verb *verb, FILE *out)
{
    (void)fprintf(out, "usage: synauthz %s %s\n\n%s\noptions:\n", verb->name, verb->synopsis,
                  verb->description);
    options_print_help(verb->options, out);
}

static const struct verb *find_verb(struct str name)
{
    for (size_t i = 0; i < VERB_COUNT; i++)
        if (str_eq(name, str_from(VERBS[i]->name)))
            return VERBS[i];
    return NULL;
}

static enum exit_status refuse_verb(const char *name)
{
    const char *names[VERB_COUNT];
    const char *nearest;

    for (size_t i = 0; i < VERB_COUNT; i++)
        names[i] = VERBS[i]->name;
    nearest = diag_nearest(str_from(name), names, VERB_COUNT);
    (void)fprintf(stderr, "synauthz: unknown verb `%s`%s%s%s; see synauthz --help\n", name,
                  nearest ? ", did you mean `" : "", nearest ? nearest : "", nearest ? "`?" : "");
    return STATUS_USAGE;
}

static int check_operands(const struct verb *verb, const struct text_list *operands,
                          struct diag *diag)
{
    if (operands->count < verb->operands_min)
        return diag_set(diag, -EINVAL, "an argument is missing");
    if (operands->count > verb->operands_max)
        return diag_set(diag, -EINVAL, "unexpected argument `%s`",
                        operands->items[verb->operands_max]);
    return 0;
}

/* Results that did not reach their reader are a failure, not a success with less output. */
static enum exit_status flush_results(enum exit_status status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    (void)fprintf(stderr, "synauthz: cannot write the results: %s\n", strerror(errno));
    return status == STATUS_OK ? STATUS_FAILURE : status;
}

static enum exit_status run_verb(const struct verb *verb, int argc, char **argv)
{
    CLEANUP(freep) void *options = calloc(1, verb->options_size ? verb->options_size : 1);
    struct text_list operands = {0};
    struct options_given given = {0};
    struct diag diag = {0};
    enum exit_status status;
    int r;

    if (!options)
        return cli_complain(STATUS_FAILURE, &(struct diag){.text = "out of memory"});
    r = options_parse(verb->options, argc, argv, options, &operands, &given, &diag);
    if (r == 0)
        r = check_operands(verb, &operands, &diag);
    if (r == 1) {
        print_verb_help(verb, stdout);
        status = STATUS_OK;
    } else if (r < 0) {
        status = cli_complain(STATUS_USAGE, &diag);
        (void)fprintf(stderr, "usage: synauthz %s %s\n", verb->name, verb->synopsis);
    } else {
        status = verb->run(options, &operands, &given);
    }
    options_done(verb->options, options);
    free(operands.items);
    return flush_results(status);
}

int cli_main(int argc, char **argv)
{
    const struct verb *verb;

    if (argc < 2) {
        print_help(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return flush_results(STATUS_OK);
    }
    if (strcmp(argv[1], "--version") == 0)
        return run_verb(&VERB_VERSION, 0, NULL);
    verb = find_verb(str_from(argv[1]));
    if (!verb)
        return refuse_verb(argv[1]);
    if (argc == 3 && strcmp(argv[2], "--version") == 0)
        return run_verb(&VERB_VERSION, 0, NULL);
    return run_verb(verb, argc - 2, argv + 2);
}
