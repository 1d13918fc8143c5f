/* SPDX-License-Identifier: Apache-2.0 */
/* `serve`: from the command line to a running server without privileges, and down again. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "addr.h"
#include "cleanup.h"
#include "loader.h"
#include "map_source.h"
#include "notify.h"
#include "num.h"
#include "oplog.h"
#include "pcap_source.h"
#include "policy.h"
#include "policy_store.h"
#include "privileges.h"
#include "server.h"

enum { DRAIN_MS = 2000, THREADS_MAX = 64 };

static const uint16_t DEFAULT_REDIRECT_PORTS[] = {15006};

struct serve_options {
    const char *policy, *source, *user;
    struct text_list listen, attach, ports, prefixes, redirect_ports;
    uint64_t threads, max_pending, max_live;
};

static const struct serve_options DEFAULTS = {.threads = 1};

#define AT(field) offsetof(struct serve_options, field)
static const struct option_spec SPECS[] = {
    {.name = "policy", .kind = OPTION_TEXT, .value = "FILE", .offset = AT(policy),
     .help = "the rules (YAML); read again on SIGHUP"},
    {.name = "listen", .kind = OPTION_LIST, .value = "ADDR", .offset = AT(listen),
     .help = "unix:/path[,mode=0660][,group=NAME|GID], unix:@name,\n"
             "IP:PORT or [IP6]:PORT; may be repeated"},
    {.name = "attach", .kind = OPTION_LIST, .value = "IFACE", .offset = AT(attach),
     .help = "load the capture programs and attach them to this\n"
             "interface; needs root; may be repeated"},
    {.name = "port", .kind = OPTION_LIST, .value = "N[,N...]|any", .offset = AT(ports),
     .help = "capture SYNs to these ports, as on the wire (with --attach)"},
    {.name = "prefix", .kind = OPTION_LIST, .value = "CIDR[,CIDR...]", .offset = AT(prefixes),
     .help = "capture only SYNs to these destinations (with --attach)"},
    {.name = "source", .kind = OPTION_TEXT, .value = "pcap:FILE|none", .offset = AT(source),
     .help = "without --attach: SYNs of a capture file, or none at all"},
    {.name = "redirect-port", .kind = OPTION_LIST, .value = "N[,N...]",
     .offset = AT(redirect_ports),
     .help = "local ports that connections are REDIRECTed to (default 15006)"},
    {.name = "user", .kind = OPTION_TEXT, .value = "NAME|UID", .offset = AT(user),
     .help = "who to become when started as root (default nobody)"},
    {.name = "threads", .kind = OPTION_NUMBER, .value = "N", .offset = AT(threads), .min = 1,
     .max = THREADS_MAX, .help = "threads that answer calls (default 1)"},
    {.name = "max-pending", .kind = OPTION_NUMBER, .value = "N", .offset = AT(max_pending),
     .min = 1024, .max = 1 << 24,
     .help = "SYNs that wait for the end of their handshake (default 131072)"},
    {.name = "max-live", .kind = OPTION_NUMBER, .value = "N", .offset = AT(max_live), .min = 16,
     .max = 1 << 24, .help = "connections that are kept (default 65536)"},
};
#undef AT

/* Everything that a running server holds; released in serve_done(), last taken first. */
struct serve {
    const struct serve_options *options;
    struct identity identity;
    bool any_port;
    struct { uint16_t *items; size_t count; } ports, redirect_ports;
    struct { struct prefix *items; size_t count; } prefixes;

    int signal_fd;
    struct bpf_capture *capture;
    struct { struct listener *items; size_t count; } listeners;
    struct syn_source *source;
    struct policy_store *store;
    struct server *server;
};

static void serve_done(struct serve *serve)
{
    if (serve->server)
        server_stop(serve->server, DRAIN_MS);
    policy_store_freep(&serve->store);
    syn_source_freep(&serve->source);
    for (size_t i = 0; i < serve->listeners.count; i++)
        listener_done(&serve->listeners.items[i]);
    free(serve->listeners.items);
    bpf_capture_freep(&serve->capture); /* detaches the hooks */
    closep(&serve->signal_fd);
    free(serve->prefixes.items);
    free(serve->redirect_ports.items);
    free(serve->ports.items);
}

