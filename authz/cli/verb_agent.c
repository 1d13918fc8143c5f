/* SPDX-License-Identifier: Apache-2.0 */
/* `agent`: capture for the whole node, looked after until SIGTERM and left running then. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "admin.h"
#include "agent_log.h"
#include "agent_metrics.h"
#include "agent_privileges.h"
#include "agent_settings.h"
#include "cleanup.h"
#include "config_file.h"
#include "listen_option.h"
#include "node.h"
#include "notify.h"
#include "oplog.h"
#include "settings_view.h"
#include "signals.h"
#include "socket_dir.h"

enum { BEAT_MS = 1000, RECONCILE_BEATS = 5, LOOP_STALE_MS = 10000 };

/* What the command line and the configuration file say together. */
struct orders {
    struct config_file *file;     /* NULL without --config */
    struct agent_options options; /* lists and texts are those of the command line and the file */
    struct agent_settings settings;
};

struct agent {
    const struct agent_options *command_line;
    const struct options_given *given;
    struct orders orders; /* at the start */
    struct listener admin_listener;
    struct node *node;
    struct agent_metrics *metrics;
    struct admin *admin;
    int signal_fd, timer_fd;
    unsigned beats;
    struct agent_log log;
};

static void orders_done(struct orders *orders)
{
    agent_settings_done(&orders->settings);
    config_file_freep(&orders->file);
}

static void agent_done(struct agent *agent)
{
    admin_stopp(&agent->admin);
    agent_metrics_freep(&agent->metrics);
    if (agent->node)
        node_leave(agent->node);
    closep(&agent->admin_listener.fd);
    closep(&agent->signal_fd);
    closep(&agent->timer_fd);
    agent_log_done(&agent->log);
    orders_done(&agent->orders);
}

/* --- what is asked for ------------------------------------------------------------------------ */

/* Either way orders_done() frees what was read. */
static enum exit_status read_orders(const struct agent *agent, struct orders *ret_orders,
                                    struct diag *diag)
{
    const char *path = agent->command_line->config;

    *ret_orders = (struct orders){.options = *agent->command_line};
    if (path && config_file_read(path, "agent", agent->given, &ret_orders->options,
                                 &ret_orders->file, diag) < 0)
        return STATUS_INVALID;
    if (agent_settings_read(&ret_orders->options, &ret_orders->settings, diag) < 0)
        return path ? STATUS_INVALID : STATUS_USAGE;
    return STATUS_OK;
}

static struct settings_view view_of(const struct agent *agent, const struct orders *orders)
{
    return (struct settings_view){
        .verb = "agent",
        .table = &AGENT_OPTIONS,
        .values = &orders->options,
        .values_size = sizeof(orders->options),
        .given = agent->given,
        .file = orders->file,
    };
}

/* On /config. */
static void show_settings(struct agent *agent, const struct orders *wanted)
{
    const struct settings_view running_view = view_of(agent, &agent->orders);
    const struct settings_view wanted_view = view_of(agent, wanted);

    config_page_update(agent_metrics_config_page(agent->metrics), &running_view, &wanted_view);
}

static void report(struct agent *agent)
{
    struct node_status status;

    node_get_status(agent->node, &status);
    agent_metrics_report(agent->metrics, &status);
    if (agent_log_report(&agent->log, &status) && notify_send("READY=1") < 0)
        oplog_error("cannot tell the service manager over NOTIFY_SOCKET");
}

/* --- start ------------------------------------------------------------------------------------ */

/* One for each hook, as many as there may be.  Where that is not allowed, the present limit holds.
 */
