/* SPDX-License-Identifier: Apache-2.0 */
#include "transport_args.h"

#include <assert.h>
#include <string.h>

static grpc_arg *add(struct transport_args *args, const char *key, grpc_arg_type type)
{
    grpc_arg *arg = &args->items[args->list.num_args++];

    assert(args->list.num_args <= TRANSPORT_ARGS_MAX);
    *arg = (grpc_arg){.type = type};
    memcpy(&arg->key, &key,
           sizeof(key)); /* the struct is not const-correct; gRPC copies the name */
    return arg;
}

static void add_number(struct transport_args *args, const char *key, int value)
{
    add(args, key, GRPC_ARG_INTEGER)->value.integer = value;
}

static void add_quota(struct transport_args *args, grpc_resource_quota *quota)
{
    grpc_arg *arg = add(args, GRPC_ARG_RESOURCE_QUOTA, GRPC_ARG_POINTER);

    arg->value.pointer.p = quota;
    arg->value.pointer.vtable = grpc_resource_quota_arg_vtable();
}

/* The filter that knows a connection's age belongs to the full stack; what else is in there is told
 * not to do anything.  Two connections that began together do not end together: gRPC varies the
 * age by a tenth. */
static void add_age(struct transport_args *args, unsigned age_ms)
{
    add_number(args, GRPC_ARG_MAX_CONNECTION_AGE_MS, (int)age_ms);
    add_number(args, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1);
    add_number(args, GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    add_number(args, GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
    add_number(args, GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
}

void transport_args_init(struct transport_args *args, const struct server_limits *limits,
                         grpc_resource_quota *quota)
{
    *args = (struct transport_args){.list = {.args = args->items}};
    add_number(args, GRPC_ARG_MINIMAL_STACK, limits->connection_age_ms == 0);
    add_number(args, GRPC_ARG_ENABLE_CHANNELZ, 0);
    add_number(args, GRPC_ARG_MAX_CONCURRENT_STREAMS,
               limits->streams ? (int)limits->streams : SERVER_STREAMS);
    add_number(args, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    add_number(args, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
               TRANSPORT_PING_INTERVAL_MIN_MS);
    add_quota(args, quota);
    if (limits->connection_age_ms)
        add_age(args, limits->connection_age_ms);
}
