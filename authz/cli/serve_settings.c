/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64 };

#define REDIRECT_PORT "15006" /* Istio's sidecar */

#define AT(field) offsetof(struct serve_options, field)
static const struct option_spec SPECS[] = {
    {.name = "policy",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .offset = AT(policy),
     .help = "the rules (YAML); read again on SIGHUP"},
    {.name = "listen",
     .kind = OPTION_LIST,
     .value = "ADDR",
     .offset = AT(listen),
     .help = "unix:/path[,mode=0660][,group=NAME|GID], unix:@name,\n"
             "IP:PORT or [IP6]:PORT; may be repeated"},
    {.name = "attach",
     .kind = OPTION_LIST,
     .value = "IFACE",
     .offset = AT(attach),
     .help = "load the capture programs and attach them to this\n"
             "interface; needs root; may be repeated"},
    {.name = "port",
     .kind = OPTION_LIST,
     .value = "N[,N...]|any",
     .offset = AT(ports),
     .check = option_check_port_or_any,
     .items = true,
     .help = "capture SYNs to these ports, as on the wire (with --attach)"},
    {.name = "prefix",
     .kind = OPTION_LIST,
     .value = "CIDR[,CIDR...]",
     .offset = AT(prefixes),
     .check = option_check_prefix,
     .items = true,
     .help = "capture only SYNs to these destinations (with --attach)"},
    {.name = "source",
     .kind = OPTION_TEXT,
     .value = "pcap:FILE|none",
     .offset = AT(source),
     .help = "without --attach: SYNs of a capture file, or none at all"},
    {.name = "redirect-port",
     .kind = OPTION_LIST,
     .value = "N[,N...]",
     .offset = AT(redirect_ports),
     .check = option_check_port,
     .items = true,
     .help = "local ports that connections are REDIRECTed to (default 15006)"},
    {.name = "user",
     .kind = OPTION_TEXT,
     .value = "NAME|UID",
     .offset = AT(user),
     .check = option_check_user,
     .help = "who to become when started as root (default nobody)"},
    {.name = "threads",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(threads),
     .min = 1,
     .max = THREADS_MAX,
     .help = "threads that answer calls (default 1)"},
    {.name = "max-pending",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(max_pending),
     .min = 1024,
     .max = 1 << 24,
     .help = "SYNs that wait for the end of their handshake (default 131072)"},
    {.name = "max-live",
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(max_live),
     .min = 16,
     .max = 1 << 24,
     .help = "connections that are kept (default 65536)"},
};
#undef AT

const struct option_table SERVE_OPTIONS = {SPECS, OPTION_COUNT(SPECS)};
const struct serve_options SERVE_DEFAULTS = {.threads = 1};

static int check_source(const struct serve_options *options, struct diag *diag)
{
    bool attach = options->attach.count > 0;
    const char *source = options->source;

    if (attach && source)
        return diag_set(diag, -EINVAL, "--attach is a source itself: --source cannot be given too");
    if (attach && options->ports.count == 0)
        return diag_set(diag, -EINVAL, "--attach needs --port N[,N...] or --port any");
    if (!attach && (options->ports.count || options->prefixes.count || options->max_pending ||
                    options->max_live))
        return diag_set(diag, -EINVAL,
                        "--port, --prefix, --max-pending and --max-live belong to --attach");
    if (!attach && !source)
        return diag_set(diag, -EINVAL,
                        "where do SYNs come from? give --attach IFACE, --source pcap:FILE or "
                        "--source none");
    if (source && strcmp(source, "none") != 0 && strncmp(source, "pcap:", 5) != 0)
        return diag_set(diag, -EINVAL, "--source %s: expected pcap:FILE or none", source);
    if (source && strcmp(source, "pcap:") == 0)
        return diag_set(diag, -EINVAL, "--source pcap: needs a file behind the colon");
    if (source && strcmp(source, "pcap:-") == 0) /* it is opened twice */
        return diag_set(diag, -EINVAL, "--source pcap:- is standard input: expected a file");
    return 0;
}

static int read_lists(struct serve_settings *settings)
{
    const struct serve_options *options = settings->options;
    const char *redirect_port = REDIRECT_PORT;
    const struct text_list default_ports = {&redirect_port, 1};
    int r = port_list_append(&settings->ports, &options->ports, &settings->any_port);

    if (r == 0)
        r = prefix_list_append(&settings->prefixes, &options->prefixes);
    if (r < 0)
        return r;
    return port_list_append(
        &settings->redirect_ports,
        options->redirect_ports.count ? &options->redirect_ports : &default_ports, NULL);
}

static int read_user(struct serve_settings *settings, struct diag *diag)
{
    const char *user = settings->options->user ? settings->options->user : "nobody";
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
    r = check_source(options, diag);
    if (r < 0)
        return r;
    if (options->source && strcmp(options->source, "none") != 0)
        ret_settings->pcap_file = options->source + strlen("pcap:");
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
