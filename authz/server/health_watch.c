/* SPDX-License-Identifier: Apache-2.0 */
#include "health_watch.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>

void watches_init(struct watches *watches)
{
    *watches = (struct watches){.state = HEALTH_NOT_SERVING};
    for (size_t i = WATCHES_MAX; i-- > 0;) {
        struct watch *watch = &watches->all[i];

        watch->message = grpc_raw_byte_buffer_create(NULL, 0);
        watch->next_free = watches->free;
        watches->free = watch;
    }
}

void watches_done(struct watches *watches)
{
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        assert(!watches->all[i].grpc);
        grpc_byte_buffer_destroy(watches->all[i].message);
    }
}

/* --- sending ---------------------------------------------------------------------------------- */

static void start_batch(struct watch *watch, const grpc_op *ops, size_t op_count, void *tag)
{
    grpc_call_error error = grpc_call_start_batch(watch->grpc, ops, op_count, tag, NULL);

    assert(error == GRPC_CALL_OK); /* refused only for a batch that is put together wrongly */
    (void)error;
}

static void send_state(struct watch *watch, enum health_state state)
{
    const bool is_first = watch->sent == HEALTH_UNKNOWN;
    struct str reply = health_rpc_reply(state);
    grpc_op ops[2] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = watch->message}};

    grpc_slice_buffer_reset_and_unref(&watch->message->data.raw.slice_buffer);
    grpc_slice_buffer_add(&watch->message->data.raw.slice_buffer,
                          grpc_slice_from_static_buffer(reply.ptr, reply.len));
    watch->sent = state;
    watch->is_sending = true;
    start_batch(watch, is_first ? ops : ops + 1, is_first ? 2 : 1, &watch->sending);
}

/* Its end completes the other batch as well. */
static void send_end(struct watch *watch)
{
    grpc_slice why = grpc_slice_from_static_string("the server stops");
    const grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER,
                        .data.send_status_from_server = {.status = GRPC_STATUS_UNAVAILABLE,
                                                         .status_details = &why}};

    watch->is_ending = true;
    watch->is_sending = true;
    start_batch(watch, &op, 1, &watch->sending);
}

static void tell(const struct watches *watches, struct watch *watch)
{
    enum health_state state = watch->is_known ? watches->state : HEALTH_SERVICE_UNKNOWN;

    if (watch->is_sending || watch->is_ending || watch->is_closed)
        return;
    if (watch->sent != state)
        send_state(watch, state);
    else if (watches->is_ending)
        send_end(watch);
}

/* --- the life of a stream --------------------------------------------------------------------- */

static void await_close(struct watch *watch)
{
    const grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                        .data.recv_close_on_server.cancelled = &watch->is_cancelled};

    start_batch(watch, &op, 1, &watch->closed);
}

bool watches_begin(struct watches *watches, grpc_call *call, bool is_known_service)
{
    struct watch *watch = watches->free;

    if (!watch)
        return false;
    watches->free = watch->next_free;
    *watch = (struct watch){
        .grpc = call,
        .is_known = is_known_service,
        .message = watch->message,
    };
    atomic_fetch_add_explicit(&watches->open, 1, memory_order_relaxed);
    await_close(watch);
    tell(watches, watch);
    return true;
}

static void release(struct watches *watches, struct watch *watch)
{
    grpc_slice_buffer_reset_and_unref(&watch->message->data.raw.slice_buffer);
    grpc_call_unref(watch->grpc);
    watch->grpc = NULL;
    watch->next_free = watches->free;
    watches->free = watch;
    atomic_fetch_sub_explicit(&watches->open, 1, memory_order_relaxed);
}

bool watches_own(const struct watches *watches, const void *tag)
{
    return tag >= (const void *)watches->all && tag < (const void *)(watches->all + WATCHES_MAX);
}

void watches_on_event(struct watches *watches, void *tag)
{
    struct watch *watch = &watches->all[((char *)tag - (char *)watches->all) / sizeof(*watch)];

    if (tag == &watch->sending)
        watch->is_sending = false;
    else
        watch->is_closed = true;
    if (!watch->is_closed)
        tell(watches, watch);
    else if (!watch->is_sending)
        release(watches, watch);
}

void watches_tell(struct watches *watches, enum health_state state, bool is_ending)
{
    if (state == watches->state && is_ending == watches->is_ending)
        return;
    watches->state = state;
    watches->is_ending = is_ending;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (watches->all[i].grpc)
            tell(watches, &watches->all[i]);
}