static int allow_descriptors(struct agent *agent, struct diag *diag)
{
    struct rlimit limit;

    (void)agent;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return diag_set(diag, -errno, "cannot read the limit of open files: %s", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return 0;
}

/* Before anything that another agent, which has the pins, may be using. */
static int open_node(struct agent *agent, struct diag *diag)
{
    return node_open(&agent->orders.settings.node, &agent->node, diag);
}

static int open_admin_socket(struct agent *agent, struct diag *diag)
{
    const char *address = agent->orders.options.admin;

    return address ? listen_option_open("--admin", address, &agent->admin_listener, diag) : 0;
}

static int make_socket_dir(struct agent *agent, struct diag *diag)
{
    const char *path = agent->orders.options.socket_dir;

    return path ? socket_dir_prepare(path, agent->orders.settings.node.group, diag) : 0;
}

static int run_node(struct agent *agent, struct diag *diag)
{
    int r = node_run(agent->node, diag);

    return r < 0 ? r
                 : agent_privileges_settle(agent->orders.settings.node.group != getegid(), diag);
}

static int start_metrics(struct agent *agent, struct diag *diag)
{
    const struct agent_metrics_config config = {
        .mode = AGENT_CAPTURE_MODES[agent->orders.settings.node.mode],
        .maps = node_get_maps(agent->node),
        .stale_ms = LOOP_STALE_MS,
    };
    int r = agent_metrics_new(&config, &agent->metrics);

    if (r < 0)
        return diag_set(diag, r, "no memory for the metrics");
    show_settings(agent, &agent->orders);
    return 0;
}

static int start_admin(struct agent *agent, struct diag *diag)
{
    const struct admin_pages pages = agent_metrics_pages(agent->metrics);

    if (agent->admin_listener.fd < 0)
        return 0;
    return admin_start(take_fd(&agent->admin_listener.fd), &pages, &agent->admin, diag);
}

static int start_clock(struct agent *agent, struct diag *diag)
{
    uint64_t wanted_ms = notify_watchdog_ms();
    long period_ms = wanted_ms && wanted_ms < BEAT_MS ? (long)wanted_ms : BEAT_MS;
    const struct timespec period = {period_ms / 1000, period_ms % 1000 * 1000000};
    const struct itimerspec clock = {.it_interval = period, .it_value = period};

    agent->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (agent->timer_fd < 0 || timerfd_settime(agent->timer_fd, 0, &clock, NULL) < 0)
        return diag_set(diag, -errno, "cannot make a timer: %s", strerror(errno));
    return signals_collect(&agent->signal_fd, diag);
}

static int start(struct agent *agent, struct diag *diag)
{
    int (*const steps[])(struct agent *, struct diag *) = {
        allow_descriptors, open_node,     open_admin_socket, make_socket_dir,
        run_node,          start_metrics, start_admin,       start_clock};
    struct node_status status;

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int r = steps[i](agent, diag);

        if (r < 0)
            return r;
    }
    node_beat(agent->node);
    node_get_status(agent->node, &status);
    agent_log_start(&agent->orders.settings.node, &status);
    report(agent);
    return 0;
}

/* --- running ---------------------------------------------------------------------------------- */

/* What takes a restart stays as it is, and is named. */
static void keep_frozen(const struct orders *running, struct orders *wanted)
{
    char names[256];

    agent_settings_freeze(&running->settings, &wanted->settings);
    if (*agent_settings_frozen(&running->options, &wanted->options, names, sizeof(names)))
        oplog_error("restart the agent to change %s: until then the old value holds", names);
}

static int read_again(struct agent *agent, struct diag *diag)
{
    CLEANUP(orders_done) struct orders wanted;
    int r;

    if (read_orders(agent, &wanted, diag) != STATUS_OK)
        return -EINVAL;
    keep_frozen(&agent->orders, &wanted);
    r = node_reconfigure(agent->node, &wanted.settings.node, diag);
    if (r == 0)
        show_settings(agent, &wanted);
    return r;
}

static void reload(struct agent *agent)
{
    char text[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];
    struct diag diag = {0};
    int r;

    if (!agent->command_line->config) {
        oplog_info("SIGHUP without --config: there is nothing to read again");
        return;
    }
    r = read_again(agent, &diag);
    reload_log_note(&agent_metrics_config_page(agent->metrics)->reloads, r, &diag);
    node_reconcile(agent->node);
    report(agent);
    diag_format(&diag, text, sizeof(text));
    if (r < 0)
        oplog_error("configuration not changed, the last good one stays: %s",
                    diag.text[0] ? text : strerror(-r));
    else /* said last, so that who waits for it finds it done */
        oplog_info("configuration read again from %s", agent->command_line->config);
}

/* What is not pinned ends with us. */
static void say_ending(struct agent *agent, unsigned signal)
{
    struct node_status status;

    node_beat(agent->node);
    node_get_status(agent->node, &status);
    if (status.unpinned)
        oplog_error("ending on signal %u, and capture ends, because it is not pinned", signal);
    else
        oplog_info("ending on signal %u; capture goes on: to end it, `synauthz cleanup --pin-dir "
                   "%s`",
                   signal, agent->orders.settings.node.pin_dir);
}

/* Returns false when it is time to end. */
static bool on_signal(struct agent *agent)
{
    struct signalfd_siginfo info;

    if (read(agent->signal_fd, &info, sizeof(info)) != sizeof(info))
        return true;
    if (info.ssi_signo == SIGHUP) {
        reload(agent);
        return true;
    }
    say_ending(agent, info.ssi_signo);
    return false;
}

