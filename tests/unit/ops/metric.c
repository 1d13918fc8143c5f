/* SPDX-License-Identifier: Apache-2.0 */
#include "metric.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "failing_memory.h"

static void assert_page(struct metric_page *page, const char *wanted)
{
    assert_false(page->failed);
    assert_int_equal(page->length, strlen(wanted));
    assert_memory_equal(page->text, wanted, page->length);
    metric_page_done(page);
}

static void a_family_is_said_once_and_has_samples(void **state)
{
    struct metric_page page = {0};

    (void)state;
    metric_family(&page, "x_syns_total", METRIC_COUNTER, "SYNs that were seen");
    metric_u64(&page, "x_syns_total",
               (struct metric_label[]){{"hook", "xdp"}, {"family", "4"}, {0}}, UINT64_MAX);
    metric_u64(&page, "x_syns_total", (struct metric_label[]){{0}}, 0);
    metric_family(&page, "x_age_seconds", METRIC_GAUGE, "how old");
    metric_seconds(&page, "x_age_seconds", NULL, 1500000002);
    assert_page(&page, "# HELP x_syns_total SYNs that were seen\n"
                       "# TYPE x_syns_total counter\n"
                       "x_syns_total{hook=\"xdp\",family=\"4\"} 18446744073709551615\n"
                       "x_syns_total 0\n"
                       "# HELP x_age_seconds how old\n"
                       "# TYPE x_age_seconds gauge\n"
                       "x_age_seconds 1.500000002\n");
}

static void a_histogram_is_cumulative(void **state)
{
    static const uint64_t BOUNDS[] = {10, 25, 50}, COUNTS[] = {3, 0, 2, 1};
    const struct metric_buckets buckets = {BOUNDS, COUNTS, 3, 1234};
    struct metric_page page = {0};

    (void)state;
    metric_family(&page, "x_microseconds", METRIC_HISTOGRAM, "how long");
    metric_histogram(&page, "x_microseconds", NULL, &buckets);
    metric_histogram(&page, "x_microseconds", (struct metric_label[]){{"a", "b"}, {0}},
                     &(struct metric_buckets){BOUNDS, COUNTS, 0, 5});
    assert_page(&page, "# HELP x_microseconds how long\n"
                       "# TYPE x_microseconds histogram\n"
                       "x_microseconds_bucket{le=\"10\"} 3\n"
                       "x_microseconds_bucket{le=\"25\"} 3\n"
                       "x_microseconds_bucket{le=\"50\"} 5\n"
                       "x_microseconds_bucket{le=\"+Inf\"} 6\n"
                       "x_microseconds_sum 1234\n"
                       "x_microseconds_count 6\n"
                       "x_microseconds_bucket{a=\"b\",le=\"+Inf\"} 3\n"
                       "x_microseconds_sum{a=\"b\"} 5\n"
                       "x_microseconds_count{a=\"b\"} 3\n");
}

static void values_cannot_leave_their_quotes(void **state)
{
    static const struct {
        const char *value, *written;
    } ROWS[] = {
        {"", ""},
        {"eth0.7", "eth0.7"},
        {"a\"b\\c\nd", "a\\\"b\\\\c\\nd"},
        {"tab\tbell\a\x7f", "tab?bell??"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"no utf-8: \xff\xc3", "no utf-8: ??"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct metric_page page = {0};
        char wanted[128];

        metric_u64(&page, "x", (struct metric_label[]){{"a", ROWS[i].value}, {0}}, 7);
        (void)snprintf(wanted, sizeof(wanted), "x{a=\"%s\"} 7\n", ROWS[i].written);
        assert_page(&page, wanted);
    }
}

static void write_long(struct metric_page *page)
{
    for (unsigned i = 0; i < 2000; i++)
        metric_u64(page, "x_things_total", (struct metric_label[]){{"a", "value"}, {0}}, i);
}

static void a_page_grows(void **state)
{
    struct metric_page page = {0};

    (void)state;
    write_long(&page);
    assert_false(page.failed);
    assert_true(page.length > 2000 * strlen("x_things_total{a=\"value\"} 1\n"));
    assert_memory_equal(page.text + page.length - 6, " 1999\n", 6);
    metric_page_done(&page);
    assert_null(page.text);
}

/* Each allocation in turn: the page is then empty and stays so, whatever is written behind. */
static void without_memory_there_is_no_half_page(void **state)
{
    size_t failing = 0, live = failing_memory.live;

    (void)state;
    for (;; failing++) {
        struct metric_page page = {0};
        bool failed;

        failing_memory_arm(failing, false);
        write_long(&page);
        failed = failing_memory_disarm();
        assert_int_equal(page.failed, failed);
        if (failed) {
            assert_null(page.text);
            assert_int_equal(page.length, 0);
        }
        metric_page_done(&page);
        assert_int_equal(failing_memory.live, live);
        if (!failed)
            break;
    }
    assert_true(failing > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_family_is_said_once_and_has_samples),
        cmocka_unit_test(a_histogram_is_cumulative),
        cmocka_unit_test(values_cannot_leave_their_quotes),
        cmocka_unit_test(a_page_grows),
        cmocka_unit_test(without_memory_there_is_no_half_page),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