/* --- the command line --------------------------------------------------------------------------- */

static int grow(void *items, size_t count, size_t size)
{
    void *old, *new;

    memcpy(&old, items, sizeof(old));
    new = reallocarray(old, count + 1, size);
    if (!new)
        return -ENOMEM;
    memcpy(items, &new, sizeof(new));
    return 0;
}

static int parse_port(struct str item, void *context, struct diag *diag)
{
    struct serve *serve = context;
    uint16_t port;

    if (str_eq(item, STR("any"))) {
        serve->any_port = true;
        return 0;
    }
    if (num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL, "--port %" PRIstr ": expected a port from 1 to 65535, or any",
                        STR_ARG(item));
    if (grow(&serve->ports.items, serve->ports.count, sizeof(port)) < 0)
        return -ENOMEM;
    serve->ports.items[serve->ports.count++] = port;
    return 0;
}

static int parse_redirect_port(struct str item, void *context, struct diag *diag)
{
    struct serve *serve = context;
    uint16_t port;

    if (num_parse_port(item, &port) < 0)
        return diag_set(diag, -EINVAL, "--redirect-port %" PRIstr ": expected a port from 1 to 65535",
                        STR_ARG(item));
    if (grow(&serve->redirect_ports.items, serve->redirect_ports.count, sizeof(port)) < 0)
        return -ENOMEM;
    serve->redirect_ports.items[serve->redirect_ports.count++] = port;
    return 0;
}

static int parse_prefix(struct str item, void *context, struct diag *diag)
{
    struct serve *serve = context;
    struct prefix prefix;
    int r = prefix_parse(item, &prefix);

    if (r == -ERANGE)
        return diag_set(diag, r, "--prefix %" PRIstr ": bits are set behind the prefix length",
                        STR_ARG(item));
    if (r < 0)
        return diag_set(diag, r, "--prefix %" PRIstr ": expected ADDRESS/LENGTH", STR_ARG(item));
    if (grow(&serve->prefixes.items, serve->prefixes.count, sizeof(prefix)) < 0)
        return -ENOMEM;
    serve->prefixes.items[serve->prefixes.count++] = prefix;
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
    return 0;
}

static int read_options(struct serve *serve, struct diag *diag)
{
    const struct serve_options *options = serve->options;
    int r;

    if (!options->policy)
        return diag_set(diag, -EINVAL, "--policy FILE is missing");
    if (options->listen.count == 0)
        return diag_set(diag, -EINVAL, "--listen ADDR is missing");
    r = check_source(options, diag);
    if (r < 0)
        return r;
    r = options_each_item(&options->ports, parse_port, serve, diag);
    if (r < 0)
        return r;
    r = options_each_item(&options->redirect_ports, parse_redirect_port, serve, diag);
    if (r < 0)
        return r;
    r = options_each_item(&options->prefixes, parse_prefix, serve, diag);
    if (r < 0)
        return r;
    return identity_parse(str_from(options->user ? options->user : "nobody"), &serve->identity,
                          diag);
}

/* --- up, in the order of privileges.h --------------------------------------------------------------- */

static int block_signals(struct serve *serve, struct diag *diag)
{
    sigset_t set;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return diag_set(diag, -errno, "cannot block signals: %s", strerror(errno));
    serve->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (serve->signal_fd < 0)
        return diag_set(diag, -errno, "cannot make a signalfd: %s", strerror(errno));
    return 0;
}

