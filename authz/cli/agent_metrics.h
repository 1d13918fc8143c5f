/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent's admin pages say: /metrics, /config, /livez, /readyz.
 *
 * The agent's loop reports to it, the admin thread reads; a mutex stands between them, and nothing
 * of the node is touched by the admin thread but the maps' descriptors, which only look-ups use. */
#ifndef AGENT_METRICS_H
#define AGENT_METRICS_H

#include <stdbool.h>

#include "admin.h"
#include "config_page.h"
#include "node.h"

struct agent_metrics;

struct agent_metrics_config {
    const char *mode;                /* as --capture calls it; static */
    const struct capture_maps *maps; /* they and their descriptors outlive the metrics */
    unsigned stale_ms;               /* a loop that has not reported for so long does not live */
};

/* Returns 0, or -ENOMEM. */
int agent_metrics_new(const struct agent_metrics_config *config,
                      struct agent_metrics **ret_metrics);
void agent_metrics_freep(struct agent_metrics **metrics);

/* By the loop, with every beat: it is alive, and this is how the node is.  Copies.  Without memory
 * for it the last status stays. */
void agent_metrics_report(struct agent_metrics *metrics, const struct node_status *status);

/* What the loop says of its settings. */
struct config_page *agent_metrics_config_page(struct agent_metrics *metrics);

/* For admin_start(). */
struct admin_pages agent_metrics_pages(struct agent_metrics *metrics);

#endif
