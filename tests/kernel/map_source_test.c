/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader makes of entries that the test writes itself: every state and reason, and damage.
 */
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
#include "map_source.h"
#include "record.h"

enum damage {
    SOUND = 0,
    OTHER,
    LAST_OTHER,
    CROWDED,
    OWNER_LEFT_OTHERS,
    ABANDONED,
    NO_SYN,
    TORN,
    FOREIGN_KEY,
};

static void do_damage(enum damage damage, struct live_entry *entry)
{
    if (damage == OTHER || damage == OWNER_LEFT_OTHERS)
        entry->claim.others[0] = COOKIE + 1;
    if (damage == LAST_OTHER)
        entry->claim.others[CLAIM_OTHERS_MAX - 1] = COOKIE + 1;
    if (damage == CROWDED)
        entry->claim.crowded = 1;
    if (damage == OWNER_LEFT_OTHERS || damage == ABANDONED)
        entry->claim.owner = 0;
    if (damage == NO_SYN)
        entry->has_syn = 0;
    if (damage == TORN)
        entry->version_end++;
    if (damage == FOREIGN_KEY)
        entry->key.source_port_be++;
}

static void entry_is_answered_by_its_condition(void **state)
{
    static const struct {
        enum damage damage;
        enum syn_state state;
        enum syn_reason reason;
    } ROWS[] = {
        {SOUND, SYN_STATE_VERIFIED, SYN_REASON_NONE},
        {OTHER, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {LAST_OTHER, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {CROWDED, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {OWNER_LEFT_OTHERS, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {ABANDONED, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN},
        {NO_SYN, SYN_STATE_MISSING, SYN_REASON_NO_SYN},
        {TORN, SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR},
        {FOREIGN_KEY, SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR},
    };
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct live_entry entry = live_to(SERVER, SERVER_PORT);
        struct tuple_key key = entry.key;

        do_damage(ROWS[i].damage, &entry);
        assert_int_equal(bpf_map_update_elem(scene.set.maps.fd[MAP_LIVE], &key, &entry, BPF_ANY),
                         0);
        assert_answer(ask(&scene, SERVER, SERVER_PORT), ROWS[i].state, ROWS[i].reason);
    }
    scene_done(&scene);
}

static void nothing_there_is_explained(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_answer(ask(&scene, SERVER, SERVER_PORT + 1), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    scene.set.meta->full_ns = 1;
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_MAP_FULL);
    assert_answer(ask(&scene, SERVER, SERVER_PORT + 1), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    scene_done(&scene);
}

static void destinations_beyond_the_prefixes_are_filtered(void **state)
{
    struct prefix_key prefix = {.bits = 96 + 24};
    struct tuple_key within = key_to(SERVER, SERVER_PORT);
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    set_config(&scene, (struct capture_config){.tracked = 1, .use_prefixes = 1});
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    memcpy(prefix.address, within.destination, sizeof(prefix.address));
    assert_int_equal(
        bpf_map_update_elem(scene.set.maps.fd[MAP_PREFIXES], &prefix, &(uint8_t){1}, BPF_ANY), 0);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_answer(ask(&scene, "10.0.0.5", SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    scene_done(&scene);
}

static void alias_leads_to_the_entry_of_the_same_connection(void **state)
{
    struct live_entry live = live_to("10.0.0.5", 9000);
    struct alias_entry alias = alias_to(&live);
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    put_live(&scene, &live);
    put_alias(&scene, &alias);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_answer(ask(&scene, "10.0.0.5", 9000), SYN_STATE_VERIFIED, SYN_REASON_NONE);

    live.claim.others[0] = COOKIE + 1;
    put_live(&scene, &live);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    live.claim.others[0] = 0;
    put_live(&scene, &live);
    alias.claim.others[0] = COOKIE + 1;
    put_alias(&scene, &alias);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    alias.claim.others[0] = 0;
    alias.version_end++;
    put_alias(&scene, &alias);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    scene_done(&scene);
}

/* Between the two look-ups the entry may have become that of another connection. */
static void alias_of_another_connection_leads_nowhere(void **state)
{
    struct live_entry live = live_to("10.0.0.5", 9000), later = live, moved = live, without = live;
    struct alias_entry alias = alias_to(&live);
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    put_alias(&scene, &alias);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    later.version_begin = later.version_end = later.claim.owner = COOKIE + 5;
    put_live(&scene, &later);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    moved.syn.wire_destination_port_be = htons(SERVER_PORT + 1);
    put_live(&scene, &moved);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    without.has_syn = 0;
    put_live(&scene, &without);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    scene_done(&scene);
}

static void redirect_port_is_tried_with_the_same_address_only(void **state)
{
    struct live_entry elsewhere = live_to("10.0.0.5", LISTENER_PORT);
    struct live_entry no_redirect = live_to(SERVER, LISTENER_PORT + 1);
    struct live_entry here = live_to(SERVER, LISTENER_PORT);
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    put_live(&scene, &elsewhere);
    put_live(&scene, &no_redirect);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    put_live(&scene, &here);
    assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    scene_done(&scene);
}

static void maps_that_cannot_be_read_are_our_fault(void **state)
{
    static const struct {
        enum capture_map map;
        bool tracked;
    } ROWS[] = {
        {MAP_LIVE, true},  {MAP_ALIAS, true},     {MAP_CONFIG, true},
        {MAP_PORTS, true}, {MAP_CAPTURED, false}, {MAP_CONFIG, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct captured_entry entry = captured_at(SERVER_PORT);
        struct capture_maps broken;
        struct scene scene;

        scene_make(&scene, ROWS[i].tracked);
        put_captured(&scene, &entry);
        broken = scene.set.maps;
        broken.fd[ROWS[i].map] = -1;
        syn_source_freep(&scene.source);
        scene.source = open_source(&broken);
        assert_answer(ask(&scene, SERVER, SERVER_PORT), SYN_STATE_UNAVAILABLE,
                      SYN_REASON_MAP_ERROR);
        scene_done(&scene);
    }
}

static void maps_of_another_layout_are_refused(void **state)
{
    struct syn_source *source = NULL;
    struct diag diag = {0};
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    scene.set.meta->reader_layout++;
    assert_int_equal(
        map_source_new(&(struct map_source_config){.maps = &scene.set.maps}, &source, &diag),
        -EPROTO);
    assert_null(source);
    assert_non_null(strstr(diag.text, "layout"));
    scene_done(&scene);
}

/* --- routers inside the node ------------------------------------------------------------------ */

static void hops_inside_the_node_are_known_of_pods_only(void **state)
{
    static const struct {
        uint8_t hook;
        uint64_t netns;
        uint32_t set;
        uint8_t got;
    } ROWS[] = {
        {SYN_HOOK_CGROUP, POD_NETNS, 2, 2},
        {SYN_HOOK_CGROUP, HOST_NETNS, 2, 0},
        {SYN_HOOK_CGROUP, 0, 2, 0},
        {SYN_HOOK_CGROUP, POD_NETNS, 0, 0},
        {SYN_HOOK_CGROUP, POD_NETNS, 300, 255},
        {SYN_HOOK_XDP, POD_NETNS, 2, 0},
        {SYN_HOOK_TCX, POD_NETNS, 2, 0},
    };
    struct scene scene;

    (void)state;
    scene_make(&scene, true);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct live_entry entry = live_to(SERVER, SERVER_PORT);
        struct syn_answer answer;

        entry.syn.hook = ROWS[i].hook;
        entry.scope.netns = ROWS[i].netns;
        put_live(&scene, &entry);
        set_config(&scene, (struct capture_config){.tracked = 1, .node_hops = ROWS[i].set});
        answer = ask(&scene, SERVER, SERVER_PORT);
        assert_answer(answer, SYN_STATE_VERIFIED, SYN_REASON_NONE);
        assert_int_equal(answer.syn.node_hops, ROWS[i].got);
        assert_int_equal(answer.syn.ttl, 64);
    }
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_is_answered_by_its_condition),
        cmocka_unit_test(nothing_there_is_explained),
        cmocka_unit_test(alias_leads_to_the_entry_of_the_same_connection),
        cmocka_unit_test(alias_of_another_connection_leads_nowhere),
        cmocka_unit_test(redirect_port_is_tried_with_the_same_address_only),
        cmocka_unit_test(maps_that_cannot_be_read_are_our_fault),
        cmocka_unit_test(destinations_beyond_the_prefixes_are_filtered),
        cmocka_unit_test(maps_of_another_layout_are_refused),
        cmocka_unit_test(hops_inside_the_node_are_known_of_pods_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