static int attach(struct serve *serve, struct diag *diag)
{
    const struct serve_options *options = serve->options;
    const struct bpf_capture_config config = {
        .interfaces = options->attach.items,
        .interface_count = options->attach.count,
        .any_port = serve->any_port,
        .ports = serve->ports.items,
        .port_count = serve->ports.count,
        .prefixes = serve->prefixes.items,
        .prefix_count = serve->prefixes.count,
        .max_pending = (uint32_t)options->max_pending,
        .max_live = (uint32_t)options->max_live,
    };
    int r;

    if (options->attach.count == 0)
        return 0;
    r = bpf_capture_start(&config, &serve->capture, diag);
    if (r < 0)
        return r;
    r = bpf_capture_seal(serve->capture, diag);
    if (r < 0)
        return r;
    for (size_t i = 0; i < options->attach.count; i++)
        oplog_info("capturing on %s (%s)", options->attach.items[i],
                   bpf_capture_mode(serve->capture, i));
    return 0;
}

static int listen_on_all(struct serve *serve, struct diag *diag)
{
    const struct text_list *specs = &serve->options->listen;

    serve->listeners.items = calloc(specs->count, sizeof(*serve->listeners.items));
    if (!serve->listeners.items)
        return -ENOMEM;
    for (size_t i = 0; i < specs->count; i++) {
        int r = listener_open(str_from(specs->items[i]), &serve->listeners.items[i], diag);

        if (r < 0)
            return r;
        serve->listeners.count++;
    }
    return 0;
}

static int give_up_privileges(struct serve *serve, struct diag *diag)
{
    int r = privileges_drop(&serve->identity, diag);

    return r < 0 ? r : privileges_check(diag);
}

static int open_source(struct serve *serve, struct diag *diag)
{
    const char *source = serve->options->source;

    if (source && strcmp(source, "none") != 0)
        return pcap_source_open(source + strlen("pcap:"), &serve->source, diag);
    serve->source = syn_source_none(); /* with --attach, until open_maps() */
    return 0;
}

static enum exit_status open_files(struct serve *serve, struct diag *diag)
{
    if (open_source(serve, diag) < 0 ||
        policy_store_open(serve->options->policy, &serve->store, diag) < 0)
        return STATUS_INVALID;
    return STATUS_OK;
}

static int open_maps(struct serve *serve, struct diag *diag)
{
    const struct bpf_capture_maps *maps;

    if (!serve->capture)
        return 0;
    maps = bpf_capture_get_maps(serve->capture);
    return map_source_new(
        &(struct map_source_config){
            .live_fd = maps->live,
            .alias_fd = maps->alias,
            .ports_fd = maps->ports,
            .config_fd = maps->config,
            .counters_fd = maps->counters,
            .redirect_ports = serve->redirect_ports.count ? serve->redirect_ports.items
                                                          : DEFAULT_REDIRECT_PORTS,
            .redirect_port_count = serve->redirect_ports.count ? serve->redirect_ports.count : 1,
        },
        &serve->source, diag);
}

static int answer(struct serve *serve, struct diag *diag)
{
    const struct server_config config = {
        .listeners = serve->listeners.items,
        .listener_count = serve->listeners.count,
        .threads = (unsigned)serve->options->threads,
        .store = serve->store,
        .source = serve->source,
        .on_fault = ON_FAULT_ERROR,
    };

    return server_start(&config, &serve->server, diag);
}

/* In a child that has given up its privileges already: would the files open?  Taking over the socket path
 * cannot be undone, so a broken policy has to be found before, and a policy that only root may read as well. */
static enum exit_status rehearse(struct serve *serve, struct diag *diag)
{
    enum exit_status status = STATUS_FAILURE;
    pid_t child = fork();
    int wait_status;

    if (child < 0) {
        (void)diag_set(diag, -errno, "cannot fork: %s", strerror(errno));
        return STATUS_FAILURE;
    }
    if (child == 0) {
        if (give_up_privileges(serve, diag) == 0)
            status = open_files(serve, diag);
        if (status != STATUS_OK)
            (void)cli_complain(status, diag);
        _exit(status);
    }
    if (waitpid(child, &wait_status, 0) < 0 || !WIFEXITED(wait_status)) {
        (void)diag_set(diag, -ECHILD, "the trial run of opening the policy did not end properly");
        return STATUS_FAILURE;
    }
    return (enum exit_status)WEXITSTATUS(wait_status);
}

