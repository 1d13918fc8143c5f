/* SPDX-License-Identifier: Apache-2.0 */
/* `serve`: from the command line to a running server without privileges, and down again. */
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "certificates.h"
#include "cleanup.h"
#include "notify.h"
#include "oplog.h"
#include "policy.h"
#include "policy_store.h"
#include "serve.h"
#include "signals.h"

/* --- SIGHUP ----------------------------------------------------------------------------------- */

static void say_failure(const char *what, const struct diag *diag)
{
    char text[DIAG_FILE_MAX + DIAG_TEXT_MAX + 32];

    diag_format(diag, text, sizeof(text));
    oplog_error("%s: %s", what, diag->text[0] ? text : "out of memory");
}

static const char *revision_of(const struct serve *serve, char text[32])
{
    struct policy_reader reader = {0};

    (void)snprintf(text, 32, "%s", policy_reader_get(&reader, serve->store)->revision);
    policy_reader_done(&reader);
    return text;
}

static void reload_policy(struct serve *serve, const char *path)
{
    struct diag diag = {0};
    char revision[32];
    int r = policy_store_move(serve->store, path, &diag);

    reload_log_note(&serve->metrics.policy_reloads, r, &diag);
    if (r < 0)
        say_failure("policy not reloaded, the last good one stays", &diag);
    else
        oplog_info("policy reloaded, revision %s", revision_of(serve, revision));
}

static void say_certificates(struct serve *serve, int r, const struct diag *diag)
{
    const time_t expiry = certificates_expiry(serve->certificates);
    struct tm parts;
    char text[32] = "";

    reload_log_note(&serve->metrics.tls_reloads, r, diag);
    if (r < 0) {
        say_failure("certificates not reloaded, the last good ones stay", diag);
        return;
    }
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&expiry, &parts));
    oplog_info("certificates reloaded, valid until %s", text);
}

/* With another choice of listeners, which takes a restart, there may be no certificate any more. */
static void reload_certificates(struct serve *serve, const struct credential_files *wanted)
{
    struct diag diag = {0};

    if (serve->certificates && wanted->certificate)
        say_certificates(serve, certificates_move(serve->certificates, wanted, &diag), &diag);
}

static void reopen_log(const struct serve_orders *orders)
{
    struct diag diag = {0};

    if (serve_open_log(orders, &diag) < 0)
        say_failure("log not opened again, it goes on where it was", &diag);
}

static void reopen_decisions(struct serve *serve)
{
    struct diag diag = {0};

    if (serve_decisions_reopen(&serve->decisions, &diag) < 0)
        say_failure("decision log not opened again, it goes on where it was", &diag);
}

/* What takes a restart stays as it is, and is named. */
static void follow(struct serve *serve, const struct serve_orders *wanted)
{
    char names[256];

    reopen_log(wanted);
    reopen_decisions(serve);
    if (*serve_orders_frozen(&serve->orders, wanted, names, sizeof(names)))
        oplog_error("restart the server to change %s: until then the old value holds", names);
    reload_policy(serve, wanted->options.policy);
    reload_certificates(serve, &wanted->settings.tls);
    serve_show_settings(serve, wanted);
}

static void reload_config(struct serve *serve)
{
    CLEANUP(serve_orders_done) struct serve_orders wanted;
    struct diag diag = {0};
    const bool succeeded =
        serve_orders_read(serve->command_line, serve->given, &wanted, &diag) == STATUS_OK;

    reload_log_note(&serve->metrics.config.reloads, succeeded ? 0 : -EINVAL, &diag);
    if (succeeded)
        follow(serve, &wanted);
    else
        say_failure("configuration not changed, the last good one stays", &diag);
}

static void reload(struct serve *serve)
{
    if (serve->command_line->config)
        reload_config(serve);
    else
        follow(serve, &serve->orders);
}

/* --- running ---------------------------------------------------------------------------------- */

/* Where capture is required, health follows it. */
static void follow_capture(struct serve *serve)
{
    char why[ADMIN_WHY_MAX];

    if (serve->orders.options.require_capture)
        server_set_serving(serve->server, serve_has_capture(&serve->metrics, why));
}

/* Without being asked: whatever renews certificates rarely knows whom to signal. */
static void follow_certificates(struct serve *serve)
{
    struct diag diag = {0};

    if (serve->certificates && certificates_have_changed(serve->certificates))
        say_certificates(serve, certificates_read_again(serve->certificates, &diag), &diag);
}

/* Returns false when it is time to end. */
static bool on_signal(struct serve *serve)
{
    struct signalfd_siginfo info;

    if (read(serve->signal_fd, &info, sizeof(info)) != sizeof(info))
        return errno == EINTR || errno == EAGAIN;
    if (info.ssi_signo == SIGHUP) {
        reload(serve);
        return true;
    }
    oplog_info("ending on signal %u", info.ssi_signo);
    return false;
}

/* A server whose threads do not turn any more is left to the service manager to end. */
static void feed_watchdog(const struct serve *serve)
{
    if (server_silence_ms(serve->server) < BEAT_STALE_MS)
        (void)notify_send("WATCHDOG=1"); /* who does not hear it ends us, and says so */
}

