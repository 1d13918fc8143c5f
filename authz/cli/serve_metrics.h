/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin pages of `serve` say: /metrics, /livez, /readyz; /config is serve_config.h. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin.h"
#include "beat.h"
#include "config_page.h"
#include "pin_source.h"
#include "reload.h"

struct capture_maps;
struct certificates;
struct decision_log;
struct policy_store;
struct serve_orders;
struct server;
struct syn_source;

/* Filled in by serve; everything is borrowed and lives longer than the admin server. */
struct serve_metrics {
    const struct serve_orders *orders; /* at the start */
    const struct server *server;
    struct policy_store *store;
    struct decision_log *decision_log; /* NULL: there is none */
    struct certificates *certificates; /* NULL: no listener speaks TLS */
    const struct syn_source *pins;     /* NULL: SYNs do not come from pins */
    const struct capture_maps *maps;   /* of capture of our own, or NULL */

    /* Written by serve's loop, read by the admin thread. */
    struct beat loop;
    atomic_bool is_draining;
    struct reload_log policy_reloads, tls_reloads;
    struct config_page config;

    uint64_t map_read_failures; /* the admin thread's */
};

/* Is there capture, as far as there should be?  If not, `why` begins with capture_absent,
 * capture_stale or capture_degraded. */
bool serve_has_capture(const struct serve_metrics *metrics, char why[ADMIN_WHY_MAX]);

/* As /readyz: `why` is set when it is not. */
bool serve_is_ready(struct serve_metrics *metrics, char why[ADMIN_WHY_MAX]);

/* "fresh", "stale", ... */
const char *serve_pin_state(enum pin_source_state state);

/* Before and behind everything else. */
void serve_metrics_init(struct serve_metrics *metrics);
void serve_metrics_done(struct serve_metrics *metrics);

/* For admin_start(). */
struct admin_pages serve_metrics_pages(struct serve_metrics *metrics);

#endif
