/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_metrics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* Metrics without a kernel: no map is open. */
struct bench {
    struct capture_maps maps;
    struct agent_metrics *metrics;
    struct admin_pages pages;
};

static void bench_init_with(struct bench *bench, unsigned stale_ms)
{
    struct agent_metrics_config config = {.mode = "auto", .stale_ms = stale_ms};

    *bench = (struct bench){0};
    capture_maps_init(&bench->maps);
    config.maps = &bench->maps;
    assert_int_equal(agent_metrics_new(&config, &bench->metrics), 0);
    bench->pages = agent_metrics_pages(bench->metrics);
}

static void bench_init(struct bench *bench)
{
    bench_init_with(bench, 60000);
}

static char *page_of(struct bench *bench)
{
    struct metric_page page = {0};
    char *text;

    bench->pages.metrics(bench->pages.context, &page);
    assert_false(page.failed);
    text = strndup(page.text, page.length);
    metric_page_done(&page);
    return text;
}

static void assert_ready(struct bench *bench, bool wanted, const char *wanted_why)
{
    char why[ADMIN_WHY_MAX] = "";

    assert_int_equal(bench->pages.is_ready(bench->pages.context, why), wanted);
    assert_string_equal(why, wanted_why);
}

static void nothing_was_reported_yet(void **state)
{
    char why[ADMIN_WHY_MAX] = "";
    struct bench bench;

    (void)state;
    bench_init(&bench);
    assert_false(bench.pages.is_live(bench.pages.context, why));
    assert_string_equal(why, "starting");
    assert_ready(&bench, false, "starting");
    agent_metrics_freep(&bench.metrics);
}

static void readiness_follows_the_node_and_the_heartbeat(void **state)
{
    struct node_status status = {.ready = true, .tracked = true, .set = "v2"};
    char why[ADMIN_WHY_MAX] = "";
    struct bench bench;

    (void)state;
    bench_init(&bench);
    status.heartbeat_ns = boot_time_ns();
    agent_metrics_report(bench.metrics, &status);
    assert_true(bench.pages.is_live(bench.pages.context, why));
    assert_ready(&bench, true, "");

    status.ready = false;
    (void)snprintf(status.why, sizeof(status.why), "eth0 is not there");
    agent_metrics_report(bench.metrics, &status);
    assert_ready(&bench, false, "eth0 is not there");
    assert_true(bench.pages.is_live(bench.pages.context, why));

    status.ready = true;
    agent_metrics_report(bench.metrics, &status);
    assert_ready(&bench, true, "");

    status.heartbeat_ns -= HEARTBEAT_STALE_NS;
    agent_metrics_report(bench.metrics, &status);
    assert_ready(&bench, false, "the heartbeat in the maps stands still");
    agent_metrics_freep(&bench.metrics);
}

static void a_loop_that_stands_still_does_not_live(void **state)
{
    const struct node_status status = {.ready = true, .heartbeat_ns = boot_time_ns(), .set = "v2"};
    char why[ADMIN_WHY_MAX] = "";
    struct bench bench;

    (void)state;
    bench_init_with(&bench, 100);
    agent_metrics_report(bench.metrics, &status);
    assert_true(bench.pages.is_live(bench.pages.context, why));
    (void)usleep(110000);
    assert_false(bench.pages.is_live(bench.pages.context, why));
    assert_string_equal(why, "the agent's loop has not come round for 0 s");
    assert_ready(&bench, false, "the agent's loop has not come round for 0 s");
    agent_metrics_report(bench.metrics, &status);
    assert_true(bench.pages.is_live(bench.pages.context, why));
    agent_metrics_freep(&bench.metrics);
}

static void hooks_are_copied(void **state)
{
    struct node_hook hooks[] = {
        {.kind = NODE_HOOK_XDP_NATIVE, .target = "eth0", .attached = true},
        {.kind = NODE_HOOK_CGROUP, .target = "/sys/fs/cgroup/with\"quote"},
    };
    const struct node_status status = {.set = "v2-3",
                                       .hooks = hooks,
                                       .hook_count = 2,
                                       .attach_failures = 5,
                                       .device_losses = 6,
                                       .repairs = 7,
                                       .map_bytes = 8,
                                       .why_untracked = "no BTF"};
    struct bench bench;
    char *text;

    (void)state;
    bench_init(&bench);
    agent_metrics_report(bench.metrics, &status);
    memset(hooks, 'x', sizeof(hooks)); /* the node's own copy changes */
    text = page_of(&bench);
    assert_non_null(strstr(text, "synauthz_attach_state{hook=\"xdp\",device=\"eth0\"} 1\n"));
    assert_non_null(strstr(text, "synauthz_attach_state{hook=\"cgroup\",device=\"/sys/fs/cgroup/"
                                 "with\\\"quote\"} 0\n"));
    assert_non_null(strstr(text, "synauthz_capture_info{mode=\"auto\",state=\"captured\","
                                 "reason=\"no BTF\",set=\"v2-3\"} 1\n"));
    assert_non_null(strstr(text, "\nsynauthz_attach_failures_total 5\n"));
    assert_non_null(strstr(text, "\nsynauthz_device_losses_total 6\n"));
    assert_non_null(strstr(text, "\nsynauthz_repairs_total 7\n"));
    assert_non_null(strstr(text, "\nsynauthz_map_bytes 8\n"));
    assert_non_null(strstr(text, "\nsynauthz_ready 0\n"));
    free(text);
    agent_metrics_freep(&bench.metrics);
}

static void reads_that_fail_are_counted(void **state)
{
    const struct node_status status = {.set = "v2"};
    char wanted[80], *text;
    struct bench bench;

    (void)state;
    bench_init(&bench);
    agent_metrics_report(bench.metrics, &status);
    for (unsigned scrape = 1; scrape <= 3; scrape++) {
        text = page_of(&bench);
        (void)snprintf(wanted, sizeof(wanted), "\nsynauthz_map_read_failures_total %u\n",
                       scrape * 2 * SYN_HOOK_COUNT_);
        assert_non_null(strstr(text, wanted));
        assert_null(strstr(text, "synauthz_syn_seen_total{"));
        free(text);
    }
    agent_metrics_freep(&bench.metrics);
}

static void reloads_are_counted(void **state)
{
    struct bench bench;
    char *text;

    (void)state;
    bench_init(&bench);
    reload_log_note(&agent_metrics_config_page(bench.metrics)->reloads, 0, NULL);
    reload_log_note(&agent_metrics_config_page(bench.metrics)->reloads, -EINVAL,
                    &(struct diag){.text = "wrong"});
    reload_log_note(&agent_metrics_config_page(bench.metrics)->reloads, 0, NULL);
    text = page_of(&bench);
    assert_non_null(strstr(text, "synauthz_config_reloads_total{result=\"ok\"} 2\n"));
    assert_non_null(strstr(text, "synauthz_config_reloads_total{result=\"failed\"} 1\n"));
    free(text);
    agent_metrics_freep(&bench.metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_was_reported_yet),
        cmocka_unit_test(readiness_follows_the_node_and_the_heartbeat),
        cmocka_unit_test(a_loop_that_stands_still_does_not_live),
        cmocka_unit_test(hooks_are_copied),
        cmocka_unit_test(reads_that_fail_are_counted),
        cmocka_unit_test(reloads_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
