/* SPDX-License-Identifier: Apache-2.0 */
#include "program_metrics.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>


/* The value of a sample without labels; fails when there is none. */
static double value_of(const char *name)
{
    struct metric_page page = {0};
    char *text, *line, wanted[96];
    double value;

    program_metrics_write(&page);
    assert_false(page.failed);
    text = strndup(page.text, page.length);
    (void)snprintf(wanted, sizeof(wanted), "\n%s ", name);
    line = strstr(text, wanted);
    if (!line)
        fail_msg("no %s in\n%s", name, text);
    value = strtod(line + strlen(wanted), NULL);
    free(text);
    metric_page_done(&page);
    return value;
}

static void a_process_knows_its_own_measures(void **state)
{
    const double now = (double)time(NULL);
    const double fds = value_of("process_open_fds");
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(value_of("process_open_fds") == fds + 1);
    (void)close(fd);
    assert_true(value_of("process_open_fds") == fds);
    assert_true(value_of("process_max_fds") > fds);
    assert_true(value_of("process_resident_memory_bytes") > 1 << 20);
    assert_true(value_of("process_start_time_seconds") <= now + 1);
    assert_true(value_of("process_start_time_seconds") > now - 3600);
    assert_true(value_of("process_cpu_seconds_total") >= 0);
}

static void cpu_time_is_that_of_this_process(void **state)
{
    const double before = value_of("process_cpu_seconds_total");

    (void)state;
    while ((double)clock() / CLOCKS_PER_SEC < before + 0.05)
        ;
    assert_true(value_of("process_cpu_seconds_total") > before + 0.04);
}

static void the_build_is_named(void **state)
{
    struct metric_page page = {0};
    char *text;

    (void)state;
    program_metrics_write(&page);
    text = strndup(page.text, page.length);
    assert_non_null(strstr(text, "synauthz_build_info{version=\""));
    assert_non_null(strstr(text, "synauthz_library_info{library=\""));
    free(text);
    metric_page_done(&page);
}

static void json_names_the_verb(void **state)
{
    char *text = NULL, wanted[64];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    program_print_json("serve", out);
    (void)fclose(out);
    (void)snprintf(wanted, sizeof(wanted), ",\"verb\":\"serve\",\"pid\":%d}", (int)getpid());
    assert_non_null(strstr(text, "{\"version\":\""));
    assert_non_null(strstr(text, wanted));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_knows_its_own_measures),
        cmocka_unit_test(cpu_time_is_that_of_this_process),
        cmocka_unit_test(the_build_is_named),
        cmocka_unit_test(json_names_the_verb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
