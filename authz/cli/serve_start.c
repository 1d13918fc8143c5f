/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "certificates.h"
#include "cleanup.h"
#include "confine.h"
#include "listen_option.h"
#include "local_capture.h"
#include "map_source.h"
#include "oplog.h"
#include "pcap_source.h"
#include "pin_source.h"
#include "policy_store.h"
#include "probe.h"
#include "signals.h"

void serve_done(struct serve *serve)
{
    admin_stopp(&serve->admin); /* its pages look at all that follows */
    if (serve->server)
        server_stop(serve->server, (unsigned)serve->orders.options.drain_timeout_ms);
    serve_decisions_done(&serve->decisions);
    certificates_freep(&serve->certificates);
    policy_store_freep(&serve->store);
    syn_source_freep(&serve->source);
    closep(&serve->admin_listener.fd);
    for (size_t i = 0; i < serve->listeners.count; i++)
        listener_done(&serve->listeners.items[i]);
    free(serve->listeners.items);
    local_capture_freep(&serve->capture); /* detaches the hooks */
    closep(&serve->signal_fd);
    closep(&serve->console_fd);
    serve_orders_done(&serve->orders);
    serve_metrics_done(&serve->metrics);
}

/* --- with privileges -------------------------------------------------------------------------- */

/* What reading pins takes is found out while there still is a choice. */
static int prepare_for_pins(struct serve *serve, struct diag *diag)
{
    struct serve_settings *settings = &serve->orders.settings;
    int r;

    if (settings->source != SERVE_PINS)
        return 0;
    r = privileges_for_pins(serve->orders.options.pin_dir, probe_bpf_is_allowed,
                            &settings->identity, diag);
    if (r == 0 && settings->identity.keeps_bpf)
        oplog_info("keeping CAP_BPF alone: before Linux 5.19 nobody reads pins without it");
    return r;
}

static int attach(struct serve *serve, struct diag *diag)
{
    const struct serve_settings *settings = &serve->orders.settings;
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
    const struct text_list *specs = &serve->orders.options.listen;

    serve->listeners.items = calloc(specs->count, sizeof(*serve->listeners.items));
    if (!serve->listeners.items)
        return -ENOMEM;
    for (size_t i = 0; i < specs->count; i++) {
        int r = listen_option_open("--listen", specs->items[i], &serve->listeners.items[i], diag);

        if (r < 0)
            return r;
        serve->listeners.count++;
    }
    return 0;
}

static int listen_for_admin(struct serve *serve, struct diag *diag)
{
    const char *address = serve->orders.options.admin;

    return address ? listen_option_open("--admin", address, &serve->admin_listener, diag) : 0;
}

static int give_up_privileges(struct serve *serve, struct diag *diag)
{
    const struct identity *identity = &serve->orders.settings.identity;
    int r = privileges_drop(identity, diag);

    if (r == 0)
        r = privileges_check(identity, diag);
    return r < 0 ? r : confine_bpf(diag);
}

/* --- without: files --------------------------------------------------------------------------- */

int serve_open_log(const struct serve_orders *orders, struct diag *diag)
{
    const char *path = orders->options.log;
    struct diag wrong = {0};
    int r = strcmp(path, "-") != 0 ? oplog_to_file(path, &wrong) : 0;

    return r < 0 ? diag_set(diag, r, "--log %s", wrong.text) : 0;
}

/* Until the server is up its messages belong to whoever starts it, too. */
static int keep_console(struct serve *serve, struct diag *diag)
{
    serve->console_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (serve->console_fd < 0 && errno != EBADF)
        return diag_set(diag, -errno, "cannot keep standard error: %s", strerror(errno));
    return 0;
}

static void back_to_console(struct serve *serve)
{
    if (serve->console_fd >= 0)
        (void)dup2(serve->console_fd, STDERR_FILENO);
}

static enum exit_status open_files(struct serve *serve, struct diag *diag)
{
    const char *capture_file = serve->orders.settings.pcap_file;
    const struct credential_files *tls = &serve->orders.settings.tls;

    serve->source = syn_source_none(); /* with pins and --attach until open_source() */
    if ((capture_file && pcap_source_open(capture_file, &serve->source, diag) < 0) ||
        policy_store_open(serve->orders.options.policy, &serve->store, diag) < 0 ||
        (tls->certificate && certificates_open(tls, &serve->certificates, diag) < 0))
        return STATUS_INVALID;
    return STATUS_OK;
}

/* NULL: there is no such file. */
static int may_read(const char *path, struct diag *diag)
{
    if (!path || access(path, R_OK) == 0 || errno != EACCES)
        return 0;
    return diag_set(diag, -EACCES,
                    "%s: user %u, as whom it serves, may not read it: change its mode or a "
                    "folder's, or choose another --user",
                    path, (unsigned)geteuid());
}

/* The configuration, which was read with more privileges before, included. */
static enum exit_status try_files(struct serve *serve, struct diag *diag)
{
    struct serve_orders orders;
    enum exit_status status;

    if (may_read(serve->command_line->config, diag) < 0 ||
        may_read(serve->orders.options.policy, diag) < 0 ||
        may_read(serve->orders.settings.pcap_file, diag) < 0 ||
        may_read(serve->orders.options.tls_cert, diag) < 0 ||
        may_read(serve->orders.options.tls_key, diag) < 0 ||
        may_read(serve->orders.options.tls_client_ca, diag) < 0)
        return STATUS_INVALID;
    status = serve_orders_read(serve->command_line, serve->given, &orders, diag);
    serve_orders_done(&orders);
    if (status == STATUS_OK)
        status = open_files(serve, diag);
    if (status == STATUS_OK &&
        (keep_console(serve, diag) < 0 || serve_open_log(&serve->orders, diag) < 0))
        status = STATUS_FAILURE;
    back_to_console(serve);
    if (status == STATUS_OK && serve_decisions_try(&serve->orders.options, diag) < 0)
        status = STATUS_FAILURE;
    return status;
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
    status = try_files(serve, diag);
    _exit(status == STATUS_OK ? status : cli_complain(status, diag));
}

