/* SPDX-License-Identifier: Apache-2.0 */
/* A server that nobody asks, and pins that are not there; what real agents and calls make of the
 * pages is tests/e2e/admin_capture.py and metrics.py. */
#include "serve_metrics.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "pin_source.h"
#include "policy_store.h"
#include "serve_settings.h"
#include "server.h"

struct fixture {
    char policy_path[64], spec[64];
    struct listener listener;
    struct policy_store *store;
    struct syn_source *pins;
    struct server *server;
    struct serve_orders orders;
    struct serve_metrics metrics;
    struct admin_pages pages;
};

static int write_policy(char path[64])
{
    FILE *file;

    (void)snprintf(path, 64, "/tmp/synauthz-serve-metrics-XXXXXX");
    file = fdopen(mkstemp(path), "w");
    if (!file)
        return -1;
    (void)fputs("version: 1\nrules: []\ndefault: deny\n", file);
    return fclose(file);
}

static int start(struct fixture *f)
{
    const struct server_config config = {
        .listeners = &f->listener,
        .listener_count = 1,
        .threads = 2,
        .store = f->store,
        .source = syn_source_none(),
    };
    struct diag diag = {0};
    int r = server_start(&config, &f->server, &diag);

    serve_metrics_init(&f->metrics);
    f->metrics.server = f->server;
    f->metrics.store = f->store;
    f->metrics.orders = &f->orders;
    f->orders.options.pin_dir = "/no/such/pins";
    f->orders.settings.source = SERVE_NONE;
    f->pages = serve_metrics_pages(&f->metrics);
    return r;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    const struct pin_source_config pins = {.pin_dir = "/no/such/pins"};
    struct diag diag = {0};

    *state = f;
    (void)snprintf(f->spec, sizeof(f->spec), "unix:@synauthz-serve-metrics-%d", getpid());
    if (write_policy(f->policy_path) < 0 ||
        policy_store_open(f->policy_path, &f->store, &diag) < 0 ||
        pin_source_open(&pins, &f->pins, &diag) < 0 ||
        listener_open(str_from(f->spec), &f->listener, &diag) < 0)
        return -1;
    return start(f);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    server_stop(f->server, 0);
    serve_metrics_done(&f->metrics);
    listener_done(&f->listener);
    syn_source_freep(&f->pins);
    policy_store_freep(&f->store);
    (void)unlink(f->policy_path);
    free(f);
    return 0;
}

/* As text; the caller frees. */
static char *page_of(struct fixture *f)
{
    struct metric_page page = {0};
    char *text;

    f->pages.metrics(f->pages.context, &page);
    assert_false(page.failed);
    text = strndup(page.text, page.length);
    metric_page_done(&page);
    return text;
}

static void without_pins_to_wait_for_it_is_ready(void **state)
{
    struct fixture *f = *state;
    char why[ADMIN_WHY_MAX] = "";

    assert_true(f->pages.is_live(f->pages.context, why));
    assert_true(f->pages.is_ready(f->pages.context, why));
    assert_true(serve_has_capture(&f->metrics, why));
    assert_string_equal(why, "");
}

static void pins_that_are_not_there_are_capture_absent(void **state)
{
    struct fixture *f = *state;
    char why[ADMIN_WHY_MAX] = "";

    f->metrics.pins = f->pins;
    assert_true(f->pages.is_live(f->pages.context, why));
    assert_false(f->pages.is_ready(f->pages.context, why));
    assert_int_equal(strncmp(why, "capture_absent: /no/such/pins ", 30), 0);
    assert_false(serve_has_capture(&f->metrics, why));
}

static void told_to_end_it_is_live_but_not_ready(void **state)
{
    struct fixture *f = *state;
    char why[ADMIN_WHY_MAX] = "";

    atomic_store(&f->metrics.is_draining, true);
    assert_true(f->pages.is_live(f->pages.context, why));
    assert_false(f->pages.is_ready(f->pages.context, why));
    assert_string_equal(why, "draining: the server was told to end");
}

static void a_loop_that_has_not_come_round_is_not_live(void **state)
{
    struct fixture *f = *state;
    char why[ADMIN_WHY_MAX] = "";

    beat_now(&f->metrics.loop);
    assert_true(f->pages.is_live(f->pages.context, why));
    atomic_store(&f->metrics.loop.at_ms, beat_clock_ms() - 61000);
    assert_false(f->pages.is_live(f->pages.context, why));
    assert_string_equal(why, "the loop that reads signals has not come round for 61 s");
    assert_false(f->pages.is_ready(f->pages.context, why));
}