static void on_beat(struct agent *agent)
{
    uint64_t missed;

    if (read(agent->timer_fd, &missed, sizeof(missed)) != sizeof(missed))
        return;
    node_beat(agent->node);
    if (++agent->beats % RECONCILE_BEATS == 0)
        node_reconcile(agent->node);
    report(agent);
    if (notify_watchdog_ms())
        (void)notify_send("WATCHDOG=1"); /* who does not hear it ends us, and says so */
}

static void on_change(struct agent *agent)
{
    node_drain_events(agent->node);
    node_reconcile(agent->node);
    report(agent);
}

static int run_until_told(struct agent *agent, struct diag *diag)
{
    enum { SIGNALS, CLOCK, CHANGES, COUNT };
    struct pollfd fds[COUNT] = {
        [SIGNALS] = {.fd = agent->signal_fd, .events = POLLIN},
        [CLOCK] = {.fd = agent->timer_fd, .events = POLLIN},
        [CHANGES] = {.fd = node_event_fd(agent->node), .events = POLLIN},
    };

    for (;;) {
        if (poll(fds, COUNT, -1) < 0) {
            if (errno == EINTR)
                continue;
            return diag_set(diag, -errno, "cannot wait for events: %s", strerror(errno));
        }
        if (fds[SIGNALS].revents && !on_signal(agent))
            return 0;
        if (fds[CLOCK].revents)
            on_beat(agent);
        if (fds[CHANGES].revents)
            on_change(agent);
    }
}

static enum exit_status print_config(struct agent *agent)
{
    struct diag diag = {0};
    enum exit_status status = read_orders(agent, &agent->orders, &diag);
    const struct settings_view view = view_of(agent, &agent->orders);

    if (status == STATUS_OK && settings_print_yaml(&view, stdout, &diag) < 0)
        status = STATUS_FAILURE;
    return status == STATUS_OK ? status : cli_complain(status, &diag);
}

/* --- the verb --------------------------------------------------------------------------------- */

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    CLEANUP(agent_done)
    struct agent agent = {
        .command_line = options,
        .given = given,
        .admin_listener.fd = -1,
        .signal_fd = -1,
        .timer_fd = -1,
    };
    struct diag wrong = {0}, unprivileged = {0};
    enum exit_status status;
    int r;

    (void)operands;
    if (agent.command_line->print_config)
        return print_config(&agent);
    /* First, so that the file can be read again by who reads it now; said last, so that what is
     * written can be checked by anybody. */
    r = agent_privileges_begin(&unprivileged);
    status = read_orders(&agent, &agent.orders, &wrong);
    if (status != STATUS_OK)
        return cli_complain(status, &wrong);
    if (r < 0)
        return cli_complain(STATUS_FAILURE, &unprivileged);
    if (signals_prepare(&wrong) < 0 || start(&agent, &wrong) < 0 ||
        run_until_told(&agent, &wrong) < 0)
        return cli_complain(STATUS_FAILURE, &wrong);
    (void)notify_send("STOPPING=1");
    signals_let_end();
    return STATUS_OK;
}

const struct verb VERB_AGENT = {
    .name = "agent",
    .summary = "capture SYNs for the whole node, and look after that (privileged)",
    .synopsis = "--port N[,N...]|any [--interface IFACE]... [--capture MODE] [--config FILE]",
    .description =
        "Loads the capture programs, attaches them, pins maps and links in --pin-dir, and keeps\n"
        "them attached as devices come and go.  Servers (`synauthz serve`) read the pins without\n"
        "any privilege.\n"
        "\n"
        "  synauthz agent --interface eth0 --port 443 --group envoy\n"
        "\n"
        "Runs as root and needs the capabilities BPF, NET_ADMIN and PERFMON; SYS_ADMIN only to\n"
        "mount a bpffs on --pin-dir, CHOWN only for pins of a group that is not its own.\n"
        "\n"
        "It is ready when it says so on standard error (and to $NOTIFY_SOCKET): attached, pinned,\n"
        "heartbeat running.  SIGHUP reads --config again: ports, prefixes, interfaces, control\n"
        "groups and limits change without a gap, and a file with an error changes nothing.\n"
        "SIGTERM ends the agent and leaves capture running, for the next agent to take over;\n"
        "`synauthz cleanup` removes it.\n",
    .options = &AGENT_OPTIONS,
    .options_size = sizeof(struct agent_options),
    .run = run,
};
