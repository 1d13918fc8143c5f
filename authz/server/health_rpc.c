/* SPDX-License-Identifier: Apache-2.0 */
#include "health_rpc.h"

#include "health.pb-c.h"

/* The generated names are long. */
typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse health_response;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus serving_status;
static const serving_status SERVING =
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
static const serving_status NOT_SERVING =
    GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;

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

enum health_outcome health_rpc_answer(struct str wire, bool is_serving, struct arena *arena,
                                      struct str *ret_reply)
{
    ProtobufCAllocator allocator = {on_alloc, on_free, arena};
    health_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    const health_request *request = grpc__health__v1__health_check_request__unpack(
        &allocator, wire.len, (const uint8_t *)wire.ptr);
    uint8_t *reply;

    if (!request)
        return HEALTH_MALFORMED;
    if (!is_known(str_from(request->service)))
        return HEALTH_UNKNOWN_SERVICE;
    response.status = is_serving ? SERVING : NOT_SERVING;
    reply = arena_alloc(arena, grpc__health__v1__health_check_response__get_packed_size(&response));
    if (!reply)
        return HEALTH_MALFORMED;
    *ret_reply = (struct str){(const char *)reply,
                              grpc__health__v1__health_check_response__pack(&response, reply)};
    return HEALTH_ANSWERED;
}