static void run_until_told(struct serve *serve)
{
    struct pollfd signals = {.fd = serve->signal_fd, .events = POLLIN};
    const uint64_t watchdog_ms = notify_watchdog_ms();
    const int wait_ms =
        watchdog_ms && watchdog_ms < BEAT_EVERY_MS ? (int)watchdog_ms : BEAT_EVERY_MS;

    do {
        beat_now(&serve->metrics.loop);
        follow_capture(serve);
        follow_certificates(serve);
        serve_decisions_follow(&serve->decisions);
        if (watchdog_ms)
            feed_watchdog(serve);
        signals.revents = 0; /* as poll() leaves it when it fails */
        (void)poll(&signals, 1, wait_ms);
    } while (!signals.revents || on_signal(serve));
    (void)notify_send("STOPPING=1");
    signals_let_end();
}

/* Whoever looks at health is told first; until the delay is over everybody is answered as ever. */
static void drain(struct serve *serve)
{
    const uint64_t end_ms = beat_clock_ms() + serve->orders.options.drain_delay_ms;

    atomic_store(&serve->metrics.is_draining, true);
    server_set_serving(serve->server, false);
    for (uint64_t now_ms; (now_ms = beat_clock_ms()) < end_ms;) {
        const uint64_t rest_ms = end_ms - now_ms;

        beat_now(&serve->metrics.loop);
        (void)poll(NULL, 0, rest_ms < BEAT_EVERY_MS ? (int)rest_ms : BEAT_EVERY_MS);
    }
}

/* Also where the program was started from, when there is a log elsewhere. */
static void say_ready(struct serve *serve)
{
    char revision[32];

    (void)revision_of(serve, revision);
    oplog_info("ready, policy revision %s, user %u", revision, (unsigned)geteuid());
    if (strcmp(serve->orders.options.log, "-") != 0 && serve->console_fd >= 0)
        (void)dprintf(serve->console_fd, "synauthz: ready, the log is %s\n",
                      serve->orders.options.log);
    closep(&serve->console_fd);
    serve->console_fd = -1;
    if (notify_send("READY=1") < 0)
        oplog_error("cannot tell the service manager over NOTIFY_SOCKET");
}

static enum exit_status print_config(const struct serve *serve, struct diag *diag)
{
    const struct settings_view view = serve_orders_view(&serve->orders, serve->given);

    return settings_print_yaml(&view, stdout, diag) < 0 ? STATUS_FAILURE : STATUS_OK;
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    CLEANUP(serve_done)
    struct serve serve = {
        .command_line = options,
        .given = given,
        .console_fd = -1,
        .signal_fd = -1,
        .admin_listener.fd = -1,
    };
    struct diag diag = {0};
    enum exit_status status;

    (void)operands;
    serve_metrics_init(&serve.metrics);
    status = serve_orders_read(serve.command_line, given, &serve.orders, &diag);
    if (status == STATUS_OK && serve.command_line->print_config)
        status = print_config(&serve, &diag);
    if (status != STATUS_OK || serve.command_line->print_config)
        return status == STATUS_OK ? status : cli_complain(status, &diag);
    status = serve_start(&serve, &diag);
    if (status != STATUS_OK)
        return diag.text[0] ? cli_complain(status, &diag) : status; /* rehearse() has said it */
    follow_capture(&serve);
    say_ready(&serve);
    run_until_told(&serve);
    drain(&serve);
    return STATUS_OK;
}

const struct verb VERB_SERVE = {
    .name = "serve",
    .summary = "answer Envoy's ext_authz Checks by a policy",
    .synopsis = "--policy FILE --listen ADDR [--source pins|pcap:FILE|none | --attach IFACE "
                "--port N] [--config FILE]",
    .description =
        "Answers envoy.service.auth.v3.Authorization/Check and grpc.health.v1.Health/Check.\n"
        "\n"
        "SYNs are what `synauthz agent` records on this machine, which is read through its pins\n"
        "without any privilege.  The server never waits for an agent: until there is one the\n"
        "fingerprint is `unavailable`, and /readyz says capture_absent.\n"
        "\n"
        "  synauthz serve --policy policy.yaml \\\n"
        "      --listen unix:/run/synauthz/authz.sock,mode=0660,group=envoy\n"
        "\n"
        "With --attach it needs no agent: it loads the capture programs, attaches them to the\n"
        "interface that clients come in on, then gives up every privilege.  The hooks are gone\n"
        "when the program ends.\n"
        "\n"
        "  synauthz serve --attach eth0 --port 443 --policy policy.yaml --listen 127.0.0.1:9000\n"
        "\n"
        "Started as root it becomes --user for good; policy, log and configuration are opened as\n"
        "that user.  It is ready when it says so on standard error (and to $NOTIFY_SOCKET).\n"
        "SIGTERM ends it after --drain-delay and the calls in flight, a second one at once.\n"
        "SIGHUP opens the log again and reads the configuration and the policy again; what has an\n"
        "error changes nothing, and what takes a restart is named.\n",
    .options = &SERVE_OPTIONS,
    .options_size = sizeof(struct serve_options),
    .run = run,
};
