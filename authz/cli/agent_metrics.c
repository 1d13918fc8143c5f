/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture_metrics.h"
#include "cleanup.h"
#include "version.h"

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

struct agent_metrics {
    const char *mode;
    const struct capture_maps *maps;
    uint64_t stale_ns;

    pthread_mutex_t mutex; /* of all below */
    uint64_t beat_ns;      /* CLOCK_MONOTONIC; 0: the loop has not begun */
    struct node_status status;
    struct node_hook *hooks; /* owned, status.hooks */
    char set[64];            /* status.set */
    uint64_t reloads[2];     /* failed, succeeded */
    uint64_t map_read_failures;
};

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail with a clock that exists */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

int agent_metrics_new(const struct agent_metrics_config *config, struct agent_metrics **ret_metrics)
{
    struct agent_metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;
    metrics->mode = config->mode;
    metrics->maps = config->maps;
    metrics->stale_ns = (uint64_t)config->stale_ms * NS_PER_MS;
    (void)pthread_mutex_init(&metrics->mutex, NULL); /* glibc's cannot fail */
    *ret_metrics = metrics;
    return 0;
}

void agent_metrics_freep(struct agent_metrics **metrics)
{
    if (!*metrics)
        return;
    (void)pthread_mutex_destroy(&(*metrics)->mutex);
    free((*metrics)->hooks);
    freep(metrics);
}

/* --- by the loop ------------------------------------------------------------------------------ */

/* Returns false without memory. */
static bool keep_status(struct agent_metrics *metrics, const struct node_status *status)
{
    struct node_hook *hooks =
        reallocarray(metrics->hooks, status->hook_count + 1, sizeof(*metrics->hooks));

    if (!hooks)
        return false;
    if (status->hook_count)
        memcpy(hooks, status->hooks, status->hook_count * sizeof(*hooks));
    metrics->hooks = hooks;
    metrics->status = *status;
    metrics->status.hooks = hooks;
    (void)snprintf(metrics->set, sizeof(metrics->set), "%s", status->set);
    metrics->status.set = metrics->set;
    return true;
}

void agent_metrics_report(struct agent_metrics *metrics, const struct node_status *status)
{
    (void)pthread_mutex_lock(&metrics->mutex);
    if (keep_status(metrics, status))
        metrics->beat_ns = monotonic_ns();
    (void)pthread_mutex_unlock(&metrics->mutex);
}

void agent_metrics_count_reload(struct agent_metrics *metrics, bool succeeded)
{
    (void)pthread_mutex_lock(&metrics->mutex);
    metrics->reloads[succeeded]++;
    (void)pthread_mutex_unlock(&metrics->mutex);
}

/* --- health, by the admin thread, with the mutex
 * ------------------------------------------------*/

static uint64_t heartbeat_age_ns(const struct agent_metrics *metrics)
{
    uint64_t beat = metrics->status.heartbeat_ns, now = boot_time_ns();

    return now > beat ? now - beat : 0;
}

static bool is_alive(const struct agent_metrics *metrics, char why[ADMIN_WHY_MAX])
{
    uint64_t age_ns = monotonic_ns() - metrics->beat_ns;

    if (metrics->beat_ns && age_ns < metrics->stale_ns)
        return true;
    if (metrics->beat_ns)
        (void)snprintf(why, ADMIN_WHY_MAX, "the agent's loop has not come round for %llu s",
                       (unsigned long long)(age_ns / NS_PER_S));
    else
        (void)snprintf(why, ADMIN_WHY_MAX, "starting");
    return false;
}

static bool is_capturing(const struct agent_metrics *metrics, char why[ADMIN_WHY_MAX])
{
    if (!is_alive(metrics, why))
        return false;
    if (!metrics->status.ready) {
        (void)snprintf(why, ADMIN_WHY_MAX, "%s", metrics->status.why);
        return false;
    }
    if (heartbeat_age_ns(metrics) >= HEARTBEAT_STALE_NS) {
        (void)snprintf(why, ADMIN_WHY_MAX, "the heartbeat in the maps stands still");
        return false;
    }
    return true;
}

static bool is_live(void *context, char why[ADMIN_WHY_MAX])
{
    struct agent_metrics *metrics = context;
    bool live;

    (void)pthread_mutex_lock(&metrics->mutex);
    live = is_alive(metrics, why);
    (void)pthread_mutex_unlock(&metrics->mutex);
    return live;
}

static bool is_ready(void *context, char why[ADMIN_WHY_MAX])
{
    struct agent_metrics *metrics = context;
    bool ready;

    (void)pthread_mutex_lock(&metrics->mutex);
    ready = is_capturing(metrics, why);
    (void)pthread_mutex_unlock(&metrics->mutex);
    return ready;
}

