/* SPDX-License-Identifier: Apache-2.0 */
/* What the admin pages of `serve` say: /metrics, /livez, /readyz. */
#ifndef SERVE_METRICS_H
#define SERVE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin.h"
#include "beat.h"

struct capture_maps;
struct certificates;
struct policy_store;
struct server;
struct syn_source;

/* Filled in by serve; everything is borrowed and lives longer than the admin server. */
struct serve_metrics {
    const struct server *server;
    struct policy_store *store;
    struct certificates *certificates; /* NULL: no listener speaks TLS */
    const struct syn_source *pins;     /* NULL: SYNs do not come from pins */
    const struct capture_maps *maps;   /* of capture of our own, or NULL */

    /* Written by serve's loop, read by the admin thread. */
    struct beat loop;
    atomic_bool is_draining;
    atomic_uint_fast64_t policy_reloads[2], config_reloads[2],
        tls_reloads[2]; /* failed, succeeded */

    uint64_t map_read_failures; /* the admin thread's */
};

/* Is there capture, as far as there should be?  If not, `why` begins with capture_absent,
 * capture_stale or capture_degraded. */
bool serve_has_capture(const struct serve_metrics *metrics, char why[ADMIN_WHY_MAX]);

/* For admin_start(). */
struct admin_pages serve_metrics_pages(struct serve_metrics *metrics);

#endif
