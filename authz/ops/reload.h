/* SPDX-License-Identifier: Apache-2.0 */
/* How the reloads of one thing went (a policy, a configuration, certificates): counted, and the
 * last one remembered.  Written by one thread, read by any. */
#ifndef RELOAD_H
#define RELOAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "diag.h"
#include "metric.h"

enum { RELOAD_ERROR_MAX = DIAG_FILE_MAX + DIAG_TEXT_MAX + 32 };

struct reload_result {
    uint64_t succeeded, failed;   /* reloads; the load at the start is none */
    int64_t success_s;            /* when what is in use was loaded, in Unix time */
    int64_t attempt_s;            /* when the last load was tried */
    char error[RELOAD_ERROR_MAX]; /* of the last one; empty: it succeeded */
};

struct reload_log {
    pthread_mutex_t lock;
    struct reload_result result;
};

/* The load at the start, which has succeeded just now. */
void reload_log_init(struct reload_log *log);
void reload_log_done(struct reload_log *log);

/* One more: `error` is 0, or a negative errno with its message in `diag`. */
void reload_log_note(struct reload_log *log, int error, const struct diag *diag);

void reload_log_get(struct reload_log *log, struct reload_result *ret_result);

/* The three families of a thing, as metrics; their names begin with `thing`, "synauthz_policy":
 * thing_reloads_total{result}, thing_last_reload_successful and
 * thing_last_reload_success_timestamp_seconds. */
void reload_log_write_metrics(struct reload_log *log, const char *thing, struct metric_page *page);

/* {"loaded":TIME,"reloads":{"ok":N,"failed":N},"last":{"tried":TIME,"error":null}}, with times
 * as RFC 3339 in UTC. */
void reload_log_print_json(struct reload_log *log, FILE *out);

#endif
