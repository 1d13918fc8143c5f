/* SPDX-License-Identifier: Apache-2.0 */
/* The limiter of SYNs: it stops a source that sends too many, and nobody can turn it against
 * others (record.h, struct limiter). */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hookset.h"
#include "packet.h"

enum {
    LIMIT = 8,
    TRIES = 20,
    IP4_SOURCE = PARSE_ETH_SIZE + PARSE_IP4_SOURCE,
    IP4_TCP = PARSE_ETH_SIZE + PARSE_IP4_SIZE,
    IP6_SOURCE = PARSE_ETH_SIZE + PARSE_IP6_SOURCE,
    IP6_TCP = PARSE_ETH_SIZE + PARSE_IP6_SIZE,
};

static const struct capture_config LIMITED = {.enabled = 1, .tracked = 1, .syn_rate = LIMIT};
static const struct capture_secret SECRET = {.seed = 0x5eed5eed5eed5eed};

/* Everything of one test happens on one CPU and within one second of the limiter's. */
struct scene {
    struct hookset set;
    int cpu;
    uint64_t second;
    uint8_t frame4[FRAME_MAX], frame6[FRAME_MAX];
    size_t length4, length6;
    uint32_t isn;
};

static struct limiter limiter_of(const struct scene *scene)
{
    int cpus = libbpf_num_possible_cpus();
    struct limiter *all = calloc((size_t)cpus, sizeof(*all)), own;

    assert_non_null(all);
    assert_int_equal(bpf_map_lookup_elem(scene->set.maps.fd[MAP_LIMITER], &(uint32_t){0}, all), 0);
    own = all[scene->cpu];
    free(all);
    return own;
}

static uint64_t boot_tick(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) >> LIMITER_TICK_SHIFT;
}

static uint64_t boot_second(void)
{
    return boot_tick() >> (30 - LIMITER_TICK_SHIFT);
}

static void wait_for_a_new_second(struct scene *scene)
{
    uint64_t before = boot_second();
    const struct timespec step = {.tv_nsec = 1000000};

    while (boot_second() == before)
        (void)nanosleep(&step, NULL);
    scene->second = boot_second();
}

static void scene_make(struct scene *scene, const struct capture_config *config)
{
    static const struct segment SYN4 = {.source = "198.51.100.1",
                                        .destination = "192.0.2.1",
                                        .source_port = 40000,
                                        .destination_port = 443,
                                        .flags = FLAG_SYN,
                                        .mss = 1460};
    struct segment syn6 = SYN4;
    cpu_set_t one;

    scene->cpu = sched_getcpu();
    CPU_ZERO(&one);
    CPU_SET((size_t)scene->cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    hookset_make_with(&scene->set, NULL, config, NULL);
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_SECRET], &(uint32_t){0}, &SECRET, BPF_ANY), 0);
    syn6.source = "2001:db8::1";
    syn6.destination = "2001:db8:ffff::1";
    scene->length4 = segment_build(&SYN4, scene->frame4);
    scene->length6 = segment_build(&syn6, scene->frame6);
    scene->isn = 1;
    wait_for_a_new_second(scene);
}

static void scene_done(struct scene *scene)
{
    hookset_done(&scene->set);
}

/* Has all been in time, within the first tick where that matters?  If not, the test is run again.
 */
static bool is_over_in_time(const struct scene *scene, const struct capture_config *config)
{
    return config->calm_syns ? boot_tick() == scene->second << (30 - LIMITER_TICK_SHIFT)
                             : boot_second() == scene->second;
}

/* A new SYN of this source; true when it has been stored. */
static bool send4(struct scene *scene, uint32_t source)
{
    uint64_t before = hookset_counter(&scene->set, SYN_HOOK_XDP, COUNTER_SYN_STORED);
    uint32_t source_be = htonl(source), isn_be = htonl(scene->isn++);

    memcpy(scene->frame4 + IP4_SOURCE, &source_be, sizeof(source_be));
    memcpy(scene->frame4 + IP4_TCP + PARSE_TCP_SEQUENCE, &isn_be, sizeof(isn_be));
    hookset_run(&scene->set, SYN_HOOK_XDP, scene->frame4, scene->length4);
    return hookset_counter(&scene->set, SYN_HOOK_XDP, COUNTER_SYN_STORED) != before;
}

