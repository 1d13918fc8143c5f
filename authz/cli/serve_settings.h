/* SPDX-License-Identifier: Apache-2.0 */
/* What `serve` is told, by its command line and its configuration file, checked and parsed. */
#ifndef SERVE_SETTINGS_H
#define SERVE_SETTINGS_H

#include "cli.h"
#include "config_file.h"
#include "credentials.h"
#include "option_values.h"
#include "privileges.h"
#include "settings_view.h"

/* As given; the target of SERVE_OPTIONS. */
struct serve_options {
    const char *policy, *source, *pin_dir, *user, *config, *admin, *log;
    const char *tls_cert, *tls_key, *tls_client_ca;
    struct text_list listen, attach, ports, prefixes, redirect_ports, tls_client_san;
    uint64_t threads, max_pending, max_live;
    uint64_t max_connections, max_streams, max_request_bytes, max_connection_age_ms;
    uint64_t drain_delay_ms, drain_timeout_ms;
    unsigned on_fault;       /* enum on_fault */
    uint64_t error_response; /* 0: not given */
    const char *decision_log;
    struct text_list decision_log_headers;
    uint64_t decision_log_sample_allow, decision_log_sample_deny, decision_log_queue;
    unsigned decision_log_only;  /* enum decision_log_only */
    unsigned decision_log_query; /* enum query_shown */
    bool require_capture, print_config;
};

enum decision_log_only { DECISION_LOG_ALL = 0, DECISION_LOG_DENY };

extern const struct option_table SERVE_OPTIONS;

enum serve_source {
    SERVE_PINS = 0, /* of an agent */
    SERVE_ATTACH,   /* capture of our own */
    SERVE_PCAP,
    SERVE_NONE,
};

/* All zero before serve_settings_read(). */
struct serve_settings {
    const struct serve_options
        *options; /* borrowed: policy, listen, attach, threads and sizes as given */
    enum serve_source source;
    struct identity identity;
    bool any_port;
    struct port_list ports;
    struct port_list redirect_ports;
    struct prefix_list prefixes;
    const char *pcap_file;       /* of SERVE_PCAP */
    struct credential_files tls; /* borrowed from `options`; all NULL without a TLS listener */
};

/* Returns 0, or a negative errno with a message about the option that is wrong or missing.  Either
 * way serve_settings_done() frees what was read. */
int serve_settings_read(const struct serve_options *options, struct serve_settings *ret_settings,
                        struct diag *diag);
void serve_settings_done(struct serve_settings *settings);

/* What the command line and the configuration file say together.  All zero before
 * serve_orders_read(); must not be moved afterwards. */
struct serve_orders {
    struct serve_options options; /* borrowed: of the command line, and of `file` */
    struct config_file *file;     /* NULL without --config */
    struct serve_settings settings;
};

/* Reads the configuration file, if there is one; may be done again.  Returns STATUS_OK; or another
 * status with a message.  Either way serve_orders_done() frees what was read. */
enum exit_status serve_orders_read(const struct serve_options *command_line,
                                   const struct options_given *given,
                                   struct serve_orders *ret_orders, struct diag *diag);
void serve_orders_done(struct serve_orders *orders);

/* For settings_view.h; valid as long as `orders` and `given`. */
struct settings_view serve_orders_view(const struct serve_orders *orders,
                                       const struct options_given *given);

/* Names the options that a restart alone can change, and that `wanted` has otherwise, in `buffer`,
 * which it returns. */
const char *serve_orders_frozen(const struct serve_orders *running,
                                const struct serve_orders *wanted, char *buffer, size_t size);

#endif