static void a_page_has_what_can_be_counted_from_the_start(void **state)
{
    static const char *const LINES[] = {
        "synauthz_ready 1\n",
        "synauthz_policy_info{policy=\"default\",revision=\"",
        "synauthz_policy_reloads_total{result=\"failed\"} 1\n",
        "synauthz_policy_last_reload_successful 0\n",
        "synauthz_config_reloads_total{result=\"ok\"} 2\n",
        "synauthz_config_last_reload_successful 1\n",
        "synauthz_checks_total{verdict=\"allow\",reason=\"rule\",mode=\"enforce\"} 0\n",
        "synauthz_checks_total{verdict=\"allow\",reason=\"rule\",mode=\"shadow\"} 0\n",
        "synauthz_checks_total{verdict=\"error\",reason=\"late\",mode=\"enforce\"} 0\n",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "synauthz_check_latency_microseconds_bucket{le=\"65536\"} 0\n",
        "synauthz_check_latency_microseconds_count 0\n",
        "synauthz_rules_fired_total{policy=\"(other)\",rule=\"(other)\"} 0\n",
        "synauthz_lookups_total{state=\"verified\",reason=\"\"} 0\n",
        "synauthz_lookups_total{state=\"missing\",reason=\"not_seen\"} 0\n",
        "synauthz_lookups_total{state=\"unsupported\",reason=\"proxy_protocol\"} 0\n",
        "synauthz_peer_header_total{result=\"used\"} 0\n",
        "synauthz_peer_header_total{result=\"ignored_verified\"} 0\n",
        "synauthz_peer_header_total{result=\"absent\"} 0\n",
        "synauthz_calls_in_flight 0\n",
    };
    struct fixture *f = *state;
    char *page;

    reload_log_note(&f->metrics.policy_reloads, -EINVAL, &(struct diag){.text = "wrong"});
    reload_log_note(&f->metrics.config.reloads, 0, NULL);
    reload_log_note(&f->metrics.config.reloads, 0, NULL);
    page = page_of(f);
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++)
        if (!strstr(page, LINES[i]))
            fail_msg("no `%s` in\n%s", LINES[i], page);
    assert_null(strstr(page, "synauthz_pins_"));
    free(page);
}

/* What is not known is left out, never 0. */
static void of_pins_that_are_not_there_only_that_is_said(void **state)
{
    struct fixture *f = *state;
    char *page;

    f->metrics.pins = f->pins;
    page = page_of(f);
    assert_non_null(strstr(page, "synauthz_ready 0\n"));
    assert_non_null(strstr(page, "synauthz_pins_state{state=\"absent\"} 1\n"));
    assert_non_null(strstr(page, "synauthz_pins_state{state=\"fresh\"} 0\n"));
    assert_non_null(strstr(page, "synauthz_pins_swaps_total 0\n"));
    assert_null(strstr(page, "synauthz_heartbeat_age_seconds"));
    assert_null(strstr(page, "synauthz_pins_tracked"));
    free(page);
}

static char *config_of(struct fixture *f)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    f->pages.config(f->pages.context, out);
    (void)fclose(out);
    return text;
}

static void config_says_what_is_in_use(void **state)
{
    struct fixture *f = *state;
    const char *const parts[] = {
        "\"verb\":\"serve\",",
        "\"ready\":false,\"why\":\"capture_absent: /no/such/pins ",
        "\"listeners\":[],\"policy\":{\"name\":\"default\",\"file\":\"/tmp/",
        "\",\"rules\":0,\"databases\":",
        "\"error\":\"a tab\"}}}",
        "\"tls\":null,",
        "\"source\":{\"kind\":\"pins\",\"pin_dir\":\"/no/such/pins\",\"state\":\"absent\",",
        "\"tracked\":null,\"heartbeat_age_ms\":null,",
        "\"settings\":null,",
    };
    char *text;

    f->metrics.pins = f->pins;
    f->orders.settings.source = SERVE_PINS;
    reload_log_note(&f->metrics.policy_reloads, -EINVAL, &(struct diag){.text = "a tab"});
    text = config_of(f);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        if (!strstr(text, parts[i]))
            fail_msg("no %s in\n%s", parts[i], text);
    free(text);
}

#define METRICS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        METRICS_TEST(without_pins_to_wait_for_it_is_ready),
        METRICS_TEST(pins_that_are_not_there_are_capture_absent),
        METRICS_TEST(told_to_end_it_is_live_but_not_ready),
        METRICS_TEST(a_loop_that_has_not_come_round_is_not_live),
        METRICS_TEST(a_page_has_what_can_be_counted_from_the_start),
        METRICS_TEST(of_pins_that_are_not_there_only_that_is_said),
        METRICS_TEST(config_says_what_is_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