static bool send6(struct scene *scene, uint32_t network, uint32_t host)
{
    uint64_t before = hookset_counter(&scene->set, SYN_HOOK_XDP, COUNTER_SYN_STORED);
    uint32_t network_be = htonl(network), host_be = htonl(host), isn_be = htonl(scene->isn++);

    memcpy(scene->frame6 + IP6_SOURCE + 4, &network_be, sizeof(network_be));
    memcpy(scene->frame6 + IP6_SOURCE + 12, &host_be, sizeof(host_be));
    memcpy(scene->frame6 + IP6_TCP + PARSE_TCP_SEQUENCE, &isn_be, sizeof(isn_be));
    hookset_run(&scene->set, SYN_HOOK_XDP, scene->frame6, scene->length6);
    return hookset_counter(&scene->set, SYN_HOOK_XDP, COUNTER_SYN_STORED) != before;
}

/* Runs `body` until it was done within one second; it returns what it found, which is checked by
 * `check` then. */
struct finding {
    unsigned stored, skipped, others;
    uint64_t counted_skipped, counted_allowed, counted_conflicts;
    struct limiter limiter;
};

static struct finding within_a_second(const struct capture_config *config,
                                      void (*body)(struct scene *scene, struct finding *finding))
{
    for (int i = 0; i < TRIES; i++) {
        static struct scene scene;
        struct finding finding = {0};
        bool in_time;

        scene_make(&scene, config);
        body(&scene, &finding);
        in_time = is_over_in_time(&scene, config);
        finding.counted_skipped =
            hookset_counter(&scene.set, SYN_HOOK_XDP, COUNTER_SYN_RATE_SKIPPED);
        finding.counted_allowed =
            hookset_counter(&scene.set, SYN_HOOK_XDP, COUNTER_SYN_RATE_ALLOWED);
        finding.counted_conflicts = hookset_counter(&scene.set, SYN_HOOK_XDP, COUNTER_SYN_CONFLICT);
        finding.limiter = limiter_of(&scene);
        scene_done(&scene);
        if (in_time)
            return finding;
    }
    fail_msg("this machine is too slow for the test");
    return (struct finding){0};
}

static void count(struct finding *finding, bool stored)
{
    finding->stored += stored;
    finding->skipped += !stored;
}

/* --- */

static void send_100_of_one(struct scene *scene, struct finding *finding)
{
    for (int i = 0; i < 100; i++)
        count(finding, send4(scene, 0xc6336401));
}

static void nobody_is_skipped_while_it_is_calm(void **state)
{
    struct capture_config config = LIMITED;
    struct finding finding;

    (void)state;
    config.calm_syns = 100;
    finding = within_a_second(&config, send_100_of_one);
    assert_int_equal(finding.stored, 100);
    assert_int_equal(finding.counted_skipped, 0);
    assert_int_equal(finding.counted_allowed, 0);
    assert_int_equal(finding.limiter.stored_by_all + finding.limiter.stored_since, 100);

    config.calm_syns = 60;
    finding = within_a_second(&config, send_100_of_one);
    assert_int_equal(finding.stored, 60);
    assert_int_equal(finding.counted_skipped, 40);
}

/* A flood would only overwrite the last ISNs. */
static void other_isns_of_a_source_are_noted_while_it_is_calm(void **state)
{
    struct capture_config config = LIMITED;

    (void)state;
    config.syn_rate = 1000;
    config.calm_syns = 60;
    assert_int_equal(within_a_second(&config, send_100_of_one).counted_conflicts, 59);
}

static void without_a_limit_nobody_is_skipped(void **state)
{
    struct capture_config config = LIMITED;

    (void)state;
    config.syn_rate = 0;
    assert_int_equal(within_a_second(&config, send_100_of_one).stored, 100);
    config.syn_rate = LIMITER_MAX + 1;
    assert_int_equal(within_a_second(&config, send_100_of_one).stored, 100);
}

static void send_of_one_and_of_others(struct scene *scene, struct finding *finding)
{
    send_100_of_one(scene, finding);
    for (uint32_t i = 0; i < 100 * LIMIT / 2; i++)
        finding->others += send4(scene, 0xcb007101 + i % 100);
}

