/* SPDX-License-Identifier: Apache-2.0 */
/* What doctor finds out in this machine's kernel; what it says of worse ones is
 * tests/e2e/doctor.py's. */
#include "probe.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "capture_maps.h"
#include "map_memory.h"
#include "objects.h"
#include "pin_reader.h"
#include "probe_parts.h"

static void fill_alias(const struct capture_maps *maps, uint32_t entries)
{
    static const struct alias_entry ENTRY;
    struct tuple_key key = {.family = 4};

    for (uint32_t i = 0; i < entries; i++) {
        memcpy(key.source, &i, sizeof(i));
        assert_int_equal(bpf_map_update_elem(maps->fd[MAP_ALIAS], &key, &ENTRY, BPF_ANY), 0);
    }
}

static void fill_crowd(const struct capture_maps *maps, uint32_t entries)
{
    static const struct crowd_member MEMBER;

    for (struct crowd_key key = {.cookie = 0}; key.cookie < entries; key.cookie++)
        assert_int_equal(bpf_map_update_elem(maps->fd[MAP_CROWD], &key, &MEMBER, BPF_ANY), 0);
}

static void fill_prefixes(const struct capture_maps *maps)
{
    static const uint8_t PRESENT = 1;
    struct prefix_key key = {.bits = 128};

    for (uint32_t i = 0; i < PREFIXES_MAX; i++) {
        memcpy(key.address, &i, sizeof(i));
        assert_int_equal(bpf_map_update_elem(maps->fd[MAP_PREFIXES], &key, &PRESENT, BPF_ANY), 0);
    }
}

/* It says before any map is made what they would take when they are full. */
static void the_bytes_that_are_foretold_are_those_that_the_kernel_counts(void **state)
{
    static const struct map_sizes ROWS[] = {
        {.pending = NODE_PENDING_DEFAULT, .live = NODE_LIVE_DEFAULT},
        {.pending = 1000, .live = 5000},
        {.pending = 200000, .live = 1000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        uint64_t foretold =
            probe_map_bytes(ROWS[i].pending, ROWS[i].live, (unsigned)sysconf(_SC_NPROCESSORS_CONF));
        struct capture_maps maps;
        uint64_t counted;

        capture_maps_init(&maps);
        assert_int_equal(objects_make_maps(&ROWS[i], &maps, NULL), 0);
        fill_alias(&maps, ROWS[i].live);
        fill_crowd(&maps, ROWS[i].live);
        fill_prefixes(&maps);
        counted = map_memory_used(&maps);
        if (foretold < counted - counted / 50 || foretold > counted + counted / 10)
            fail_msg("row %zu: foretold %llu, counted %llu", i, (unsigned long long)foretold,
                     (unsigned long long)counted);
        capture_maps_close(&maps);
    }
}

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    assert_int_equal(closedir(folder), 0);
    return count;
}

static void probing_holds_nothing_and_moves_nobody(void **state)
{
    const struct probe_config config = {.pin_dir = PIN_DIR_DEFAULT};
    struct probe_report *report = calloc(1, sizeof(*report));
    char before[64] = "", after[64] = "";
    unsigned descriptors;

    (void)state;
    assert_non_null(report);
    probe_host(&config, report); /* libraries may keep something of the first time */
    descriptors = count_descriptors();
    assert_true(readlink("/proc/self/ns/net", before, sizeof(before) - 1) > 0);
    probe_host(&config, report);
    assert_true(readlink("/proc/self/ns/net", after, sizeof(after) - 1) > 0);
    assert_int_equal(count_descriptors(), descriptors);
    assert_string_equal(before, after);
    for (int kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        assert_int_equal(report->hooks[kind].ok, PROBE_YES);
    assert_int_equal(report->tracking.ok, PROBE_YES);
    free(report);
}

static int tell_namespace(void *context)
{
    char *name = context;

    assert_true(readlink("/proc/thread-self/ns/net", name, 63) > 0);
    return if_nametoindex("lo") == 1 ? -7 : -8;
}

static void a_task_runs_in_a_network_of_its_own(void **state)
{
    char inside[64] = "", outside[64] = "";
    bool ran;

    (void)state;
    assert_int_equal(probe_in_own_network(tell_namespace, inside, &ran), -7);
    assert_true(ran);
    assert_true(readlink("/proc/self/ns/net", outside, sizeof(outside) - 1) > 0);
    assert_string_not_equal(inside, outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_that_are_foretold_are_those_that_the_kernel_counts),
        cmocka_unit_test(probing_holds_nothing_and_moves_nobody),
        cmocka_unit_test(a_task_runs_in_a_network_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
