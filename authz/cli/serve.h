/* SPDX-License-Identifier: Apache-2.0 */
/* A server from its orders to its end; verb_serve.c is what runs in between. */
#ifndef SERVE_H
#define SERVE_H

#include "serve_decisions.h"
#include "serve_metrics.h"
#include "serve_settings.h"
#include "server.h"

/* Everything that a running server holds; released in serve_done(), last taken first. */
struct serve {
    const struct serve_options *command_line;
    const struct options_given *given;
    struct serve_orders orders; /* at the start */
    int console_fd;             /* standard error, while a log file stands in its place */
    int signal_fd;
    struct local_capture *capture;
    struct {
        struct listener *items;
        size_t count;
    } listeners;
    struct listener admin_listener;
    struct syn_source *source;
    struct certificates *certificates; /* NULL without a TLS listener */
    struct policy_store *store;
    struct serve_decisions decisions;
    struct server *server;
    struct admin *admin;
    struct serve_metrics metrics;
};

/* Up, in the order of privileges.h.  Returns STATUS_OK and a server that answers, as a user without
 * privileges; or another status with a message, unless that was written already. */
enum exit_status serve_start(struct serve *serve, struct diag *diag);

/* The log, where there is one; again on SIGHUP. */
int serve_open_log(const struct serve_orders *orders, struct diag *diag);

/* On /config: `wanted` is what was read since the start, or the orders of the start. */
void serve_show_settings(struct serve *serve, const struct serve_orders *wanted);

void serve_done(struct serve *serve);

#endif