static void source_over_its_limit_is_skipped_and_others_are_not(void **state)
{
    struct finding finding = within_a_second(&LIMITED, send_of_one_and_of_others);

    (void)state;
    assert_int_equal(finding.stored, LIMIT);
    assert_int_equal(finding.skipped, 100 - LIMIT);
    assert_int_equal(finding.counted_skipped, 100 - LIMIT);
    assert_int_equal(finding.others, 100 * LIMIT / 2);
    assert_int_equal(finding.counted_allowed, LIMIT + 100 * LIMIT / 2);
}

static void send_of_one_network(struct scene *scene, struct finding *finding)
{
    for (uint32_t i = 0; i < 100; i++)
        count(finding, send6(scene, 1, i));
    for (uint32_t i = 0; i < 100; i++)
        finding->others += send6(scene, 2 + i, 1);
}

static void addresses_of_one_64_are_one_source(void **state)
{
    struct finding finding = within_a_second(&LIMITED, send_of_one_network);

    (void)state;
    assert_int_equal(finding.stored, LIMIT);
    assert_int_equal(finding.others, 100);
}

static void send_in_two_seconds(struct scene *scene, struct finding *finding)
{
    send_100_of_one(scene, finding);
    wait_for_a_new_second(scene);
    send_100_of_one(scene, finding);
}

static void each_second_begins_anew(void **state)
{
    (void)state;
    assert_int_equal(within_a_second(&LIMITED, send_in_two_seconds).stored, 2 * LIMIT);
}

/* --- attacks on the limiter itself --- */

static uint32_t next_source(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state;
}

/* More busy sources than the cells can tell apart. */
static void send_of_too_many(struct scene *scene, struct finding *finding)
{
    uint32_t random = 1;

    for (int i = 0; i < LIMITER_CELLS; i++)
        (void)send4(scene, next_source(&random));
    for (int i = 0; i < 100; i++)
        count(finding, send4(scene, 0xc6336401));
}

static void floods_of_random_sources_switch_the_limiter_off_for_all(void **state)
{
    struct capture_config config = LIMITED;
    struct finding finding;

    (void)state;
    config.syn_rate = 2; /* half of it is one */
    finding = within_a_second(&config, send_of_too_many);
    for (int row = 0; row < LIMITER_ROWS; row++)
        assert_true(finding.limiter.crowded[row] >= LIMITER_CELLS / 4);
    assert_int_equal(finding.stored, 100);
    assert_int_equal(finding.counted_skipped, 0);
}

enum { BUSY = 450, INNOCENT = 1000 };

/* As many busy sources as there can be while the limiter is in force, then clients. */
static void send_of_nearly_too_many(struct scene *scene, struct finding *finding)
{
    uint32_t random = 1;

    for (int i = 0; i < BUSY; i++) {
        uint32_t source = next_source(&random);

        for (int j = 0; j < LIMIT; j++)
            (void)send4(scene, source);
    }
    for (int i = 0; i < INNOCENT; i++)
        count(finding, send4(scene, next_source(&random)));
}

static void busy_sources_cost_others_no_more_than_was_promised(void **state)
{
    struct finding finding = within_a_second(&LIMITED, send_of_nearly_too_many);

    (void)state;
    for (int row = 0; row < LIMITER_ROWS; row++)
        assert_in_range(finding.limiter.crowded[row], BUSY / 2, LIMITER_CELLS / 4 - 1);
    print_message("%u of %d clients were skipped\n", finding.skipped, INNOCENT);
    assert_true(finding.skipped <= INNOCENT / 64);
}

/* --- what an attacker can do to a source whose address he uses --- */

static const uint32_t VICTIM = 0xc6336401;
enum { FLOOD = 300, OWN = 20, BYSTANDERS = 100 };

/* A flood from the victim's address; then the victim itself, and clients with other addresses. */
static void flood_from_the_victim_s_address(struct scene *scene, struct finding *finding)
{
    for (int i = 0; i < FLOOD; i++)
        (void)send4(scene, VICTIM);
    for (int i = 0; i < OWN; i++)
        count(finding, send4(scene, VICTIM));
    for (uint32_t i = 0; i < BYSTANDERS; i++)
        finding->others += send4(scene, 0xcb007101 + i);
}

