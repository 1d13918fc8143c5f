/* SPDX-License-Identifier: Apache-2.0 */
/* Flows (flow.h) and the maps' keys (record.h), which hold the same. */
#ifndef FLOW_KEY_H
#define FLOW_KEY_H

#include <endian.h>
#include <string.h>

#include "flow.h"
#include "record.h"

static inline struct tuple_key tuple_key_from_flow(const struct flow *flow)
{
    struct tuple_key key = {
        .source_port_be = htobe16(flow->source.port),
        .destination_port_be = htobe16(flow->destination.port),
        .family = flow->source.addr.family,
    };

    memcpy(key.source, flow->source.addr.bytes, sizeof(key.source));
    memcpy(key.destination, flow->destination.addr.bytes, sizeof(key.destination));
    return key;
}

static inline struct flow flow_from_tuple_key(const struct tuple_key *key)
{
    struct flow flow = {
        .source = {{.family = key->family}, be16toh(key->source_port_be)},
        .destination = {{.family = key->family}, be16toh(key->destination_port_be)},
    };

    memcpy(flow.source.addr.bytes, key->source, sizeof(key->source));
    memcpy(flow.destination.addr.bytes, key->destination, sizeof(key->destination));
    return flow;
}

#endif
