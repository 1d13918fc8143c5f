/* SPDX-License-Identifier: Apache-2.0 */
/* `serve`: from the command line to a running server without privileges, and down again. */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "local_capture.h"
#include "map_source.h"
#include "notify.h"
#include "oplog.h"
#include "pcap_source.h"
#include "policy.h"
#include "policy_store.h"
#include "privileges.h"
#include "serve_settings.h"
#include "server.h"

enum { DRAIN_MS = 2000 };

/* Everything that a running server holds; released in serve_done(), last taken first. */
struct serve {
    struct serve_settings settings;
    int signal_fd;
    struct local_capture *capture;
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
    local_capture_freep(&serve->capture); /* detaches the hooks */
    closep(&serve->signal_fd);
    serve_settings_done(&serve->settings);
}

/* --- up, in the order of privileges.h --------------------------------------------------------- */

/* SIGTERM and SIGINT where there is nothing to finish yet, or no patience to finish it: the default
 * action.  The first process of a container has none. */
static void end_at_once(int number)
{
    (void)raise(number);
    _exit(128 + number);
}

/* From the start: SIGHUP waits until there is a policy to load again. */
static int prepare_signals(struct diag *diag)
{
    const struct sigaction at_once = {.sa_handler = end_at_once,
                                      .sa_flags = SA_RESETHAND | SA_NODEFER};
    sigset_t hangup;

    (void)sigemptyset(&hangup);
    (void)sigaddset(&hangup, SIGHUP);
    (void)signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &hangup, NULL) < 0 || sigaction(SIGTERM, &at_once, NULL) < 0 ||
        sigaction(SIGINT, &at_once, NULL) < 0)
        return diag_set(diag, -errno, "cannot prepare for signals: %s", strerror(errno));
    return 0;
}

/* From here on signals are read.  No thread has been started that they could go to instead. */
static int collect_signals(struct serve *serve, struct diag *diag)
{
    sigset_t set;

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
    const struct serve_settings *settings = &serve->settings;
    const struct serve_options *options = settings->options;
    const struct local_capture_config config = {
        .interfaces = options->attach.items,
        .interface_count = options->attach.count,
        .any_port = settings->any_port,
        .ports = settings->ports.items,
        .port_count = settings->ports.count,
        .prefixes = settings->prefixes.items,
        .prefix_count = settings->prefixes.count,
        .max_pending = (uint32_t)options->max_pending,
        .max_live = (uint32_t)options->max_live,
    };
    int r;

    if (options->attach.count == 0)
        return 0;
    r = local_capture_start(&config, &serve->capture, diag);
    if (r < 0)
        return r;
    r = local_capture_seal(serve->capture, diag);
    if (r < 0)
        return r;
    for (size_t i = 0; i < options->attach.count; i++)
        oplog_info("capturing on %s (%s)", options->attach.items[i],
                   local_capture_mode(serve->capture, i));
    return 0;
}

static int listen_on_all(struct serve *serve, struct diag *diag)
{
    const struct text_list *specs = &serve->settings.options->listen;

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
    int r = privileges_drop(&serve->settings.identity, diag);

    return r < 0 ? r : privileges_check(&serve->settings.identity, diag);
}

static int open_source(struct serve *serve, struct diag *diag)
{
    if (serve->settings.pcap_file)
        return pcap_source_open(serve->settings.pcap_file, &serve->source, diag);
    serve->source = syn_source_none(); /* with --attach, until open_maps() */
    return 0;
}

static enum exit_status open_files(struct serve *serve, struct diag *diag)
{
    if (open_source(serve, diag) < 0 ||
        policy_store_open(serve->settings.options->policy, &serve->store, diag) < 0)
        return STATUS_INVALID;
    return STATUS_OK;
}

static int open_maps(struct serve *serve, struct diag *diag)
{
    const struct serve_settings *settings = &serve->settings;

    if (!serve->capture)
        return 0;
    return map_source_new(
        &(struct map_source_config){
            .maps = local_capture_get_maps(serve->capture),
            .redirect_ports = settings->redirect_ports.items,
            .redirect_port_count = settings->redirect_ports.count,
        },
        &serve->source, diag);
}

static int answer(struct serve *serve, struct diag *diag)
{
    const struct server_config config = {
        .listeners = serve->listeners.items,
        .listener_count = serve->listeners.count,
        .threads = (unsigned)serve->settings.options->threads,
        .store = serve->store,
        .source = serve->source,
        .on_fault = ON_FAULT_ERROR,
    };

    return server_start(&config, &serve->server, diag);
}

/* The child of rehearse().  It dies with its parent; the kernel forgets such a wish with the change
 * of user, so that comes first. */
_Noreturn static void rehearse_in_child(struct serve *serve, pid_t parent, struct diag *diag)
{
    enum exit_status status = STATUS_FAILURE;

    if (give_up_privileges(serve, diag) < 0)
        _exit(cli_complain(status, diag));
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* cannot fail with a valid signal */
    if (getppid() != parent)                /* it died before */
        _exit(status);
    status = open_files(serve, diag);
    _exit(status == STATUS_OK ? status : cli_complain(status, diag));
}

/* In a child that has given up its privileges already: would the files open?  Taking over the socket
 * path cannot be undone, so a broken policy has to be found before, and a policy that only root may
 * read as well. */
static enum exit_status rehearse(struct serve *serve, struct diag *diag)
{
    const pid_t parent = getpid();
    pid_t child = fork();
    int wait_status;

    if (child < 0) {
        (void)diag_set(diag, -errno, "cannot fork: %s", strerror(errno));
        return STATUS_FAILURE;
    }
    if (child == 0)
        rehearse_in_child(serve, parent, diag);
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
    int (*const last[])(struct serve *, struct diag *) = {open_maps, collect_signals, answer};
    enum exit_status status;

    if (prepare_signals(diag) < 0 || privileges_lock(diag) < 0)
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
    for (size_t i = 0; i < sizeof(last) / sizeof(last[0]); i++)
        if (last[i](serve, diag) < 0)
            return STATUS_FAILURE;
    return STATUS_OK;
}

/* --- running ---------------------------------------------------------------------------------- */

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

/* A second SIGTERM or SIGINT ends the program at once. */
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

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    CLEANUP(serve_done) struct serve serve = {.signal_fd = -1};
    struct diag diag = {0};
    enum exit_status status;

    (void)operands;
    (void)given;
    if (serve_settings_read(options, &serve.settings, &diag) < 0)
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
    .options = &SERVE_OPTIONS,
    .options_size = sizeof(struct serve_options),
    .defaults = &SERVE_DEFAULTS,
    .run = run,
};
