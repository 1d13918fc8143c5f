/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "num.h"

enum { THREADS_MAX = 64, REDIRECT_PORT = 15006 /* Istio's sidecar */ };

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
     .help = "capture SYNs to these ports, as on the wire (with --attach)"},
    {.name = "prefix",
     .kind = OPTION_LIST,
     .value = "CIDR[,CIDR...]",
     .offset = AT(prefixes),
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
     .help = "local ports that connections are REDIRECTed to (default 15006)"},
    {.name = "user",
     .kind = OPTION_TEXT,
     .value = "NAME|UID",
     .offset = AT(user),
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

static int port_list_add(struct port_list *list, uint16_t port)
{
    uint16_t *items = reallocarray(list->items, list->count + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    items[list->count++] = port;
    list->items = items;
    return 0;
}

static int add_port(struct str item, void *context, struct diag *diag)
{
    struct serve_settings *settings = context;
    uint16_t port;

    if (str_eq(item, STR("any"))) {
        settings->any_port = true;
        return 0;
    }
    if (num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL,
                        "--port %" PRIstr ": expected a port from 1 to 65535, or any",
                        STR_ARG(item));
    return port_list_add(&settings->ports, port);
}

static int add_redirect_port(struct str item, void *context, struct diag *diag)
{
    struct serve_settings *settings = context;
    uint16_t port;

    if (num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL,
                        "--redirect-port %" PRIstr ": expected a port from 1 to 65535",
                        STR_ARG(item));
    return port_list_add(&settings->redirect_ports, port);
}

static int add_prefix(struct str item, void *context, struct diag *diag)
{
    struct serve_settings *settings = context;
    struct prefix_list *list = &settings->prefixes;
    struct prefix prefix, *items;
    int r = prefix_parse(item, &prefix);

    if (r == -ERANGE)
        return diag_set(diag, r, "--prefix %" PRIstr ": bits are set behind the prefix length",
                        STR_ARG(item));
    if (r < 0)
        return diag_set(diag, r, "--prefix %" PRIstr ": expected ADDRESS/LENGTH", STR_ARG(item));
    items = reallocarray(list->items, list->count + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    items[list->count++] = prefix;
    list->items = items;
    return 0;
}

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

static int read_lists(struct serve_settings *settings, struct diag *diag)
{
    const struct serve_options *options = settings->options;
    int r;

    r = options_each_item(&options->ports, add_port, settings, diag);
    if (r < 0)
        return r;
    r = options_each_item(&options->prefixes, add_prefix, settings, diag);
    if (r < 0)
        return r;
    if (options->redirect_ports.count == 0)
        return port_list_add(&settings->redirect_ports, REDIRECT_PORT);
    return options_each_item(&options->redirect_ports, add_redirect_port, settings, diag);
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
    r = read_lists(ret_settings, diag);
    if (r < 0)
        return r;
    return identity_parse(str_from(options->user ? options->user : "nobody"),
                          &ret_settings->identity, diag);
}

void serve_settings_done(struct serve_settings *settings)
{
    free(settings->ports.items);
    free(settings->redirect_ports.items);
    free(settings->prefixes.items);
    *settings = (struct serve_settings){0};
}