/* --- the page --------------------------------------------------------------------------------- */

static void write_one(struct metric_page *page, const char *name, enum metric_kind kind,
                      const char *help, uint64_t value)
{
    metric_family(page, name, kind, help);
    metric_u64(page, name, NULL, value);
}

static void write_info(const struct agent_metrics *metrics, struct metric_page *page)
{
    const struct node_status *status = &metrics->status;
    const struct metric_label build[] = {
        {"version", VERSION_TEXT}, {"commit", VERSION_COMMIT}, {NULL, NULL}};
    const struct metric_label capture[] = {
        {"mode", metrics->mode},
        {"state", status->tracked ? "tracked" : "captured"},
        {"reason", status->why_untracked},
        {"set", metrics->set},
        {NULL, NULL},
    };

    metric_family(page, "synauthz_build_info", METRIC_GAUGE, "What this program is; always 1.");
    metric_u64(page, "synauthz_build_info", build, 1);
    metric_family(page, "synauthz_capture_info", METRIC_GAUGE,
                  "How SYNs are captured, and why not tracked; always 1.");
    metric_u64(page, "synauthz_capture_info", capture, 1);
}

static void write_hooks(const struct agent_metrics *metrics, struct metric_page *page)
{
    const struct node_status *status = &metrics->status;

    metric_family(page, "synauthz_attach_state", METRIC_GAUGE,
                  "1: attached; 0: should be.  The device, or the control group's path.");
    for (size_t i = 0; i < status->hook_count; i++) {
        const struct node_hook *hook = &status->hooks[i];
        const struct metric_label labels[] = {
            {"hook", NODE_HOOK_NAMES[hook->kind]}, {"device", hook->target}, {NULL, NULL}};

        metric_u64(page, "synauthz_attach_state", labels, hook->attached);
    }
    write_one(page, "synauthz_attach_failures_total", METRIC_COUNTER,
              "Hooks that could not be attached, each try.", status->attach_failures);
    write_one(page, "synauthz_device_losses_total", METRIC_COUNTER,
              "Hooks that went with their device.", status->device_losses);
    write_one(page, "synauthz_repairs_total", METRIC_COUNTER,
              "Hooks and pins that somebody had removed and that were put back.", status->repairs);
}

static void write_health(struct agent_metrics *metrics, struct metric_page *page)
{
    const struct metric_label succeeded[] = {{"result", "ok"}, {NULL, NULL}};
    const struct metric_label failed[] = {{"result", "failed"}, {NULL, NULL}};
    char unused[ADMIN_WHY_MAX];

    write_one(page, "synauthz_ready", METRIC_GAUGE, "1: everything asked for is captured.",
              is_capturing(metrics, unused));
    metric_family(page, "synauthz_heartbeat_age_seconds", METRIC_GAUGE,
                  "Since the agent wrote its heartbeat into the maps.");
    metric_seconds(page, "synauthz_heartbeat_age_seconds", NULL, heartbeat_age_ns(metrics));
    metric_family(page, "synauthz_config_reloads_total", METRIC_COUNTER,
                  "Configurations read again on SIGHUP.");
    metric_u64(page, "synauthz_config_reloads_total", succeeded, metrics->reloads[true]);
    metric_u64(page, "synauthz_config_reloads_total", failed, metrics->reloads[false]);
    write_one(page, "synauthz_map_read_failures_total", METRIC_COUNTER,
              "Reads of a map for this page that failed; what they were for is left out.",
              metrics->map_read_failures);
    write_one(page, "synauthz_map_bytes", METRIC_GAUGE,
              "Memory that the kernel keeps for the maps.", metrics->status.map_bytes);
}

static void write_page(void *context, struct metric_page *page)
{
    struct agent_metrics *metrics = context;
    struct capture_numbers numbers;
    unsigned failures;

    (void)pthread_mutex_lock(&metrics->mutex);
    failures = capture_numbers_read(metrics->maps, metrics->status.tracked, &numbers);
    metrics->map_read_failures += failures;
    write_info(metrics, page);
    write_health(metrics, page);
    write_hooks(metrics, page);
    (void)pthread_mutex_unlock(&metrics->mutex);
    capture_metrics_write(&numbers, page);
}

struct admin_pages agent_metrics_pages(struct agent_metrics *metrics)
{
    return (struct admin_pages){
        .context = metrics,
        .metrics = write_page,
        .is_live = is_live,
        .is_ready = is_ready,
    };
}
