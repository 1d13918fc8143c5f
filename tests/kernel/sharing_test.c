/* SPDX-License-Identifier: Apache-2.0 */
/* One tuple in several network namespaces at once: the maps have no namespace in their keys, so
 * nobody can tell whose connection is meant, and the answer must say that instead of choosing. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "map_source.h"
#include "record.h"

enum { SOURCE_PORT = 34567, STAGES = CLAIM_OTHERS_MAX + 3, ROUNDS = 5, ROOM = 16 };

/* A capture that is not sealed, so that the test can write its maps. */
static void watch_start_writable(struct watch *ret_watch, const struct netns *ns, uint32_t max_live)
{
    const char *device = "near";
    const uint16_t port = own_port();
    struct diag diag = {0};

    *ret_watch = (struct watch){0};
    netns_enter(ns);
    assert_int_equal(local_capture_start(
                         &(struct local_capture_config){
                             .interfaces = &device,
                             .interface_count = 1,
                             .ports = &port,
                             .port_count = 1,
                             .max_live = max_live,
                         },
                         &ret_watch->capture, &diag),
                     0);
    netns_leave();
    assert_int_equal(map_source_new(&(struct map_source_config){.maps = local_capture_get_maps(
                                                                    ret_watch->capture)},
                                    &ret_watch->source, &diag),
                     0);
}

/* All stages have the same addresses; the first one's device is captured. */
struct world {
    size_t count;
    struct stage stages[STAGES];
    int listeners[STAGES], clients[STAGES], servers[STAGES];
    struct watch watch;
    struct flow flow;
};

static void world_make_stages(struct world *world, size_t count)
{
    world->count = count;
    for (size_t i = 0; i < count; i++) {
        stage_make(&world->stages[i]);
        world->listeners[i] = listen_in(&world->stages[i].server, "10.77.0.2", own_port());
    }
}

static void world_make(struct world *world, size_t count)
{
    world_make_stages(world, count);
    watch_start(&world->watch, &world->stages[0].server, "near", own_port());
}

static void world_done(struct world *world)
{
    watch_done(&world->watch);
    for (size_t i = 0; i < world->count; i++) {
        close(world->listeners[i]);
        stage_done(&world->stages[i]);
    }
}

static void open_in(struct world *world, size_t i)
{
    world->clients[i] =
        connect_from(&world->stages[i].client, "10.77.0.2", own_port(), SOURCE_PORT);
    world->servers[i] = accept_flow(world->listeners[i], &world->flow);
}

static void close_in(struct world *world, size_t i)
{
    reset(&world->servers[i]);
    close(world->clients[i]);
}

static void expect(const struct world *world, enum syn_state state, enum syn_reason reason)
{
    assert_becomes(&world->watch, &world->flow, state, reason);
}

static void second_owner_of_a_tuple_makes_it_ambiguous_until_it_closes(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, 2);
    open_in(&world, 0);
    expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    open_in(&world, 1);
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    assert_int_equal(watch_counter(&world.watch, COUNTER_PROMOTE_SHARED), 1);
    close_in(&world, 1);
    expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    close_in(&world, 0);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    world_done(&world);
}

static void what_the_first_owner_leaves_behind_stays_ambiguous(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, 2);
    open_in(&world, 0);
    open_in(&world, 1);
    close_in(&world, 0);
    sleep_ms(20);
    expect(&world, SYN_STATE_AMBIGUOUS,
           SYN_REASON_NONE); /* the SYN is not of the socket that is left */
    close_in(&world, 1);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);

    open_in(&world, 0); /* a new start */
    expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    close_in(&world, 0);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    world_done(&world);
}

static void a_connection_without_syn_counts_as_an_owner(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, 2);
    open_in(&world, 1); /* not captured */
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NO_SYN);
    open_in(&world, 0);
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    close_in(&world, 1);
    close_in(&world, 0);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    world_done(&world);
}

static size_t count_entries(const struct world *world, enum capture_map map)
{
    const int fd = local_capture_get_maps(world->watch.capture)->fd[map];
    uint8_t key[sizeof(struct tuple_key)], next[sizeof(struct tuple_key)];
    size_t count = 0;

    for (int r = bpf_map_get_next_key(fd, NULL, next); r == 0; count++) {
        memcpy(key, next, sizeof(key));
        r = bpf_map_get_next_key(fd, key, next);
    }
    return count;
}