static enum exit_status start(struct serve *serve, struct diag *diag)
{
    int (*const privileged[])(struct serve *, struct diag *) = {attach, listen_on_all,
                                                                give_up_privileges};
    enum exit_status status;

    if (block_signals(serve, diag) < 0 || privileges_lock(diag) < 0)
        return STATUS_FAILURE;
    status = rehearse(serve, diag);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < sizeof(privileged) / sizeof(privileged[0]); i++)
        if (privileged[i](serve, diag) < 0)
            return STATUS_FAILURE;

    /* From here on as nobody, so that what can be opened now can be opened again later. */
    status = open_files(serve, diag);
    if (status != STATUS_OK)
        return status;
    return open_maps(serve, diag) < 0 || answer(serve, diag) < 0 ? STATUS_FAILURE : STATUS_OK;
}

/* --- running ------------------------------------------------------------------------------------------ */

static void reload(struct serve *serve)
{
    struct diag diag = {0};
    char text[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];

    if (policy_store_reload(serve->store, &diag) == 0) {
        struct policy_reader reader = {0};

        oplog_info("policy reloaded, revision %s",
                   policy_reader_get(&reader, serve->store)->revision);
        policy_reader_done(&reader);
        return;
    }
    diag_format(&diag, text, sizeof(text));
    oplog_error("policy not reloaded, the last good one stays: %s", text);
}

/* A second SIGTERM or SIGINT ends the program at once, with the default action. */
static void unblock_termination(void)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void run_until_signal(struct serve *serve)
{
    struct signalfd_siginfo info;

    for (;;) {
        ssize_t length = read(serve->signal_fd, &info, sizeof(info));

        if (length < 0 && errno == EINTR)
            continue;
        if (length != sizeof(info))
            return;
        if (info.ssi_signo != SIGHUP)
            break;
        reload(serve);
    }
    oplog_info("ending on signal %u", info.ssi_signo);
    (void)notify_send("STOPPING=1");
    unblock_termination();
}

static void say_ready(const struct serve *serve)
{
    struct policy_reader reader = {0};

    oplog_info("ready, policy revision %s, user %u",
               policy_reader_get(&reader, serve->store)->revision, (unsigned)geteuid());
    policy_reader_done(&reader);
    if (notify_send("READY=1") < 0)
        oplog_error("cannot tell the service manager over NOTIFY_SOCKET");
}

static enum exit_status run(void *options, const struct text_list *operands)
{
    CLEANUP(serve_done) struct serve serve = {.options = options, .signal_fd = -1};
    struct diag diag = {0};
    enum exit_status status;

    (void)operands;
    if (read_options(&serve, &diag) < 0)
        return cli_complain(STATUS_USAGE, &diag);
    status = start(&serve, &diag);
    if (status != STATUS_OK)
        return diag.text[0] ? cli_complain(status, &diag) : status; /* rehearse() has said it */
    say_ready(&serve);
    run_until_signal(&serve);
    return STATUS_OK;
}

const struct verb VERB_SERVE = {
    .name = "serve",
    .summary = "answer Envoy's ext_authz Checks by a policy",
    .synopsis = "--policy FILE --listen ADDR (--attach IFACE --port N | --source pcap:FILE|none)",
    .description =
        "Answers envoy.service.auth.v3.Authorization/Check and grpc.health.v1.Health/Check.\n"
        "\n"
        "With --attach it loads the capture programs, attaches them to the interface that clients\n"
        "come in on, then gives up every privilege and becomes --user for good.  The policy is\n"
        "read as that user.  The hooks are gone when the program ends.\n"
        "\n"
        "  synauthz serve --attach eth0 --port 443 --policy policy.yaml \\\n"
        "      --listen unix:/run/synauthz/authz.sock,mode=0660,group=envoy\n"
        "\n"
        "It is ready when it says so on standard error (and to $NOTIFY_SOCKET).  SIGTERM ends it\n"
        "after the calls in flight, a second one at once; SIGHUP reads the policy again, and a\n"
        "policy with an error changes nothing.\n",
    .options = {SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct serve_options),
    .defaults = &DEFAULTS,
    .run = run,
};
