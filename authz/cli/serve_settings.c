/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decide.h"
#include "log_sink.h"
#include "redact.h"
#include "serve_decisions.h"
#include "client_name.h"
#include "listener.h"
#include "options_changed.h"
#include "serve_tls.h"
#include "shared_options.h"

enum { SAMPLE_MAX = 1000000000, THREADS_MAX = 64, DRAIN_MS_MAX = 3600000 };
enum { REQUEST_BYTES_LARGEST = 32 << 20, CONNECTION_AGE_MAX_MS = 7 * 86400 * 1000 };

static const char *const FAULTS[] = {
    [ON_FAULT_ERROR] = "error", [ON_FAULT_POLICY] = "policy", NULL};

static const char *const LOG_ONLY[] = {
    [DECISION_LOG_ALL] = "all", [DECISION_LOG_DENY] = "deny", NULL};

static const char *const LOG_QUERY[] = {
    [QUERY_HIDDEN] = "hidden", [QUERY_NAMES] = "names", [QUERY_FULL] = "full", NULL};

static int check_source(struct str value, struct diag *diag)
{
    if (str_eq(value, STR("pins")) || str_eq(value, STR("none")))
        return 0;
    if (!str_has_prefix(value, STR("pcap:")))
        return diag_set(diag, -EINVAL, "expected pins, pcap:FILE or none");
    if (str_eq(value, STR("pcap:")))
        return diag_set(diag, -EINVAL, "expected a file behind the colon");
    if (str_eq(value, STR("pcap:-"))) /* it is opened twice */
        return diag_set(diag, -EINVAL, "`-` is standard input: expected a file");
    return 0;
}

