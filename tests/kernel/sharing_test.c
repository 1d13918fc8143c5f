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

enum { SOURCE_PORT = 34567, STAGES = CLAIM_OTHERS_MAX + 2 };

/* All stages have the same addresses; the first one's device is captured. */
struct world {
    size_t count;
    struct stage stages[STAGES];
    int listeners[STAGES], clients[STAGES], servers[STAGES];
    struct watch watch;
    struct flow flow;
};

static void world_make(struct world *world, size_t count)
{
    world->count = count;
    for (size_t i = 0; i < count; i++) {
        stage_make(&world->stages[i]);
        world->listeners[i] = listen_in(&world->stages[i].server, "10.77.0.2", own_port());
    }
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

/* Who had no place cannot be seen leaving: the entry never speaks for anybody again. */
static void crowded_tuple_stays_ambiguous(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, STAGES);
    for (size_t i = 0; i < world.count; i++)
        open_in(&world, i);
    assert_int_not_equal(watch_counter(&world.watch, COUNTER_CLAIM_CROWDED), 0);
    for (size_t i = 0; i < world.count - 1; i++)
        close_in(&world, i);
    open_in(&world, 0); /* while the last one, which had no place, still lives */
    sleep_ms(20);
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    close_in(&world, 0);
    close_in(&world, world.count - 1);
    sleep_ms(20);
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    world_done(&world);
}

/* --- the entry of a socket whose close was not seen --- */

enum { DEAD_COOKIE = 0x7fffffff, NO_DEVICE = 0 };

/* A capture that is not sealed, so that the test can leave an entry behind in its maps. */
static void watch_start_writable(struct watch *ret_watch, const struct netns *ns)
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
                         },
                         &ret_watch->capture, &diag),
                     0);
    netns_leave();
    assert_int_equal(map_source_new(&(struct map_source_config){.maps = local_capture_get_maps(
                                                                    ret_watch->capture)},
                                    &ret_watch->source, &diag),
                     0);
}

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
    watch_start_writable(&watch, &stage.server);
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
        cmocka_unit_test(crowded_tuple_stays_ambiguous),
        cmocka_unit_test(entry_of_a_dead_socket_is_replaced),
        cmocka_unit_test(entry_of_another_namespace_is_not_replaced),
        cmocka_unit_test(entry_of_another_vrf_is_not_replaced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
