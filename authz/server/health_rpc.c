/* SPDX-License-Identifier: Apache-2.0 */
#include "health_rpc.h"

#include <assert.h>

#include "health.pb-c.h"

/* The generated names are long. */
typedef Grpc__Health__V1__HealthCheckRequest health_request;
#define NUMBER(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

static_assert((int)HEALTH_SERVING == (int)NUMBER(SERVING) &&
                  (int)HEALTH_NOT_SERVING == (int)NUMBER(NOT_SERVING) &&
                  (int)HEALTH_SERVICE_UNKNOWN == (int)NUMBER(SERVICE_UNKNOWN),
              "the numbers of the wire");

/* Field 1, a number. */
static const char REPLIES[HEALTH_STATE_COUNT_][2] = {
    {0x08, HEALTH_UNKNOWN},
    {0x08, HEALTH_SERVING},
    {0x08, HEALTH_NOT_SERVING},
    {0x08, HEALTH_SERVICE_UNKNOWN},
};

static void *on_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void on_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static bool is_known(struct str service)
{
    return service.len == 0 || str_eq(service, STR("envoy.service.auth.v3.Authorization"));
}

enum health_request health_rpc_read(struct str wire, struct arena *arena)
{
    ProtobufCAllocator allocator = {on_alloc, on_free, arena};
    const health_request *request = grpc__health__v1__health_check_request__unpack(
        &allocator, wire.len, (const uint8_t *)wire.ptr);

    if (!request)
        return HEALTH_MALFORMED;
    return is_known(str_from(request->service)) ? HEALTH_KNOWN_SERVICE : HEALTH_UNKNOWN_SERVICE;
}

struct str health_rpc_reply(enum health_state state)
{
    return (struct str){REPLIES[state], sizeof(REPLIES[state])};
}
