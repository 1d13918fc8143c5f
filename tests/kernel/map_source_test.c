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

#include "flow_key.h"
#include "map_source.h"
#include "map_walk.h"
#include "pinned.h"
#include "record.h"

#define CLIENT "192.0.2.9"
#define SERVER "192.0.2.1"

enum { SOURCE_PORT = 40000, SERVER_PORT = 443, LISTENER_PORT = 15006, COOKIE = 1000 };
enum { HOST_NETNS = 1, POD_NETNS = 2, CAPTURED_MS = 60000 };

/* Maps of the test's own, and a source that reads them. */
struct scene {
    struct pinned_set set;
    struct syn_source *source;
};

static struct syn_source *open_source(const struct capture_maps *maps)
{
    static const uint16_t REDIRECT_PORTS[] = {LISTENER_PORT, 15008};
    struct syn_source *source = NULL;
    struct diag diag = {0};

    assert_int_equal(map_source_new(
                         &(struct map_source_config){
                             .maps = maps,
                             .redirect_ports = REDIRECT_PORTS,
                             .redirect_port_count = 2,
                         },
                         &source, &diag),
                     0);
    return source;
}

static void set_config(const struct scene *scene, struct capture_config config)
{
    config.enabled = 1;
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_CONFIG], &(uint32_t){0}, &config, BPF_ANY), 0);
}

/* Captures SERVER_PORT only. */
static void scene_make(struct scene *ret_scene, bool tracked)
{
    const uint64_t none = 0, one = UINT64_C(1) << SERVER_PORT % 64;

    pinned_set_make(&ret_scene->set);
    for (uint32_t i = 0; i < PORTS_WORDS; i++)
        assert_int_equal(bpf_map_update_elem(ret_scene->set.maps.fd[MAP_PORTS], &i,
                                             i == SERVER_PORT / 64 ? &one : &none, BPF_ANY),
                         0);
    set_config(ret_scene, (struct capture_config){.tracked = tracked, .captured_ms = CAPTURED_MS});
    ret_scene->set.meta->tracked = tracked;
    ret_scene->set.meta->host_netns = HOST_NETNS;
    ret_scene->source = open_source(&ret_scene->set.maps);
}

static void scene_done(struct scene *scene)
{
    syn_source_freep(&scene->source);
    pinned_set_close(&scene->set);
}

static struct endpoint endpoint_of(const char *address, uint16_t port)
{
    struct endpoint endpoint = {.port = port};

    assert_int_equal(addr_parse(str_from(address), &endpoint.addr), 0);
    return endpoint;
}

static struct flow flow_to(const char *address, uint16_t port)
{
    return (struct flow){endpoint_of(CLIENT, SOURCE_PORT), endpoint_of(address, port)};
}

static struct tuple_key key_to(const char *address, uint16_t port)
{
    const struct flow flow = flow_to(address, port);

    return tuple_key_from_flow(&flow);
}

/* A sound entry: the socket's end is `address`:`port`, on the wire it was SERVER:SERVER_PORT. */
static struct live_entry live_to(const char *address, uint16_t port)
{
    struct tuple_key wire = key_to(SERVER, SERVER_PORT);
    struct live_entry entry = {
        .version_begin = COOKIE,
        .key = key_to(address, port),
        .claim.owner = COOKIE,
        .syn = {.isn = 7,
                .ip_version = 4,
                .ttl = 64,
                .wire_destination_port_be = htons(SERVER_PORT)},
        .has_syn = 1,
        .version_end = COOKIE,
    };

    memcpy(entry.syn.wire_destination, wire.destination, sizeof(wire.destination));
    return entry;
}

static struct alias_entry alias_to(const struct live_entry *live)
{
    return (struct alias_entry){
        .version_begin = COOKIE,
        .key = key_to(SERVER, SERVER_PORT),
        .live = live->key,
        .claim.owner = COOKIE,
        .version_end = COOKIE,
    };
}

/* Seen just now, at SERVER:`port` on the wire. */
static struct captured_entry captured_at(uint16_t port)
{
    uint64_t now_ns = boot_time_ns();

    return (struct captured_entry){
        .version_begin = now_ns,
        .key = key_to(SERVER, port),
        .syn = {.seen_ns = now_ns, .isn = 9, .ip_version = 4, .ttl = 64, .hook = SYN_HOOK_CGROUP},
        .version_end = now_ns,
    };
}

static void put_live(const struct scene *scene, const struct live_entry *entry)
{
    assert_int_equal(bpf_map_update_elem(scene->set.maps.fd[MAP_LIVE], &entry->key, entry, BPF_ANY),
                     0);
}

static void put_alias(const struct scene *scene, const struct alias_entry *entry)
{
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_ALIAS], &entry->key, entry, BPF_ANY), 0);
}

static void put_captured(const struct scene *scene, const struct captured_entry *entry)
{
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_CAPTURED], &entry->key, entry, BPF_ANY), 0);
}

static struct syn_answer ask(const struct scene *scene, const char *address, uint16_t port)
{
    const struct flow flow = flow_to(address, port);
    struct syn_answer answer;

    scene->source->lookup(scene->source, &flow, &answer);
    return answer;
}

#define assert_answer(answer, state_, reason_)                                                     \
    do {                                                                                           \
        const struct syn_answer answer_ = (answer);                                                \
        assert_string_equal(syn_state_name(answer_.state), syn_state_name(state_));                \
        assert_string_equal(syn_reason_name(answer_.reason), syn_reason_name(reason_));            \
    } while (0)

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

/* --- hosts whose sockets cannot be followed --------------------------------------------------- */

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
        cmocka_unit_test(entry_is_answered_by_its_condition),
        cmocka_unit_test(nothing_there_is_explained),
        cmocka_unit_test(alias_leads_to_the_entry_of_the_same_connection),
        cmocka_unit_test(alias_of_another_connection_leads_nowhere),
        cmocka_unit_test(redirect_port_is_tried_with_the_same_address_only),
        cmocka_unit_test(maps_that_cannot_be_read_are_our_fault),
        cmocka_unit_test(destinations_beyond_the_prefixes_are_filtered),
        cmocka_unit_test(maps_of_another_layout_are_refused),
        cmocka_unit_test(hops_inside_the_node_are_known_of_pods_only),
        cmocka_unit_test(recent_syns_are_captured_by_the_wire_s_tuple),
        cmocka_unit_test(captured_syns_are_found_behind_a_redirection),
        cmocka_unit_test(captured_syns_are_good_for_a_time),
        cmocka_unit_test(torn_captured_syns_are_not_believed),
        cmocka_unit_test(tracked_and_captured_are_never_mixed),
        cmocka_unit_test(a_walk_visits_the_connections_of_one_source),
        cmocka_unit_test(a_walk_of_an_untracked_host_visits_captured_syns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