static void expect_nothing_left(const struct world *world)
{
    expect(world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_int_equal(count_entries(world, MAP_CROWD), 0);
    assert_int_equal(watch_counter(&world->watch, COUNTER_LIVE_STORED),
                     watch_counter(&world->watch, COUNTER_LIVE_DELETED));
}

static void claim_with_all_places_taken_is_not_crowded(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, CLAIM_OTHERS_MAX + 1);
    for (size_t i = 0; i < world.count; i++)
        open_in(&world, i);
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    for (size_t i = 1; i < world.count; i++)
        close_in(&world, i);
    expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(watch_counter(&world.watch, COUNTER_CLAIM_CROWDED), 0);
    close_in(&world, 0);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    world_done(&world);
}

/* There are more sockets than places; they leave in the order in which they came, or against it. */
static void crowd_is_ambiguous_until_all_but_the_owner_have_gone(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, STAGES);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < world.count; i++)
            open_in(&world, i);
        assert_int_equal(count_entries(&world, MAP_CROWD), STAGES - 1 - CLAIM_OTHERS_MAX);
        for (size_t i = 1; i < world.count; i++) {
            expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
            close_in(&world, i);
        }
        expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
        close_in(&world, 0);
        expect_nothing_left(&world);
    }
    assert_int_equal(watch_counter(&world.watch, COUNTER_CLAIM_CROWDED),
                     ROUNDS * (STAGES - 1 - CLAIM_OTHERS_MAX));
    world_done(&world);
}

static void crowd_without_the_owner_is_ambiguous_until_all_have_gone(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, STAGES);
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < world.count; i++)
            open_in(&world, i);
        for (size_t i = 0; i < world.count; i++) {
            expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
            close_in(&world, i);
        }
        expect_nothing_left(&world);
    }
    open_in(&world, 0); /* a new start */
    expect(&world, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    close_in(&world, 0);
    world_done(&world);
}

/* Those that come take places which others have left, while there still is a crowd. */
static void places_of_a_crowd_are_taken_again(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, STAGES);
    for (size_t i = 0; i < world.count; i++)
        open_in(&world, i);
    for (int round = 0; round < 2 * STAGES; round++) {
        close_in(&world, (size_t)round % STAGES);
        open_in(&world, (size_t)round % STAGES);
        sleep_ms(5);
        expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    }
    for (size_t i = 0; i < world.count; i++)
        close_in(&world, i);
    expect_nothing_left(&world);
    world_done(&world);
}

static void fill_crowd(const struct world *world)
{
    static const struct crowd_member MEMBER;
    const int fd = local_capture_get_maps(world->watch.capture)->fd[MAP_CROWD];
    struct crowd_key key = {.cookie = 1};

    while (bpf_map_update_elem(fd, &key, &MEMBER, BPF_NOEXIST) == 0)
        assert_in_range(++key.cookie, 1, 4 * ROOM);
}

/* Nobody can tell when those have gone that there was no room for; the entry is ambiguous as long
 * as it is there, and goes with the others. */
static void without_room_the_crowd_is_ambiguous_until_those_that_are_known_have_gone(void **state)
{
    struct world world;

    (void)state;
    world_make_stages(&world, STAGES);
    watch_start_writable(&world.watch, &world.stages[0].server, ROOM);
    fill_crowd(&world);
    for (size_t i = 0; i < world.count; i++)
        open_in(&world, i);
    assert_int_equal(watch_counter(&world.watch, COUNTER_CLAIM_LOST),
                     STAGES - 1 - CLAIM_OTHERS_MAX);
    for (size_t i = 1; i < world.count; i++) {
        close_in(&world, i);
        sleep_ms(5);
        expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    }
    close_in(&world, 0);
    expect(&world, SYN_STATE_MISSING, SYN_REASON_MAP_FULL);
    assert_int_equal(count_entries(&world, MAP_LIVE), 0);
    world_done(&world);
}

