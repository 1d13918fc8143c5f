/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture_metrics.h"
#include "cleanup.h"
#include "json.h"
#include "program_metrics.h"

enum { NS_PER_S = 1000000000, NS_PER_MS = 1000000 };

struct agent_metrics {
    const char *mode;
    const struct capture_maps *maps;
    uint64_t stale_ns;

    struct config_page config;

    pthread_mutex_t mutex; /* of all below */
    uint64_t beat_ns;      /* CLOCK_MONOTONIC; 0: the loop has not begun */
    struct node_status status;
    struct node_hook *hooks; /* owned, status.hooks */
    char set[64];            /* status.set */
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
    config_page_init(&metrics->config);
    (void)pthread_mutex_init(&metrics->mutex, NULL); /* glibc's cannot fail */
    *ret_metrics = metrics;
    return 0;
}

void agent_metrics_freep(struct agent_metrics **metrics)
{
    if (!*metrics)
        return;
    config_page_done(&(*metrics)->config);
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

struct config_page *agent_metrics_config_page(struct agent_metrics *metrics)
{
    return &metrics->config;
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

static void write_info(const struct agent_metrics *metrics, struct metric_page *page)
{
    const struct node_status *status = &metrics->status;
    const struct metric_label capture[] = {
        {"mode", metrics->mode},
        {"state", status->tracked ? "tracked" : "captured"},
        {"reason", status->why_untracked},
        {"set", metrics->set},
        {NULL, NULL},
    };

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
    metric_counter(page, "synauthz_attach_failures_total",
                   "Hooks that could not be attached, each try.", status->attach_failures);
    metric_counter(page, "synauthz_device_losses_total", "Hooks that went with their device.",
                   status->device_losses);
    metric_counter(page, "synauthz_repairs_total",
                   "Hooks and pins that somebody had removed and that were put back.",
                   status->repairs);
}

static void write_health(struct agent_metrics *metrics, struct metric_page *page)
{
    char unused[ADMIN_WHY_MAX];

    metric_gauge(page, "synauthz_ready", "1: everything asked for is captured.",
                 is_capturing(metrics, unused));
    metric_family(page, "synauthz_heartbeat_age_seconds", METRIC_GAUGE,
                  "Since the agent wrote its heartbeat into the maps.");
    metric_seconds(page, "synauthz_heartbeat_age_seconds", NULL, heartbeat_age_ns(metrics));
    reload_log_write_metrics(&metrics->config.reloads, "synauthz_config", page);
    metric_counter(page, "synauthz_map_read_failures_total",
                   "Reads of a map for this page that failed; what they were for is left out.",
                   metrics->map_read_failures);
    metric_gauge(page, "synauthz_map_bytes", "Memory that the kernel keeps for the maps.",
                 metrics->status.map_bytes);
}

static void write_page(void *context, struct metric_page *page)
{
    struct agent_metrics *metrics = context;
    struct capture_numbers numbers;
    unsigned failures;

    program_metrics_write(page);
    (void)pthread_mutex_lock(&metrics->mutex);
    failures = capture_numbers_read(metrics->maps, metrics->status.tracked, &numbers);
    metrics->map_read_failures += failures;
    write_info(metrics, page);
    write_health(metrics, page);
    write_hooks(metrics, page);
    (void)pthread_mutex_unlock(&metrics->mutex);
    capture_metrics_write(&numbers, page);
}

/* --- /config ---------------------------------------------------------------------------------- */

static void print_hooks(const struct node_status *status, FILE *out)
{
    (void)fputs("[", out);
    for (size_t i = 0; i < status->hook_count; i++) {
        const struct node_hook *hook = &status->hooks[i];

        (void)fprintf(out, "%s{\"hook\":\"%s\",\"device\":", i > 0 ? "," : "",
                      NODE_HOOK_NAMES[hook->kind]);
        json_print_string(out, str_from(hook->target));
        (void)fprintf(out, ",\"attached\":%s}", hook->attached ? "true" : "false");
    }
    (void)fputs("]", out);
}

static void print_capture(const struct agent_metrics *metrics, FILE *out)
{
    const struct node_status *status = &metrics->status;
    char why[ADMIN_WHY_MAX] = "";
    const bool is_ready_now = is_capturing(metrics, why);

    (void)fprintf(out, "\"ready\":%s,\"why\":", is_ready_now ? "true" : "false");
    json_print_text_or_null(out, is_ready_now ? NULL : why);
    (void)fprintf(
        out, ",\"capture\":{\"tracked\":%s,\"why_untracked\":", status->tracked ? "true" : "false");
    json_print_text_or_null(out, status->why_untracked);
    (void)fputs(",\"set\":", out);
    json_print_text_or_null(out, metrics->set);
    (void)fputs(",\"hooks\":", out);
    print_hooks(status, out);
    (void)fputs("}", out);
}

static void print_config(void *context, FILE *out)
{
    struct agent_metrics *metrics = context;

    (void)fputs("{\"program\":", out);
    program_print_json("agent", out);
    (void)fputc(',', out);
    (void)pthread_mutex_lock(&metrics->mutex);
    print_capture(metrics, out);
    (void)pthread_mutex_unlock(&metrics->mutex);
    (void)fputc(',', out);
    config_page_print(&metrics->config, out);
    (void)fputc('}', out);
}

struct admin_pages agent_metrics_pages(struct agent_metrics *metrics)
{
    return (struct admin_pages){
        .context = metrics,
        .metrics = write_page,
        .config = print_config,
        .is_live = is_live,
        .is_ready = is_ready,
    };
}