#define AT(field) offsetof(struct serve_options, field)
static const struct option_spec SPECS[] = {
    {.name = "policy",
     .live = true,
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(policy),
     .help = "the rules (YAML); read again on SIGHUP"},
    OPTION_CONFIG(struct serve_options, config),
    OPTION_PRINT_CONFIG(struct serve_options, print_config),
    {.name = "listen",
     .kind = OPTION_LIST,
     .value = "ADDR",
     .offset = AT(listen),
     .check = listener_check,
     .help = "unix:/path[,mode=0660][,group=NAME|GID], unix:@name,\n"
             "IP:PORT[,tls] or [IP6]:PORT[,tls]; may be repeated"},
    {.name = "tls-cert",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_cert),
     .live = true,
     .help = "the certificate of `,tls` listeners and its chain (PEM);\n"
             "read again when it changes and on SIGHUP, as are the next"},
    {.name = "tls-key",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_key),
     .live = true,
     .help = "its private key (PEM), without a passphrase"},
    {.name = "tls-client-ca",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(tls_client_ca),
     .live = true,
     .help = "clients must show a certificate that one of these (PEM)\n"
             "has signed"},
    {.name = "tls-client-san",
     .kind = OPTION_LIST,
     .value = "NAME",
     .offset = AT(tls_client_san),
     .live = true,
     .check = client_name_check,
     .help = "and that has this name: a URI (spiffe://a/ns/x/sa/y, or\n"
             "spiffe://a/ns/x/* for all below) or DNS name; may be\n"
             "repeated"},
    {.name = "attach",
     .kind = OPTION_LIST,
     .value = "IFACE",
     .offset = AT(attach),
     .help = "load the capture programs and attach them to this\n"
             "interface; needs root; may be repeated"},
    OPTION_PORT(struct serve_options, ports,
                .help = "capture SYNs to these ports, as on the wire (with --attach)"),
    OPTION_PREFIX(struct serve_options, prefixes,
                  .help = "capture only SYNs to these destinations (with --attach)"),
    {.name = "source",
     .kind = OPTION_TEXT,
     .value = "pins|pcap:FILE|none",
     .offset = AT(source),
     .check = check_source,
     .help = "without --attach: SYNs that an agent records (the\n"
             "default), those of a capture file, or none at all"},
    OPTION_PIN_DIR(struct serve_options, pin_dir, .help = "where the agent pins its maps"),
    {.name = "require-capture",
     .kind = OPTION_FLAG,
     .offset = AT(require_capture),
     .help = "health is NOT_SERVING while capture is missing or not\n"
             "looked after (else it is SERVING with and without)"},
    {.name = "on-fault",
     .kind = OPTION_CHOICE,
     .value = "error|policy",
     .offset = AT(on_fault),
     .choices = FAULTS,
     .help = "where capture cannot be read: answer a gRPC error, so\n"
             "that Envoy's failure mode decides, or let the policy\n"
             "decide about `unavailable`",
     .default_text = "error"},
    {.name = "error-response",
     .kind = OPTION_NUMBER,
     .value = "STATUS",
     .offset = AT(error_response),
     .min = 500,
     .max = 508,
     .help = "answer a fault of ours with this HTTP status in an\n"
             "error_response, which Envoy knows since 1.37 (an older\n"
             "one answers 403, and lets nobody in whatever its\n"
             "failure mode); else with a gRPC error"},
    OPTION_REDIRECT_PORT(struct serve_options, redirect_ports),
    {.name = "user",
     .kind = OPTION_TEXT,
     .value = "NAME|UID",
     .offset = AT(user),
     .check = option_check_user,
     .default_text = "nobody",
     .help = "who to become when started as root"},
    OPTION_ADMIN(struct serve_options, admin),
    {.name = "log",
     .live = true,
     .kind = OPTION_TEXT,
     .value = "FILE|-",
     .offset = AT(log),
     .default_text = "-",
     .help = "write the operational log there, opened again on SIGHUP;\n"
             "- is standard error"},
    {.name = "decision-log",
     .kind = OPTION_TEXT,
     .value = "FILE|unix:/path|-",
     .offset = AT(decision_log),
     .check = log_sink_check,
     .help = "write a line of JSON for each Check to a file, opened\n"
             "again on SIGHUP, to whoever receives datagrams there, or\n"
             "to standard output; never delays a Check"},
    {.name = "decision-log-only",
     .kind = OPTION_CHOICE,
     .value = "all|deny",
     .offset = AT(decision_log_only),
     .choices = LOG_ONLY,
     .default_text = "all",
     .help = "deny: Checks that were denied or ended in an error, and\n"
             "those that shadow rules would have decided otherwise"},
    {.name = "decision-log-sample-allow",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(decision_log_sample_allow),
     .min = 1,
     .max = SAMPLE_MAX,
     .default_text = "1",
     .help = "of the others log one in N, by chance"},
    {.name = "decision-log-sample-deny",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(decision_log_sample_deny),
     .min = 1,
     .max = SAMPLE_MAX,
     .default_text = "1",
     .help = "of those that `deny` means log one in N, by chance"},
    {.name = "decision-log-query",
     .kind = OPTION_CHOICE,
     .value = "hidden|names|full",
     .offset = AT(decision_log_query),
     .choices = LOG_QUERY,
     .default_text = "hidden",
     .help = "how much of a query is shown: that there is one, the\n"
             "names of its parameters, or all"},
    {.name = "decision-log-header",
     .kind = OPTION_LIST,
     .value = "NAME",
     .offset = AT(decision_log_headers),
     .check = serve_decisions_check_header,
     .help = "show the request's header; of credentials (authorization,\n"
             "cookie and the like) only that it is there; may be\n"
             "repeated"},
    {.name = "decision-log-queue",
     .kind = OPTION_SIZE,
     .value = "SIZE",
     .offset = AT(decision_log_queue),
     .min = 64 << 10,
     .max = 256 << 20,
     .default_text = "1MiB",
     .help = "lines that wait for a slow destination, for each thread;\n"
             "beyond it they are dropped and counted"},
    {.name = "threads",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(threads),
     .min = 1,
     .max = THREADS_MAX,
     .default_text = "1",
     .help = "threads that answer calls"},
    {.name = "drain-delay",
     .kind = OPTION_DURATION,
     .value = "DURATION",
     .offset = AT(drain_delay_ms),
     .max = DRAIN_MS_MAX,
     .default_text = "0",
     .help = "on SIGTERM, answer on for so long while health says\n"
             "NOT_SERVING, so that clients go elsewhere first; none is\n"
             "needed where the next server has taken over a unix socket"},
    {.name = "drain-timeout",
     .kind = OPTION_DURATION,
     .value = "DURATION",
     .offset = AT(drain_timeout_ms),
     .max = DRAIN_MS_MAX,
     .default_text = "2s",
     .help = "then let calls in flight end, for so long"},
    {.name = "max-connections",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(max_connections),
     .min = 1,
     .max = 1 << 20,
     .default_text = "4096",
     .help = "connections at once, about; fewer where the limit of open\n"
             "files is low.  One more is closed at once"},
    {.name = "max-streams",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(max_streams),
     .min = 1,
     .max = 1 << 16,
     .default_text = "100",
     .help = "calls at once on one connection, which clients are told;\n"
             "Envoy opens another connection beyond it"},
    {.name = "max-request-bytes",
     .kind = OPTION_SIZE,
     .value = "SIZE",
     .offset = AT(max_request_bytes),
     .min = 64 << 10,
     .max = REQUEST_BYTES_LARGEST,
     .default_text = "8MiB",
     .help = "a Check with its body may be so large; beyond it the\n"
             "request is denied as oversize"},
    {.name = "max-connection-age",
     .kind = OPTION_DURATION,
     .value = "DURATION",
     .offset = AT(max_connection_age_ms),
     .max = CONNECTION_AGE_MAX_MS,
     .default_text = "0",
     .help = "let clients connect again after about so long, for load\n"
             "balancers that spread connections; 0 is never"},
    OPTION_MAX_PENDING(struct serve_options, max_pending,
                       .help = "SYNs that wait for the end of their handshake (with\n"
                               "--attach; without this option 131072)"),
    OPTION_MAX_LIVE(struct serve_options, max_live,
                    .help = "connections that are kept (with --attach; without this\n"
                            "option 65536)"),
};
#undef AT

