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

static void the_state_is_told_for_both_services(void **state)
{
    static char services[][40] = {"", "envoy.service.auth.v3.Authorization"};

    for (size_t i = 0; i < 4; i++) {
        Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        Grpc__Health__V1__HealthCheckResponse *response;
        uint8_t wire[64];
        struct str reply;
        size_t length;

        request.service = services[i % 2];
        length = grpc__health__v1__health_check_request__pack(&request, wire);
        assert_int_equal(
            health_rpc_answer((struct str){(const char *)wire, length}, i >= 2, *state, &reply),
            HEALTH_ANSWERED);
        response = grpc__health__v1__health_check_response__unpack(NULL, reply.len,
                                                                   (const uint8_t *)reply.ptr);
        assert_non_null(response);
        assert_int_equal(
            response->status,
            i >= 2 ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                   : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING);
        grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    }
}

static void other_services_and_bytes_have_no_state(void **state)
{
    struct str reply = {NULL, 0};

    assert_int_equal(health_rpc_answer(STR("\x0a\x01"
                                           "x"),
                                       true, *state, &reply),
                     HEALTH_UNKNOWN_SERVICE);
    assert_int_equal(health_rpc_answer(STR("\x08\x01"), true, *state, &reply), HEALTH_MALFORMED);
    assert_int_equal(health_rpc_answer(STR("\x0a\x01"), true, *state, &reply), HEALTH_MALFORMED);
    assert_null(reply.ptr);
}

static void unknown_fields_are_stepped_over(void **state)
{
    struct str reply;

    assert_int_equal(health_rpc_answer(STR("\x10\x01\x1a\x01z"), true, *state, &reply),
                     HEALTH_ANSWERED);
}

static void a_request_beyond_the_arena_is_refused(void **state)
{
    struct arena *arena = *state;
    struct str reply = {NULL, 0};

    for (size_t cap = 0; cap < 64; cap++) {
        arena->cap = cap;
        arena_reset(arena);
        if (health_rpc_answer(STR("\x0a\x01x"), true, arena, &reply) != HEALTH_MALFORMED)
            break;
        assert_null(reply.ptr);
    }
    assert_true(arena->cap > 0 && arena->cap < ARENA_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_is_told_for_both_services),
        cmocka_unit_test(other_services_and_bytes_have_no_state),
        cmocka_unit_test(unknown_fields_are_stepped_over),
        cmocka_unit_test(a_request_beyond_the_arena_is_refused),
    };

    return cmocka_run_group_tests(tests, make_arena, free_arena);
}
