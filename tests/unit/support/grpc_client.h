/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: unary calls with gRPC core, as many at once as a test likes. One thread. */
#ifndef GRPC_CLIENT_H
#define GRPC_CLIENT_H

#include <stdbool.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "str.h"

#define CHECK_METHOD  "/envoy.service.auth.v3.Authorization/Check"
#define HEALTH_METHOD "/grpc.health.v1.Health/Check"
#define WATCH_METHOD  "/grpc.health.v1.Health/Watch"

struct grpc_client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
};

enum { CLIENT_REPLY_MAX = 4096 };

struct client_call {
    const char *method;
    struct str message;  /* ptr NULL: none is sent, only the end of the stream */
    unsigned timeout_ms; /* 0: 20 s */

    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *sent, *received;
    grpc_slice details;
    /* the result */
    grpc_status_code status;
    char reply[CLIENT_REPLY_MAX];
    size_t reply_length;
    bool has_reply;
};

/* `compression`: of what is sent, when that makes it smaller. */
static inline void grpc_client_open_compressing(struct grpc_client *client, const char *target,
                                                grpc_compression_algorithm compression)
{
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_arg list[] = {
        /* a connection of its own for each client */
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL},
         .value.integer = 1},
        {.type = GRPC_ARG_INTEGER,
         .key = (char[]){GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM},
         .value.integer = compression},
    };
    const grpc_channel_args args = {.num_args = 2, .args = list};

    client->channel = grpc_channel_create(target, credentials, &args);
    client->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_channel_credentials_release(credentials);
}

static inline void grpc_client_open(struct grpc_client *client, const char *target)
{
    grpc_client_open_compressing(client, target, GRPC_COMPRESS_NONE);
}

static inline void grpc_client_close(struct grpc_client *client)
{
    grpc_channel_destroy(client->channel);
    grpc_completion_queue_shutdown(client->queue);
    while (
        grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
        GRPC_QUEUE_SHUTDOWN)
        ;
    grpc_completion_queue_destroy(client->queue);
}

static inline grpc_byte_buffer *client_message(const struct client_call *c)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(c->message.ptr, c->message.len);
    grpc_byte_buffer *buffer;

    buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

static inline void client_start(struct grpc_client *client, struct client_call *c)
{
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_REALTIME),
                     gpr_time_from_millis(c->timeout_ms ? c->timeout_ms : 20000, GPR_TIMESPAN));
    grpc_op ops[6] = {{0}}, *op = ops;

    grpc_metadata_array_init(&c->initial);
    grpc_metadata_array_init(&c->trailing);
    c->details = grpc_empty_slice();
    c->call =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                 grpc_slice_from_static_string(c->method), NULL, deadline, NULL);
    *op++ = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    if (c->message.ptr) {
        c->sent = client_message(c);
        *op++ = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = c->sent};
    }
    *op++ = (grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    *op++ = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA,
                      .data.recv_initial_metadata.recv_initial_metadata = &c->initial};
    *op++ = (grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &c->received};
    *op++ = (grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                      .data.recv_status_on_client = {.trailing_metadata = &c->trailing,
                                                     .status = &c->status,
                                                     .status_details = &c->details}};
    (void)grpc_call_start_batch(c->call, ops, (size_t)(op - ops), c, NULL);
}

static inline void client_take_reply(struct client_call *c)
{
    grpc_byte_buffer_reader reader;
    grpc_slice all;

    c->has_reply = c->received != NULL;
    if (!c->received || !grpc_byte_buffer_reader_init(&reader, c->received))
        return;
    all = grpc_byte_buffer_reader_readall(&reader);
    c->reply_length = GRPC_SLICE_LENGTH(all);
    if (c->reply_length <= sizeof(c->reply))
        memcpy(c->reply, GRPC_SLICE_START_PTR(all), c->reply_length);
    grpc_slice_unref(all);
    grpc_byte_buffer_reader_destroy(&reader);
}

/* Waits for any call to end and returns it; its result is set, everything else released. */
static inline struct client_call *client_finish(struct grpc_client *client)
{
    grpc_event event =
        grpc_completion_queue_next(client->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    struct client_call *c = event.tag;

    client_take_reply(c);
    grpc_metadata_array_destroy(&c->initial);
    grpc_metadata_array_destroy(&c->trailing);
    grpc_slice_unref(c->details);
    grpc_byte_buffer_destroy(c->sent);
    grpc_byte_buffer_destroy(c->received);
    grpc_call_unref(c->call);
    return c;
}

static inline void client_run(struct grpc_client *client, struct client_call *call)
{
    client_start(client, call);
    (void)client_finish(client);
}

static inline struct str client_reply(const struct client_call *call)
{
    return (struct str){call->reply, call->reply_length};
}

#endif