const struct option_table SERVE_OPTIONS = {SPECS, OPTION_COUNT(SPECS)};

static enum serve_source source_of(const struct serve_options *options)
{
    if (options->attach.count > 0)
        return SERVE_ATTACH;
    if (!options->source || strcmp(options->source, "pins") == 0)
        return SERVE_PINS;
    return strcmp(options->source, "none") == 0 ? SERVE_NONE : SERVE_PCAP;
}

/* Do the options about the source fit together? */
static int read_source(struct serve_settings *settings, struct diag *diag)
{
    const struct serve_options *options = settings->options;
    const enum serve_source source = source_of(options);

    if (source == SERVE_ATTACH && options->source)
        return diag_set(diag, -EINVAL, "--attach is a source itself: --source cannot be given too");
    if (source == SERVE_ATTACH && options->ports.count == 0)
        return diag_set(diag, -EINVAL, "--attach needs --port N[,N...] or --port any");
    if (source != SERVE_ATTACH && (options->ports.count || options->prefixes.count ||
                                   options->max_pending || options->max_live))
        return diag_set(diag, -EINVAL,
                        "--port, --prefix, --max-pending and --max-live belong to --attach; with "
                        "an agent they are the agent's");
    if ((source == SERVE_PCAP || source == SERVE_NONE) && options->require_capture)
        return diag_set(diag, -EINVAL, "--require-capture: with --source %s there is none",
                        options->source);
    settings->source = source;
    if (source == SERVE_PCAP)
        settings->pcap_file = options->source + strlen("pcap:");
    return 0;
}

static int read_lists(struct serve_settings *settings)
{
    const struct serve_options *options = settings->options;
    int r = port_list_append(&settings->ports, &options->ports, &settings->any_port);

    if (r == 0)
        r = prefix_list_append(&settings->prefixes, &options->prefixes);
    if (r < 0)
        return r;
    return port_list_append(&settings->redirect_ports, &options->redirect_ports, NULL);
}

static int read_user(struct serve_settings *settings, struct diag *diag)
{
    const char *user = settings->options->user;
    struct diag wrong = {0};
    int r = identity_parse(str_from(user), &settings->identity, &wrong);

    return r < 0 ? diag_set(diag, r, "--user %s: %s", user, wrong.text) : 0;
}

int serve_settings_read(const struct serve_options *options, struct serve_settings *ret_settings,
                        struct diag *diag)
{
    int r;

    *ret_settings = (struct serve_settings){.options = options};
    if (!options->policy)
        return diag_set(diag, -EINVAL, "--policy FILE is missing");
    if (options->listen.count == 0)
        return diag_set(diag, -EINVAL, "--listen ADDR is missing");
    r = read_source(ret_settings, diag);
    if (r == 0)
        r = serve_tls_files(options, &ret_settings->tls, diag);
    if (r == 0)
        r = serve_decisions_check(options, diag);
    if (r < 0)
        return r;
    r = read_lists(ret_settings);
    if (r < 0)
        return r;
    return read_user(ret_settings, diag);
}

void serve_settings_done(struct serve_settings *settings)
{
    free(settings->ports.items);
    free(settings->redirect_ports.items);
    free(settings->prefixes.items);
    *settings = (struct serve_settings){0};
}

/* --- with the configuration file -------------------------------------------------------------- */

enum exit_status serve_orders_read(const struct serve_options *command_line,
                                   const struct options_given *given,
                                   struct serve_orders *ret_orders, struct diag *diag)
{
    const char *path = command_line->config;

    *ret_orders = (struct serve_orders){.options = *command_line};
    if (path &&
        config_file_read(path, "serve", given, &ret_orders->options, &ret_orders->file, diag) < 0)
        return STATUS_INVALID;
    if (serve_settings_read(&ret_orders->options, &ret_orders->settings, diag) < 0)
        return path ? STATUS_INVALID : STATUS_USAGE;
    return STATUS_OK;
}

void serve_orders_done(struct serve_orders *orders)
{
    serve_settings_done(&orders->settings);
    config_file_freep(&orders->file);
}

struct settings_view serve_orders_view(const struct serve_orders *orders,
                                       const struct options_given *given)
{
    return (struct settings_view){
        .verb = "serve",
        .table = &SERVE_OPTIONS,
        .values = &orders->options,
        .values_size = sizeof(orders->options),
        .given = given,
        .file = orders->file,
    };
}

const char *serve_orders_frozen(const struct serve_orders *running,
                                const struct serve_orders *wanted, char *buffer, size_t size)
{
    return options_frozen(&SERVE_OPTIONS, &running->options, &wanted->options, buffer, size);
}
