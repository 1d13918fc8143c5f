/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health/Check: serving or not, for the whole server ("") and for the Authorization
 * service. Source: grpc/health/v1/health.proto; no gRPC core here. */
#ifndef HEALTH_RPC_H
#define HEALTH_RPC_H

#include <stdbool.h>

#include "arena.h"
#include "str.h"

enum health_outcome {
    HEALTH_MALFORMED = 0,
    HEALTH_UNKNOWN_SERVICE,
    HEALTH_ANSWERED,
};

/* `wire` is a HealthCheckRequest; the reply is in `arena`.  A request for which the arena is too
 * small counts as malformed: no prober sends one. */
enum health_outcome health_rpc_answer(struct str wire, bool is_serving, struct arena *arena,
                                      struct str *ret_reply);

#endif
