/* SPDX-License-Identifier: Apache-2.0 */
/* The floor under a Check: what gRPC core costs when nobody looks at the request.
 *
 *     floor_server ADDRESS...      unix:/path or IP:PORT
 *
 * The built-in listener, one thread and one completion queue, one registered method whose request
 * arrives with the call, one final batch, a static reply of the size of an allow with two headers.
 * Nothing is decoded.  Linked and set up as the product is, so that the difference is our own work.
 * Ends on SIGTERM. */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

enum { SLOTS = 128, MAX_STREAMS = 128, QUOTA_BYTES = 64 << 20 };

/* CheckResponse: an empty status (OK), ok_response with two headers to set. 71 bytes. */
static const unsigned char ALLOW[] = "\x0a\x00"
                                     "\x1a\x43"
                                     "\x12\x21\x0a\x1d\x0a\x09x-tcp-p0f\x12\x10"
                                     "4:64+0:0:1460:m*"
                                     "\x12\x00"
                                     "\x12\x1e\x0a\x1a\x0a\x0cx-tcp-family\x12\x0a"
                                     "linux-5.10"
                                     "\x12\x00";
static_assert(sizeof(ALLOW) - 1 == 71, "the size that the reference measurements used");

struct floor {
    grpc_server *server;
    grpc_completion_queue *queue;
    void *check; /* the registered method */
    grpc_slice reply;
};

/* One pre-posted call. `answered` tells its two events apart. */
struct slot {
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *request;
    grpc_byte_buffer *reply; /* one for each call: sending empties it */
    int cancelled;
    bool answered;
};

static void slot_post(struct floor *floor, struct slot *slot)
{
    slot->answered = false;
    slot->metadata.count = 0;
    if (grpc_server_request_registered_call(floor->server, floor->check, &slot->call,
                                            &slot->deadline, &slot->metadata, &slot->request,
                                            floor->queue, floor->queue, slot) != GRPC_CALL_OK)
        abort();
}

static void slot_answer(struct floor *floor, struct slot *slot)
{
    grpc_byte_buffer *reply = grpc_raw_byte_buffer_create(&floor->reply, 1);
    const grpc_op batch[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = reply},
        {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
         .data.send_status_from_server.status = GRPC_STATUS_OK},
        {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
         .data.recv_close_on_server.cancelled = &slot->cancelled},
    };

    slot->answered = true;
    slot->reply = reply;
    if (grpc_call_start_batch(slot->call, batch, sizeof(batch) / sizeof(batch[0]), slot, NULL) !=
        GRPC_CALL_OK)
        abort();
}

static void slot_finish(struct floor *floor, struct slot *slot)
{
    grpc_byte_buffer_destroy(slot->request);
    grpc_byte_buffer_destroy(slot->reply);
    grpc_call_unref(slot->call);
    slot_post(floor, slot);
}

static void run(struct floor *floor)
{
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(floor->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        struct slot *slot = event.tag;

        if (event.type != GRPC_OP_COMPLETE || !event.success)
            return;
        if (slot->answered)
            slot_finish(floor, slot);
        else
            slot_answer(floor, slot);
    }
}

static grpc_server *make_server(void)
{
    /* grpc_arg wants its keys writable */
    static char minimal_stack[] = GRPC_ARG_MINIMAL_STACK, channelz[] = GRPC_ARG_ENABLE_CHANNELZ,
                reuseport[] = GRPC_ARG_ALLOW_REUSEPORT, quota_key[] = GRPC_ARG_RESOURCE_QUOTA,
                max_streams[] = GRPC_ARG_MAX_CONCURRENT_STREAMS;
    grpc_resource_quota *quota = grpc_resource_quota_create("floor");
    grpc_arg args[] = {
        {.type = GRPC_ARG_INTEGER, .key = minimal_stack, .value.integer = 1},
        {.type = GRPC_ARG_INTEGER, .key = channelz, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = reuseport, .value.integer = 0},
        {.type = GRPC_ARG_INTEGER, .key = max_streams, .value.integer = MAX_STREAMS},
        {.type = GRPC_ARG_POINTER,
         .key = quota_key,
         .value.pointer = {quota, grpc_resource_quota_arg_vtable()}},
    };
    const grpc_channel_args all = {sizeof(args) / sizeof(args[0]), args};
    grpc_server *server;

    grpc_resource_quota_resize(quota, QUOTA_BYTES);
    server = grpc_server_create(&all, NULL);
    grpc_resource_quota_unref(quota);
    return server;
}

static bool listen_on(grpc_server *server, const char *address)
{
    grpc_server_credentials *credentials = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(server, address, credentials);

    grpc_server_credentials_release(credentials);
    if (port == 0)
        (void)fprintf(stderr, "floor_server: cannot listen on %s\n", address);
    return port != 0;
}

int main(int argc, char **argv)
{
    static struct slot slots[SLOTS];
    struct floor floor = {.reply = grpc_slice_from_static_buffer(ALLOW, sizeof(ALLOW) - 1)};

    grpc_init();
    floor.server = make_server();
    floor.queue = grpc_completion_queue_create_for_next(NULL);
    floor.check =
        grpc_server_register_method(floor.server, "/envoy.service.auth.v3.Authorization/Check",
                                    NULL, GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
    grpc_server_register_completion_queue(floor.server, floor.queue, NULL);
    for (int i = 1; i < argc; i++)
        if (!listen_on(floor.server, argv[i]))
            return 1;
    grpc_server_start(floor.server);
    for (size_t i = 0; i < SLOTS; i++) {
        grpc_metadata_array_init(&slots[i].metadata);
        slot_post(&floor, &slots[i]);
    }
    (void)fprintf(stderr, "floor_server: ready\n");
    run(&floor);
    return 1; /* only a broken queue ends the loop */
}
