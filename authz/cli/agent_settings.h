/* SPDX-License-Identifier: Apache-2.0 */
/* What `agent` is told: its command line and configuration file, checked and parsed. */
#ifndef AGENT_SETTINGS_H
#define AGENT_SETTINGS_H

#include "node.h"
#include "option_values.h"

/* As given; the target of AGENT_OPTIONS. */
struct agent_options {
    const char *pin_dir, *group, *socket_dir, *config, *admin;
    struct text_list interfaces, cgroups, ports, prefixes;
    uint64_t max_pending, max_live, vxlan_port, syn_rate, node_hops, captured_seconds;
    unsigned capture; /* enum node_mode */
    unsigned tracking;
    bool print_config;
};

extern const struct option_table AGENT_OPTIONS;
extern const char *const AGENT_CAPTURE_MODES[]; /* the names of enum node_mode */

/* All zero before agent_settings_read(). */
struct agent_settings {
    struct node_config node; /* borrows texts from the options, and the lists */
    struct port_list ports;
    struct prefix_list prefixes;
};

/* Returns 0, or a negative errno with a message about what is missing or does not go together.
 * Either way agent_settings_done() frees what was read.  The options must outlive the settings. */
int agent_settings_read(const struct agent_options *options, struct agent_settings *ret_settings,
                        struct diag *diag);
void agent_settings_done(struct agent_settings *settings);

/* What takes a restart stays in `wanted` as it is in `running`. */
void agent_settings_freeze(const struct agent_settings *running, struct agent_settings *wanted);

/* The options that differ and take a restart, as "--pin-dir, --max-live" in `buffer`, which it
 * returns; "" when there is none. */
const char *agent_settings_frozen(const struct agent_options *running,
                                  const struct agent_options *wanted, char *buffer, size_t size);

#endif
