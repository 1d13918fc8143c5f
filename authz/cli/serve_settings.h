/* SPDX-License-Identifier: Apache-2.0 */
/* What `serve` is told: its command line, checked and parsed. */
#ifndef SERVE_SETTINGS_H
#define SERVE_SETTINGS_H

#include "option_values.h"
#include "privileges.h"

/* As given; the target of SERVE_OPTIONS. */
struct serve_options {
    const char *policy, *source, *user;
    struct text_list listen, attach, ports, prefixes, redirect_ports;
    uint64_t threads, max_pending, max_live;
};

extern const struct option_table SERVE_OPTIONS;
extern const struct serve_options SERVE_DEFAULTS;

/* All zero before serve_settings_read(). */
struct serve_settings {
    const struct serve_options
        *options; /* borrowed: policy, listen, attach, threads and sizes as given */
    struct identity identity;
    bool any_port;
    struct port_list ports;
    struct port_list redirect_ports; /* never empty */
    struct prefix_list prefixes;
    const char *pcap_file; /* NULL: SYNs do not come from a capture file */
};

/* Returns 0, or a negative errno with a message about the option that is wrong or missing.  Either
 * way serve_settings_done() frees what was read. */
int serve_settings_read(const struct serve_options *options, struct serve_settings *ret_settings,
                        struct diag *diag);
void serve_settings_done(struct serve_settings *settings);

#endif
