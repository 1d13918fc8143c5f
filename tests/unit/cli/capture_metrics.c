/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* All that could be read; each counter of each hook and family has a value of its own. */
static struct capture_numbers numbers_of_all(void)
{
    struct capture_numbers numbers = {.tracked = true};

    for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
        for (int family = 0; family < FAMILY_COUNT_; family++) {
            numbers.is_read[hook][family] = true;
            for (int counter = 0; counter < COUNTER_COUNT_; counter++)
                numbers.counters[hook][family][counter] =
                    1000000u + (unsigned)(hook * 10000 + family * 1000 + counter);
        }
    for (int map = 0; map < MAP_COUNT_; map++)
        numbers.sizes[map] = 1024;
    return numbers;
}

/* The page as a terminated text; the caller frees it. */
static char *page_of(const struct capture_numbers *numbers)
{
    struct metric_page page = {0};
    char *text;

    capture_metrics_write(numbers, &page);
    assert_false(page.failed);
    text = strndup(page.text, page.length);
    metric_page_done(&page);
    return text;
}

static unsigned times_in(const char *text, const char *part)
{
    unsigned times = 0;

    for (const char *at = text; (at = strstr(at, part)); at++)
        times++;
    return times;
}

static bool is_of_the_tracker(int counter)
{
    return counter >= COUNTER_PROMOTED && counter != COUNTER_WATCH_LOST;
}

/* No counter is forgotten, none is said twice, each is said by who counts it. */
static void each_counter_is_on_the_page_once(void **state)
{
    struct capture_numbers numbers = numbers_of_all();
    char *text = page_of(&numbers);

    (void)state;
    for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
        for (int family = 0; family < FAMILY_COUNT_; family++)
            for (int counter = 0; counter < COUNTER_COUNT_; counter++) {
                char value[32];
                bool wanted = counter == COUNTER_WATCH_LOST ||
                              is_of_the_tracker(counter) == (hook == SYN_HOOK_NONE);

                (void)snprintf(value, sizeof(value), " %u\n",
                               1000000u + (unsigned)(hook * 10000 + family * 1000 + counter));
                if (times_in(text, value) != wanted)
                    fail_msg("counter %d of hook %d: %u times", counter, hook,
                             times_in(text, value));
            }
    free(text);
}

static void samples_have_hook_family_and_reason(void **state)
{
    struct capture_numbers numbers = numbers_of_all();
    char *text;

    (void)state;
    numbers.counters[SYN_HOOK_XDP][FAMILY_IPV6][COUNTER_SYN_SEEN] = 7;
    numbers.counters[SYN_HOOK_CGROUP][FAMILY_IPV4][COUNTER_SYN_RATE_SKIPPED] = 8;
    numbers.counters[SYN_HOOK_NONE][FAMILY_IPV4][COUNTER_LIVE_INSERT_FAILED] = 9;
    text = page_of(&numbers);
    assert_non_null(strstr(text, "synauthz_syn_seen_total{hook=\"xdp\",family=\"ipv6\"} 7\n"));
    assert_non_null(strstr(text, "synauthz_syn_skipped_total{hook=\"cgroup\",family=\"ipv4\","
                                 "reason=\"rate\"} 8\n"));
    assert_non_null(
        strstr(text, "synauthz_promotions_total{family=\"ipv4\",reason=\"live_full\"} 9\n"));
    free(text);
}

/* What a failed read was for is absent: a 0 would be a lie. */
static void what_was_not_read_is_left_out(void **state)
{
    struct capture_numbers numbers = numbers_of_all(), nothing = {.tracked = true};
    char *text;

    (void)state;
    numbers.is_read[SYN_HOOK_XDP][FAMILY_IPV4] = false;
    numbers.sizes[MAP_LIVE] = 0;
    text = page_of(&numbers);
    assert_null(strstr(text, "hook=\"xdp\",family=\"ipv4\""));
    assert_non_null(strstr(text, "hook=\"xdp\",family=\"ipv6\""));
    assert_null(strstr(text, "synauthz_map_entries{map=\"pending\"}")); /* a sum with a gap */
    assert_null(strstr(text, "synauthz_map_capacity{map=\"live\"}"));
    assert_non_null(strstr(text, "synauthz_map_capacity{map=\"pending\"} 1024\n"));
    free(text);

    text = page_of(&nothing);
    for (const char *line = text; *line; line = strchr(line, '\n') + 1)
        assert_int_equal(*line, '#');
    free(text);
}

static void entries_are_what_came_less_what_went(void **state)
{
    static const struct {
        uint64_t stored, taken;
        const char *entries, *evicted;
    } ROWS[] = {
        {0, 0, "0", "0"},         {500, 100, "400", "0"},    {1124, 100, "1024", "0"},
        {1125, 100, "1024", "1"}, {9000, 0, "1024", "7976"}, {5, 6, "0", "0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct capture_numbers numbers = numbers_of_all();
        char entries[80], evicted[80], *text;

        memset(numbers.counters, 0, sizeof(numbers.counters));
        numbers.counters[SYN_HOOK_TCX][FAMILY_IPV6][COUNTER_SYN_STORED] = ROWS[i].stored;
        numbers.counters[SYN_HOOK_NONE][FAMILY_IPV6][COUNTER_PENDING_TAKEN] = ROWS[i].taken;
        text = page_of(&numbers);
        (void)snprintf(entries, sizeof(entries), "synauthz_map_entries{map=\"pending\"} %s\n",
                       ROWS[i].entries);
        (void)snprintf(evicted, sizeof(evicted), "synauthz_pending_evictions_estimated %s\n",
                       ROWS[i].evicted);
        if (!strstr(text, entries) || !strstr(text, evicted))
            fail_msg("row %zu:\n%s", i, text);
        free(text);
    }
}

static void without_tracking_there_is_one_map_of_syns(void **state)
{
    struct capture_numbers numbers = numbers_of_all();
    char *text;

    (void)state;
    numbers.tracked = false;
    numbers.counters[SYN_HOOK_XDP][FAMILY_IPV4][COUNTER_SYN_STORED] = 5000000;
    text = page_of(&numbers);
    assert_non_null(strstr(text, "synauthz_map_entries{map=\"captured\"} 1024\n"));
    assert_null(strstr(text, "map=\"pending\""));
    assert_null(strstr(text, "map=\"live\""));
    assert_null(strstr(text, "\nsynauthz_pending_evictions_estimated "));
    free(text);
}

static void maps_that_are_not_open_are_failures(void **state)
{
    struct capture_numbers numbers;
    struct capture_maps maps;

    (void)state;
    capture_maps_init(&maps);
    assert_int_equal(capture_numbers_read(&maps, true, &numbers), SYN_HOOK_COUNT_ * FAMILY_COUNT_);
    for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
        assert_false(numbers.is_read[hook][FAMILY_IPV4] || numbers.is_read[hook][FAMILY_IPV6]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counter_is_on_the_page_once),
        cmocka_unit_test(samples_have_hook_family_and_reason),
        cmocka_unit_test(what_was_not_read_is_left_out),
        cmocka_unit_test(entries_are_what_came_less_what_went),
        cmocka_unit_test(without_tracking_there_is_one_map_of_syns),
        cmocka_unit_test(maps_that_are_not_open_are_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
