/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts whose sockets cannot be followed: recent SYNs, for a time; and walks over all entries. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "entries.h"
#include "hookset.h"
#include "map_walk.h"
#include "packet.h"
#include "record.h"

static void recent_syns_are_captured_by_the_wire_s_tuple(void **state)
{
    struct captured_entry entry = captured_at(SERVER_PORT);
    struct syn_answer answer;
    struct scene scene;

    (void)state;
    scene_make(&scene, false);
    put_captured(&scene, &entry);
    answer = ask(&scene, SERVER, SERVER_PORT);
    assert_answer(answer, SYN_STATE_CAPTURED, SYN_REASON_UNTRACKED);
    assert_int_equal(answer.syn.isn, 9);
    assert_int_equal(answer.syn.node_hops, 0); /* nobody knows whose socket it is */
    assert_answer(ask(&scene, "10.0.0.5", SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_answer(ask(&scene, SERVER, SERVER_PORT + 1), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    scene_done(&scene);
}

static void captured_syns_are_found_behind_a_redirection(void **state)
{
    struct captured_entry entry = captured_at(LISTENER_PORT);
    struct scene scene;

    (void)state;
    scene_make(&scene, false);
    put_captured(&scene, &entry);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_CAPTURED, SYN_REASON_UNTRACKED);
    scene_done(&scene);
}

static void captured_syns_are_good_for_a_time(void **state)
{
    static const struct {
        int64_t age_ms;
        bool good;
    } ROWS[] = {
        {0, true},
        {CAPTURED_MS - 5000, true},
        {CAPTURED_MS + 1, false},
        {-10000, false}, /* from the future: of another boot */
    };
    struct scene scene;

    (void)state;
    scene_make(&scene, false);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct captured_entry entry = captured_at(SERVER_PORT);

        entry.syn.seen_ns = (uint64_t)((int64_t)entry.syn.seen_ns - ROWS[i].age_ms * 1000000);
        entry.version_begin = entry.version_end = entry.syn.seen_ns;
        put_captured(&scene, &entry);
        if (ROWS[i].good)
            assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_CAPTURED,
                          SYN_REASON_UNTRACKED);
        else
            assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    }
    scene_done(&scene);
}

static void torn_captured_syns_are_not_believed(void **state)
{
    struct captured_entry sound = captured_at(SERVER_PORT), torn = sound, foreign = sound;
    struct scene scene;

    (void)state;
    scene_make(&scene, false);
    torn.version_end++;
    put_captured(&scene, &torn);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    foreign.key.source_port_be++;
    assert_int_equal(
        bpf_map_update_elem(scene.set.maps.fd[MAP_CAPTURED], &sound.key, &foreign, BPF_ANY), 0);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    scene_done(&scene);
}

/* The two kinds are never mixed, whatever the other map holds. */
static void tracked_and_captured_are_never_mixed(void **state)
{
    struct captured_entry captured = captured_at(SERVER_PORT);
    struct live_entry live = live_to(SERVER, SERVER_PORT), moved = live_to("10.0.0.5", 9000);
    struct alias_entry alias = alias_to(&moved);
    struct scene tracked, untracked;

    (void)state;
    scene_make(&tracked, true);
    put_captured(&tracked, &captured);
    assert_answer(ask(&tracked, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    scene_make(&untracked, false);
    put_live(&untracked, &live);
    put_live(&untracked, &moved);
    put_alias(&untracked, &alias);
    assert_answer(ask(&untracked, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    scene_done(&tracked);
    scene_done(&untracked);
}

/* --- the hooks --- */

static void send_syn(const struct hookset *set, uint16_t source_port, uint32_t isn)
{
    const struct segment syn = {.source = CLIENT,
                                .destination = SERVER,
                                .source_port = source_port,
                                .destination_port = SERVER_PORT,
                                .seq = isn,
                                .flags = FLAG_SYN};
    uint8_t frame[FRAME_MAX];

    hookset_run(set, SYN_HOOK_XDP, frame, segment_build(&syn, frame));
}

/* Also where the map has no more room than that: a forged SYN of the tuple takes nobody's place. */
static void first_syn_of_a_tuple_stays(void **state)
{
    const struct capture_config untracked = {.enabled = 1, .captured_ms = CAPTURED_MS};
    const struct map_sizes sizes = {.captured = 1};
    const struct tuple_key key = key_to(SERVER, SERVER_PORT);
    struct captured_entry found;
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &untracked, &sizes);
    send_syn(&set, SOURCE_PORT, 1);
    send_syn(&set, SOURCE_PORT, 1);
    for (uint32_t isn = 2; isn < 100; isn++)
        send_syn(&set, SOURCE_PORT, isn);
    assert_int_equal(bpf_map_lookup_elem(set.maps.fd[MAP_CAPTURED], &key, &found), 0);
    assert_int_equal(found.syn.isn, 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_STORED), 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_RETRANSMIT), 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_CONFLICT), 98);
    hookset_done(&set);
}

