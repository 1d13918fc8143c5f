/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void the_load_at_the_start_is_no_reload(void **state)
{
    const int64_t before_s = (int64_t)time(NULL);
    struct reload_result result;
    struct reload_log log;

    (void)state;
    reload_log_init(&log);
    reload_log_get(&log, &result);
    assert_int_equal(result.succeeded, 0);
    assert_int_equal(result.failed, 0);
    assert_true(result.success_s >= before_s);
    assert_string_equal(result.error, "");
    reload_log_done(&log);
}

static void the_last_error_stands_until_a_success(void **state)
{
    struct diag diag = {.text = "unknown key"};
    struct reload_result result;
    struct reload_log log;

    (void)state;
    reload_log_init(&log);
    log.result.success_s = 1000;
    diag_set_file(&diag, "p.yaml");
    diag.place = (struct place){3, 5};
    reload_log_note(&log, -EINVAL, &diag);
    reload_log_get(&log, &result);
    assert_string_equal(result.error, "p.yaml:3:5: unknown key");
    assert_int_equal(result.success_s, 1000);
    assert_true(result.attempt_s > 1000);

    reload_log_note(&log, -ENOMEM, &(struct diag){0});
    reload_log_get(&log, &result);
    assert_string_equal(result.error, "Cannot allocate memory");
    assert_int_equal(result.failed, 2);

    reload_log_note(&log, 0, NULL);
    reload_log_get(&log, &result);
    assert_string_equal(result.error, "");
    assert_int_equal(result.succeeded, 1);
    assert_int_equal(result.success_s, result.attempt_s);
    reload_log_done(&log);
}

static void metrics_and_json_say_how_it_went(void **state)
{
    struct metric_page page = {0};
    struct reload_log log;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    reload_log_init(&log);
    reload_log_note(&log, -EINVAL, &(struct diag){.text = "a \"word\""});
    log.result.success_s = 951868800;
    log.result.attempt_s = 951868801;

    reload_log_write_metrics(&log, "x_policy", &page);
    assert_false(page.failed);
    page.text[page.length - 1] = '\0';
    assert_non_null(strstr(page.text, "\nx_policy_reloads_total{result=\"ok\"} 0\n"));
    assert_non_null(strstr(page.text, "\nx_policy_reloads_total{result=\"failed\"} 1\n"));
    assert_non_null(strstr(page.text, "\nx_policy_last_reload_successful 0\n"));
    assert_non_null(
        strstr(page.text, "\nx_policy_last_reload_success_timestamp_seconds 951868800"));
    metric_page_done(&page);

    reload_log_print_json(&log, out);
    (void)fclose(out);
    assert_string_equal(text, "{\"loaded\":\"2000-03-01T00:00:00Z\","
                              "\"reloads\":{\"ok\":0,\"failed\":1},"
                              "\"last\":{\"tried\":\"2000-03-01T00:00:01Z\","
                              "\"error\":\"a \\\"word\\\"\"}}");
    free(text);
    reload_log_done(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_load_at_the_start_is_no_reload),
        cmocka_unit_test(the_last_error_stands_until_a_success),
        cmocka_unit_test(metrics_and_json_say_how_it_went),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
