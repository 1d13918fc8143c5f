/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of grpc.health.v1: serving or not, for the whole server ("") and for the
 * Authorization service.  Source: grpc/health/v1/health.proto; no gRPC core here. */
#ifndef HEALTH_RPC_H
#define HEALTH_RPC_H

#include "arena.h"
#include "str.h"

enum health_request {
    HEALTH_MALFORMED = 0,
    HEALTH_UNKNOWN_SERVICE,
    HEALTH_KNOWN_SERVICE,
};

/* The numbers of HealthCheckResponse.ServingStatus. */
enum health_state {
    HEALTH_UNKNOWN = 0,
    HEALTH_SERVING,
    HEALTH_NOT_SERVING,
    HEALTH_SERVICE_UNKNOWN, /* Watch alone says so; for Check it is a status of gRPC's */
    HEALTH_STATE_COUNT_,
};

/* What a HealthCheckRequest asks for.  One for which the arena is too small counts as malformed: no
 * prober sends one. */
enum health_request health_rpc_read(struct str wire, struct arena *arena);

/* A HealthCheckResponse; static. */
struct str health_rpc_reply(enum health_state state);

#endif