static void nobody_is_skipped_for_a_flood_that_the_map_has_room_for(void **state)
{
    struct capture_config config = LIMITED;
    struct finding finding;

    (void)state;
    config.calm_syns = FLOOD + OWN + BYSTANDERS;
    finding = within_a_second(&config, flood_from_the_victim_s_address);
    assert_int_equal(finding.stored, OWN);
    assert_int_equal(finding.others, BYSTANDERS);
    assert_int_equal(finding.counted_skipped, 0);
}

static void greater_flood_costs_the_address_that_it_uses_and_no_other(void **state)
{
    struct capture_config config = LIMITED;
    struct finding finding;

    (void)state;
    config.calm_syns = FLOOD / 2;
    finding = within_a_second(&config, flood_from_the_victim_s_address);
    assert_int_equal(finding.stored, 0);
    assert_int_equal(finding.others, BYSTANDERS);
    assert_int_equal(finding.counted_skipped, FLOOD / 2 + OWN);
}

/* --- several CPUs: what one has stored, the others know --- */

static void move_to(int cpu)
{
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* 100 on one CPU, then some on another: the first of these before that one has told anything. */
static void send_on_two_cpus(struct scene *scene, struct finding *finding)
{
    send_100_of_one(scene, finding);
    move_to(scene->cpu == 0);
    *finding = (struct finding){0};
    send_100_of_one(scene, finding);
    move_to(scene->cpu);
}

static void load_of_all_cpus_counts(void **state)
{
    struct capture_config config = LIMITED;
    struct finding together, alone;

    (void)state;
    assert_true(libbpf_num_possible_cpus() > 1);
    config.calm_syns = 200;
    together = within_a_second(&config, send_on_two_cpus);
    assert_in_range(together.stored, 90, 100); /* but for what the first one had not told */
    config.calm_syns = 110;
    alone = within_a_second(&config, send_on_two_cpus);
    assert_in_range(alone.stored, 10, 32);
}

/* --- cells remember 16 bits of the second --- */

/* As if the CPU had seen no SYN for this number of seconds, and all cells had been full then. */
static void age_limiter(const struct scene *scene, uint64_t seconds)
{
    int cpus = libbpf_num_possible_cpus();
    struct limiter *all = calloc((size_t)cpus, sizeof(*all));

    assert_non_null(all);
    for (int cpu = 0; cpu < cpus; cpu++) {
        all[cpu].second = scene->second - seconds;
        for (int cell = 0; cell < LIMITER_ROWS * LIMITER_CELLS; cell++)
            all[cpu].cells[cell / LIMITER_CELLS][cell % LIMITER_CELLS] =
                (uint32_t)(scene->second - seconds) << 16 | LIMIT;
    }
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_LIMITER], &(uint32_t){0}, all, BPF_ANY), 0);
    free(all);
}

static void send_after_an_epoch(struct scene *scene, struct finding *finding)
{
    age_limiter(scene, UINT64_C(1) << LIMITER_EPOCH_SHIFT);
    send_100_of_one(scene, finding);
}

static void send_to_full_cells(struct scene *scene, struct finding *finding)
{
    age_limiter(scene, 0);
    send_100_of_one(scene, finding);
}

static void counts_of_another_epoch_are_forgotten(void **state)
{
    (void)state;
    assert_int_equal(within_a_second(&LIMITED, send_after_an_epoch).stored, LIMIT);
    assert_int_equal(within_a_second(&LIMITED, send_to_full_cells).stored, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_skipped_while_it_is_calm),
        cmocka_unit_test(other_isns_of_a_source_are_noted_while_it_is_calm),
        cmocka_unit_test(without_a_limit_nobody_is_skipped),
        cmocka_unit_test(source_over_its_limit_is_skipped_and_others_are_not),
        cmocka_unit_test(addresses_of_one_64_are_one_source),
        cmocka_unit_test(each_second_begins_anew),
        cmocka_unit_test(floods_of_random_sources_switch_the_limiter_off_for_all),
        cmocka_unit_test(busy_sources_cost_others_no_more_than_was_promised),
        cmocka_unit_test(nobody_is_skipped_for_a_flood_that_the_map_has_room_for),
        cmocka_unit_test(greater_flood_costs_the_address_that_it_uses_and_no_other),
        cmocka_unit_test(load_of_all_cpus_counts),
        cmocka_unit_test(counts_of_another_epoch_are_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
