/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arena.h"
#include "health.pb-c.h"
#include "health_rpc.h"

enum { ARENA_BYTES = 1024 };

static int make_arena(void **state)
{
    static struct arena arena;

    *state = &arena;
    return arena_init(&arena, ARENA_BYTES);
}

static int free_arena(void **state)
{
    arena_done(*state);
    return 0;
}

static void both_services_are_known(void **state)
{
    static char services[][40] = {"", "envoy.service.auth.v3.Authorization"};

    for (size_t i = 0; i < 2; i++) {
        Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        uint8_t wire[64];
        size_t length;

        request.service = services[i];
        length = grpc__health__v1__health_check_request__pack(&request, wire);
        assert_int_equal(health_rpc_read((struct str){(const char *)wire, length}, *state),
                         HEALTH_KNOWN_SERVICE);
    }
}

static void other_services_and_bytes_are_told_apart(void **state)
{
    assert_int_equal(health_rpc_read(STR("\x0a\x01"
                                         "x"),
                                     *state),
                     HEALTH_UNKNOWN_SERVICE);
    assert_int_equal(health_rpc_read(STR("\x08\x01"), *state), HEALTH_MALFORMED);
    assert_int_equal(health_rpc_read(STR("\x0a\x01"), *state), HEALTH_MALFORMED);
}

static void unknown_fields_are_stepped_over(void **state)
{
    assert_int_equal(health_rpc_read(STR("\x10\x01\x1a\x01z"), *state), HEALTH_KNOWN_SERVICE);
}

static void a_request_beyond_the_arena_is_refused(void **state)
{
    struct arena *arena = *state;

    for (size_t cap = 0; cap < 64; cap++) {
        arena->cap = cap;
        arena_reset(arena);
        if (health_rpc_read(STR("\x0a\x01x"), arena) != HEALTH_MALFORMED)
            break;
    }
    assert_true(arena->cap > 0 && arena->cap < ARENA_BYTES);
}

/* As protobuf reads them. */
static void replies_say_their_state(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HEALTH_STATE_COUNT_; i++) {
        struct str reply = health_rpc_reply((enum health_state)i);
        Grpc__Health__V1__HealthCheckResponse *response =
            grpc__health__v1__health_check_response__unpack(NULL, reply.len,
                                                            (const uint8_t *)reply.ptr);

        assert_non_null(response);
        assert_int_equal(response->status, i);
        grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_services_are_known),
        cmocka_unit_test(other_services_and_bytes_are_told_apart),
        cmocka_unit_test(unknown_fields_are_stepped_over),
        cmocka_unit_test(a_request_beyond_the_arena_is_refused),
        cmocka_unit_test(replies_say_their_state),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