/* --- all connections of a client -------------------------------------------------------------- */

struct tally {
    unsigned visits, stop_after;
    uint64_t ports; /* sum of the destinations' */
};

static int count_flow(const struct flow *flow, void *context)
{
    struct tally *tally = context;

    tally->visits++;
    tally->ports += flow->destination.port;
    return tally->stop_after && tally->visits == tally->stop_after ? -ECANCELED : 0;
}

static void a_walk_visits_the_connections_of_one_source(void **state)
{
    const struct endpoint client = endpoint_of(CLIENT, SOURCE_PORT);
    const struct endpoint other = endpoint_of(CLIENT, SOURCE_PORT + 1);
    struct tally all = {0}, first = {.stop_after = 1}, none = {0};
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    assert_int_equal(map_walk_source(&scene.set.maps, &client, count_flow, &none), 0);
    for (uint16_t port = 1; port <= 20; port++) {
        struct live_entry entry = live_to(SERVER, port);

        put_live(&scene, &entry);
        entry.key.source_port_be = htons(SOURCE_PORT + 2);
        put_live(&scene, &entry);
    }
    assert_int_equal(map_walk_source(&scene.set.maps, &client, count_flow, &all), 0);
    assert_int_equal(all.visits, 20);
    assert_int_equal(all.ports, 210);
    assert_int_equal(map_walk_source(&scene.set.maps, &client, count_flow, &first), -ECANCELED);
    assert_int_equal(first.visits, 1);
    assert_int_equal(map_walk_source(&scene.set.maps, &other, count_flow, &none), 0);
    assert_int_equal(none.visits, 0);
    scene_done(&scene);
}

static void a_walk_of_an_untracked_host_visits_captured_syns(void **state)
{
    const struct endpoint client = endpoint_of(CLIENT, SOURCE_PORT);
    struct captured_entry captured = captured_at(SERVER_PORT);
    struct live_entry live = live_to(SERVER, SERVER_PORT);
    struct tally tally = {0};
    struct scene scene;

    (void)state;
    scene_make(&scene, false);
    put_live(&scene, &live);
    put_captured(&scene, &captured);
    assert_int_equal(map_walk_source(&scene.set.maps, &client, count_flow, &tally), 0);
    assert_int_equal(tally.visits, 1);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recent_syns_are_captured_by_the_wire_s_tuple),
        cmocka_unit_test(captured_syns_are_found_behind_a_redirection),
        cmocka_unit_test(captured_syns_are_good_for_a_time),
        cmocka_unit_test(torn_captured_syns_are_not_believed),
        cmocka_unit_test(tracked_and_captured_are_never_mixed),
        cmocka_unit_test(first_syn_of_a_tuple_stays),
        cmocka_unit_test(a_walk_visits_the_connections_of_one_source),
        cmocka_unit_test(a_walk_of_an_untracked_host_visits_captured_syns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