/* --- the entry of a socket whose close was not seen --- */

enum { DEAD_COOKIE = 0x7fffffff, NO_DEVICE = 0 };

static uint64_t netns_cookie(const struct netns *ns)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);
    int fd;

    netns_enter(ns);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    netns_leave();
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length), 0);
    close(fd);
    return cookie;
}

static struct tuple_key key_of(const struct flow *flow)
{
    struct tuple_key key = {
        .source_port_be = htons(flow->source.port),
        .destination_port_be = htons(flow->destination.port),
        .family = flow->source.addr.family,
    };

    memcpy(key.source, flow->source.addr.bytes, sizeof(key.source));
    memcpy(key.destination, flow->destination.addr.bytes, sizeof(key.destination));
    return key;
}

static void leave_entry(const struct watch *watch, const struct flow *flow, uint64_t netns,
                        uint32_t device)
{
    struct live_entry entry = {
        .version_begin = DEAD_COOKIE,
        .key = key_of(flow),
        .claim.owner = DEAD_COOKIE,
        .scope = {.netns = netns, .device = device},
        .has_syn = 1,
        .version_end = DEAD_COOKIE,
    };
    const struct capture_maps *maps = local_capture_get_maps(watch->capture);

    assert_int_equal(bpf_map_update_elem(maps->fd[MAP_LIVE], &entry.key, &entry, BPF_NOEXIST), 0);
}

/* A connection on the tuple of a left entry with this scope; how it is answered. */
static void connect_over_left_entry(bool other_netns, uint32_t device, enum syn_state expected)
{
    struct flow flow = flow_text("10.77.0.1", SOURCE_PORT, "10.77.0.2", own_port());
    struct stage stage;
    struct watch watch;
    int listener, client, server;

    stage_make(&stage);
    watch_start_writable(&watch, &stage.server, 0);
    leave_entry(&watch, &flow, netns_cookie(other_netns ? &stage.client : &stage.server), device);
    listener = listen_in(&stage.server, "10.77.0.2", own_port());
    client = connect_from(&stage.client, "10.77.0.2", own_port(), SOURCE_PORT);
    server = accept_flow(listener, &flow);
    assert_answer(watch_ask(&watch, &flow), expected, SYN_REASON_NONE);
    assert_int_equal(watch_counter(&watch, COUNTER_LIVE_REPLACED),
                     expected == SYN_STATE_VERIFIED ? 1 : 0);
    if (expected == SYN_STATE_VERIFIED)
        assert_int_not_equal(watch_ask(&watch, &flow).syn.isn, 0);
    reset(&server);
    if (expected == SYN_STATE_VERIFIED)
        assert_becomes(&watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    close(client);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

static void entry_of_a_dead_socket_is_replaced(void **state)
{
    (void)state;
    connect_over_left_entry(false, NO_DEVICE, SYN_STATE_VERIFIED);
}

static void entry_of_another_namespace_is_not_replaced(void **state)
{
    (void)state;
    connect_over_left_entry(true, NO_DEVICE, SYN_STATE_AMBIGUOUS);
}

static void entry_of_another_vrf_is_not_replaced(void **state)
{
    (void)state;
    connect_over_left_entry(false, 17, SYN_STATE_AMBIGUOUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_owner_of_a_tuple_makes_it_ambiguous_until_it_closes),
        cmocka_unit_test(what_the_first_owner_leaves_behind_stays_ambiguous),
        cmocka_unit_test(a_connection_without_syn_counts_as_an_owner),
        cmocka_unit_test(claim_with_all_places_taken_is_not_crowded),
        cmocka_unit_test(crowd_is_ambiguous_until_all_but_the_owner_have_gone),
        cmocka_unit_test(crowd_without_the_owner_is_ambiguous_until_all_have_gone),
        cmocka_unit_test(places_of_a_crowd_are_taken_again),
        cmocka_unit_test(without_room_the_crowd_is_ambiguous_until_those_that_are_known_have_gone),
        cmocka_unit_test(entry_of_a_dead_socket_is_replaced),
        cmocka_unit_test(entry_of_another_namespace_is_not_replaced),
        cmocka_unit_test(entry_of_another_vrf_is_not_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