/* In a child that has given up its privileges already: would the files open?  Taking over the
 * socket path cannot be undone, so a broken policy has to be found before, and a policy that only
 * root may read as well. */
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
        (void)diag_set(diag, -ECHILD, "the trial run of opening the files did not end properly");
        return STATUS_FAILURE;
    }
    return (enum exit_status)WEXITSTATUS(wait_status);
}

/* --- without: the server ---------------------------------------------------------------------- */

static int collect_signals(struct serve *serve, struct diag *diag)
{
    return signals_collect(&serve->signal_fd, diag);
}

static int open_log(struct serve *serve, struct diag *diag)
{
    int r = keep_console(serve, diag);

    return r < 0 ? r : serve_open_log(&serve->orders, diag);
}

static int open_maps(struct serve *serve, struct diag *diag)
{
    const struct serve_settings *settings = &serve->orders.settings;

    serve->metrics.maps = local_capture_get_maps(serve->capture);
    return map_source_new(
        &(struct map_source_config){
            .maps = serve->metrics.maps,
            .redirect_ports = settings->redirect_ports.items,
            .redirect_port_count = settings->redirect_ports.count,
        },
        &serve->source, diag);
}

static int open_pins(struct serve *serve, struct diag *diag)
{
    const struct serve_settings *settings = &serve->orders.settings;
    int r = pin_source_open(
        &(struct pin_source_config){
            .pin_dir = serve->orders.options.pin_dir,
            .redirect_ports = settings->redirect_ports.items,
            .redirect_port_count = settings->redirect_ports.count,
        },
        &serve->source, diag);

    if (r == 0)
        serve->metrics.pins = serve->source;
    return r;
}

static int open_source(struct serve *serve, struct diag *diag)
{
    switch (serve->orders.settings.source) {
    case SERVE_ATTACH:
        return open_maps(serve, diag);
    case SERVE_PINS:
        return open_pins(serve, diag);
    default:
        return 0; /* open_files() has it */
    }
}

static int open_decisions(struct serve *serve, struct diag *diag)
{
    int r = serve_decisions_open(&serve->orders.options, serve->store, &serve->decisions, diag);

    serve->metrics.decision_log = serve->decisions.log;
    return r;
}

static int answer(struct serve *serve, struct diag *diag)
{
    const struct server_config config = {
        .listeners = serve->listeners.items,
        .listener_count = serve->listeners.count,
        .certificates = serve->certificates,
        .threads = (unsigned)serve->orders.options.threads,
        .store = serve->store,
        .source = serve->source,
        .on_fault = (enum on_fault)serve->orders.options.on_fault,
        .fault_status = (unsigned)serve->orders.options.error_response,
        .log = serve->decisions.log,
        .limits = {.connections = (unsigned)serve->orders.options.max_connections,
                   .streams = (unsigned)serve->orders.options.max_streams,
                   .request_bytes = (size_t)serve->orders.options.max_request_bytes,
                   .connection_age_ms = (unsigned)serve->orders.options.max_connection_age_ms},
    };

    return server_start(&config, &serve->server, diag);
}

void serve_show_settings(struct serve *serve, const struct serve_orders *wanted)
{
    const struct settings_view running_view = serve_orders_view(&serve->orders, serve->given);
    const struct settings_view wanted_view = serve_orders_view(wanted, serve->given);

    config_page_update(&serve->metrics.config, &running_view, &wanted_view);
}

static int answer_admin(struct serve *serve, struct diag *diag)
{
    const struct admin_pages pages = serve_metrics_pages(&serve->metrics);

    serve->metrics.server = serve->server;
    serve->metrics.store = serve->store;
    serve->metrics.certificates = serve->certificates;
    serve->metrics.orders = &serve->orders;
    serve_show_settings(serve, &serve->orders);
    if (serve->admin_listener.fd < 0)
        return 0;
    return admin_start(take_fd(&serve->admin_listener.fd), &pages, &serve->admin, diag);
}

/* --- all of it -------------------------------------------------------------------------------- */

typedef int (*start_step)(struct serve *serve, struct diag *diag);

static enum exit_status run_steps(struct serve *serve, const start_step *steps, struct diag *diag)
{
    for (; *steps; steps++)
        if ((*steps)(serve, diag) < 0)
            return STATUS_FAILURE;
    return STATUS_OK;
}

static enum exit_status start(struct serve *serve, struct diag *diag)
{
    static const start_step PRIVILEGED[] = {attach, listen_on_all, listen_for_admin,
                                            give_up_privileges, NULL};
    /* Threads begin with open_source. */
    static const start_step LAST[] = {open_log, collect_signals, open_source, open_decisions,
                                      answer,   answer_admin,    NULL};
    enum exit_status status;

    if (signals_prepare(diag) < 0 || privileges_lock(diag) < 0 || prepare_for_pins(serve, diag) < 0)
        return STATUS_FAILURE;
    status = rehearse(serve, diag);
    if (status == STATUS_OK)
        status = run_steps(serve, PRIVILEGED, diag);
    /* From here on as nobody, so that what can be opened now can be opened again later. */
    if (status == STATUS_OK)
        status = open_files(serve, diag);
    return status == STATUS_OK ? run_steps(serve, LAST, diag) : status;
}

enum exit_status serve_start(struct serve *serve, struct diag *diag)
{
    enum exit_status status = start(serve, diag);

    if (status != STATUS_OK)
        back_to_console(serve);
    return status;
}
