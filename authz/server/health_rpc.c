/* SPDX-License-Identifier: Apache-2.0 */
#include "health_rpc.h"

#include "pbreader.h"

enum { REQUEST_SERVICE = 1 };

/* HealthCheckResponse {status 1}: SERVING 1, NOT_SERVING 2 */
static const struct str SERVING = STR_INIT("\x08\x01"), NOT_SERVING = STR_INIT("\x08\x02");

static bool is_known(struct str service)
{
    return service.len == 0 || str_eq(service, STR("envoy.service.auth.v3.Authorization"));
}

enum health_outcome health_rpc_answer(struct str wire, bool is_serving, struct str *ret_reply)
{
    struct str service = {NULL, 0};
    struct pb_field field;
    int r;

    while ((r = pb_next_field(&wire, &field)) > 0) {
        if (field.number != REQUEST_SERVICE)
            continue;
        if (!field.is_bytes)
            return HEALTH_MALFORMED;
        service = field.bytes;
    }
    if (r < 0)
        return HEALTH_MALFORMED;
    if (!is_known(service))
        return HEALTH_UNKNOWN_SERVICE;
    *ret_reply = is_serving ? SERVING : NOT_SERVING;
    return HEALTH_ANSWERED;
}
