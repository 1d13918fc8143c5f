/* SPDX-License-Identifier: Apache-2.0 */
/* What gRPC core is told about connections: limits, pings, age. */
#ifndef TRANSPORT_ARGS_H
#define TRANSPORT_ARGS_H

#include <grpc/grpc.h>

#include "server.h"

enum {
    /* Bounds the messages that all connections together make gRPC buffer while they arrive.  Beyond
     * it, which one message of about 62 MB is by itself, streams are reset: a gRPC error, so that
     * Envoy's failure mode decides.  A limit for one message would do the same at a smaller size;
     * so anything up to the quota is read, and denied from the limit on.
     *
     * Not bounded by it: what streams and headers take, which stream_guard.h is for. */
    TRANSPORT_QUOTA_BYTES = 64 << 20,
    /* Of two pings on a connection on which nothing is sent to the client in between; the third
     * time that it is less, the connection is ended.  Envoy's connection_keepalive may be as short
     * as a second, and on a busy machine two of its pings may come as close as this. */
    TRANSPORT_PING_INTERVAL_MIN_MS = 100,
};

enum { TRANSPORT_ARGS_MAX = 16 };

/* Lives where it was made. */
struct transport_args {
    grpc_arg items[TRANSPORT_ARGS_MAX];
    grpc_channel_args list;
};

/* `quota` is borrowed. */
void transport_args_init(struct transport_args *args, const struct server_limits *limits,
                         grpc_resource_quota *quota);

#endif
