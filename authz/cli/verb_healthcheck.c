/* SPDX-License-Identifier: Apache-2.0 */
/* `healthcheck`: does a server say that it is serving? */
#include "cli.h"

#include <errno.h>

#include "health_client.h"
#include "json.h"

enum { MS_PER_S = 1000, TIMEOUT_MAX_S = 600 };

struct healthcheck_options {
    const char *service;
    uint64_t timeout_s;
    unsigned output;
};

#define AT(field) offsetof(struct healthcheck_options, field)
static const struct option_spec SPECS[] = {
    {.name = "service",
     .kind = OPTION_TEXT,
     .value = "NAME",
     .offset = AT(service),
     .help = "ask about this service (default: the server as a whole)"},
    {.name = "timeout",
     .kind = OPTION_NUMBER,
     .value = "SECONDS",
     .offset = AT(timeout_s),
     .min = 1,
     .max = TIMEOUT_MAX_S,
     .default_text = "3",
     .help = "to wait for the answer"},
    OPTION_OUTPUT(struct healthcheck_options, output),
};
#undef AT

static void print_json_member(const char *name, const char *value)
{
    (void)printf("\"%s\":", name);
    if (value)
        json_print_string(stdout, str_from(value));
    else
        (void)fputs("null", stdout);
}

static void print_json(const struct health_question *question, bool is_serving, const char *why)
{
    (void)putchar('{');
    print_json_member("address", question->address);
    (void)putchar(',');
    print_json_member("service", question->service);
    (void)printf(",\"serving\":%s,", is_serving ? "true" : "false");
    print_json_member("reason", is_serving ? NULL : why);
    (void)puts("}");
}

static void print_text(bool is_serving, const char *why)
{
    if (is_serving)
        (void)puts("serving");
    else
        (void)printf("not serving: %s\n", why);
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given_options)
{
    const struct healthcheck_options *given = options;
    const struct health_question question = {
        .address = operands->items[0],
        .service = given->service ? given->service : "",
        .timeout_ms = (unsigned)given->timeout_s * MS_PER_S,
    };
    struct diag wrong = {0}, diag = {0};
    char why[HEALTH_WHY_MAX];
    bool is_serving;

    (void)given_options;
    if (health_address_check(str_from(question.address), &wrong) < 0) {
        (void)diag_set(&diag, -EINVAL, "%s: %s", question.address, wrong.text);
        return cli_complain(STATUS_USAGE, &diag);
    }
    if (health_client_ask(&question, &is_serving, why, &diag) < 0)
        return cli_complain(STATUS_FAILURE, &diag);
    if (given->output == OUTPUT_JSON)
        print_json(&question, is_serving, why);
    else
        print_text(is_serving, why);
    return is_serving ? STATUS_OK : STATUS_NEGATIVE;
}

const struct verb VERB_HEALTHCHECK = {
    .name = "healthcheck",
    .summary = "ask a running server whether it serves (grpc.health.v1)",
    .synopsis = "ADDR [--service NAME] [--timeout SECONDS] [-o text|json]",
    .description = "ADDR is what the server was given as --listen: unix:/path, unix:@name, IP:PORT "
                   "or\n[IP6]:PORT.  Exits with 0 when the answer is SERVING, and with 4 when it "
                   "is not or there\nis none.  It needs nothing but the program itself: for probes "
                   "in containers without a\nshell.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct healthcheck_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
