/* SPDX-License-Identifier: Apache-2.0 */
/* `healthcheck`: does a server say that it is serving? */
#include "cli.h"

#include <errno.h>

#include "addr.h"
#include "credentials.h"
#include "health_client.h"
#include "json.h"
#include "listener.h"

enum { MS_PER_S = 1000, TIMEOUT_MAX_S = 600 };

struct healthcheck_options {
    const char *service;
    const char *tls_ca, *tls_cert, *tls_key, *tls_server_name;
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
    {.name = "tls-ca",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_ca),
     .help = "who must have signed the server's certificate (PEM)"},
    {.name = "tls-server-name",
     .kind = OPTION_TEXT,
     .value = "NAME",
     .offset = AT(tls_server_name),
     .help = "a DNS name or IP address that it must be for (default: the\n"
             "address)"},
    {.name = "tls-cert",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_cert),
     .help = "our own certificate (PEM), where the server wants one"},
    {.name = "tls-key",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_key),
     .help = "its private key (PEM), without a passphrase"},
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

/* --- TLS -------------------------------------------------------------------------------------- */

/* Do the address and the options fit together? */
static int check_tls(const struct healthcheck_options *given, struct str address, struct diag *diag)
{
    const bool is_tls = listener_spec_is_tls(address);

    if (!is_tls && (given->tls_ca || given->tls_server_name || given->tls_cert || given->tls_key))
        return diag_set(diag, -EINVAL, "the options of TLS need an address IP:PORT,tls");
    if (is_tls && !given->tls_ca)
        return diag_set(diag, -EINVAL,
                        "%" PRIstr " needs --tls-ca FILE: who has signed the server's certificate",
                        STR_ARG(address));
    if (!given->tls_cert != !given->tls_key)
        return diag_set(diag, -EINVAL, "--tls-cert and --tls-key belong together");
    return 0;
}

/* The address itself, when no name was given. */
static void name_server(struct str address, char ret_name[ADDR_TEXT_MAX])
{
    const struct str tls = STR(",tls");
    struct endpoint server;

    ret_name[0] = '\0';
    if (listener_spec_is_tls(address) &&
        endpoint_parse((struct str){address.ptr, address.len - tls.len}, &server) == 0)
        (void)addr_format(&server.addr, ret_name);
}

/* --- all of it -------------------------------------------------------------------------------- */

static int check(const struct healthcheck_options *given, const char *address, struct diag *diag)
{
    struct diag wrong = {0};

    if (health_address_check(str_from(address), &wrong) < 0)
        return diag_set(diag, -EINVAL, "%s: %s", address, wrong.text);
    return check_tls(given, str_from(address), diag);
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given_options)
{
    const struct healthcheck_options *given = options;
    char server_name[ADDR_TEXT_MAX];
    const struct credential_files tls = {
        .role = TLS_CLIENT,
        .certificate = given->tls_cert,
        .key = given->tls_key,
        .trusted = given->tls_ca,
        .server_name = given->tls_server_name ? given->tls_server_name : server_name,
    };
    const struct health_question question = {
        .address = operands->items[0],
        .tls = &tls,
        .service = given->service ? given->service : "",
        .timeout_ms = (unsigned)given->timeout_s * MS_PER_S,
    };
    struct diag diag = {0};
    char why[HEALTH_WHY_MAX];
    bool is_serving;

    (void)given_options;
    if (check(given, question.address, &diag) < 0)
        return cli_complain(STATUS_USAGE, &diag);
    name_server(str_from(question.address), server_name);
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
    .synopsis = "ADDR [--service NAME] [--timeout SECONDS] [--tls-ca FILE] [-o text|json]",
    .description =
        "ADDR is what the server was given as --listen: unix:/path, unix:@name, IP:PORT or\n"
        "[IP6]:PORT, the last two perhaps with `,tls`, which needs --tls-ca.  Exits with 0 when\n"
        "the answer is SERVING, and with 4 when it is not or there is none.  It needs nothing but\n"
        "the program itself: for probes in containers without a shell.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct healthcheck_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
