/* SPDX-License-Identifier: Apache-2.0 */
/* One tuple in several network namespaces at once: the maps have no namespace in their keys, so nobody can tell
 * whose connection is meant, and the answer must say that instead of choosing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "record.h"

enum { PORT = 8080, SOURCE_PORT = 34567, STAGES = CLAIM_OTHERS_MAX + 2 };

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
        world->listeners[i] = listen_in(&world->stages[i].server, "10.77.0.2", PORT);
    }
    watch_start(&world->watch, &world->stages[0].server, "near", PORT);
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
    world->clients[i] = connect_from(&world->stages[i].client, "10.77.0.2", PORT, SOURCE_PORT);
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
    expect(&world, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE); /* the SYN is not of the socket that is left */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_owner_of_a_tuple_makes_it_ambiguous_until_it_closes),
        cmocka_unit_test(what_the_first_owner_leaves_behind_stays_ambiguous),
        cmocka_unit_test(a_connection_without_syn_counts_as_an_owner),
        cmocka_unit_test(claim_with_all_places_taken_is_not_crowded),
        cmocka_unit_test(crowded_tuple_stays_ambiguous),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
