/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health/Check: serving or not, for the whole server ("") and for the Authorization
 * service. Source: grpc/health/v1/health.proto; no gRPC core here. */
#ifndef HEALTH_RPC_H
#define HEALTH_RPC_H

#include <stdbool.h>

#include "str.h"

enum health_outcome {
    HEALTH_MALFORMED = 0,
    HEALTH_UNKNOWN_SERVICE,
    HEALTH_ANSWERED,
};

/* `wire` is a HealthCheckRequest; the reply is static. */
enum health_outcome health_rpc_answer(struct str wire, bool is_serving, struct str *ret_reply);

#endif
