/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/slice_buffer.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "health_rpc.h"
#include "num.h"
#include "request_pieces.h"

/* What goes back: a message, or a status other than OK with a word why; or nothing from here. */
struct answer {
    bool is_handed_over; /* the call is somebody else's now; nothing else is set */
    grpc_status_code status;
    const char *why;  /* static */
    struct str reply; /* set when the status is OK; copied before it is sent */
};

static struct answer refusal(grpc_status_code status, const char *why)
{
    return (struct answer){.status = status, .why = why};
}

static struct answer message(struct str reply)
{
    if (reply.len == 0) /* a mistake of ours; to Envoy, an empty CheckResponse means allow */
        return refusal(GRPC_STATUS_INTERNAL, "no reply");
    return (struct answer){.status = GRPC_STATUS_OK, .why = "", .reply = reply};
}

/* --- the request ------------------------------------------------------------------------------ */

/* A small slice lies in the object itself. */
static struct str slice_text(const grpc_slice *slice)
{
    return (struct str){(const char *)GRPC_SLICE_START_PTR(*slice), GRPC_SLICE_LENGTH(*slice)};
}

/* The bytes of the message: where gRPC has them if they are in one piece, else copied, but for a
 * body that Envoy sent along.  Returns false when the arena is full. */
static bool read_bytes(grpc_byte_buffer *buffer, struct arena *arena, struct str *ret_bytes)
{
    const grpc_slice_buffer *slices = &buffer->data.raw.slice_buffer;
    struct str *pieces;

    if (slices->count == 1) {
        *ret_bytes = slice_text(&slices->slices[0]);
        return true;
    }
    pieces = arena_calloc(arena, slices->count, sizeof(*pieces));
    if (!pieces)
        return false;
    for (size_t i = 0; i < slices->count; i++)
        pieces[i] = slice_text(&slices->slices[i]);
    return request_pieces_join(pieces, slices->count, arena, ret_bytes);
}

static bool is_late(gpr_timespec deadline)
{
    return gpr_time_cmp(gpr_now(deadline.clock_type), deadline) >= 0;
}

/* Of the initial metadata, which Envoy's `initial_metadata` sets, what a request is read by. */
static void read_metadata(const grpc_metadata_array *metadata, struct request_wire *wire)
{
    static const struct str PEER = STR_INIT("x-synauthz-peer-header");
    static const struct str LOCAL = STR_INIT("x-synauthz-local-header");

    for (size_t i = 0; i < metadata->count; i++) {
        const grpc_metadata *entry = &metadata->metadata[i];
        struct str key = slice_text(&entry->key);

        if (str_eq(key, PEER))
            wire->peer_header = slice_text(&entry->value);
        else if (str_eq(key, LOCAL))
            wire->local_header = slice_text(&entry->value);
    }
}

static enum health_state health_of(const struct call_shared *shared)
{
    return atomic_load(&shared->is_serving) ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

void call_port_tell_watchers(struct call_port *port)
{
    watches_tell(&port->watches, health_of(port->shared),
                 atomic_load_explicit(&port->shared->is_draining, memory_order_acquire));
}

/* --- the answers ------------------------------------------------------------------------------ */

static enum check_outcome answer_bytes(struct call *call, struct str *ret_reply)
{
    struct check_rpc *check = &call->port->check;
    struct request_wire wire = {.peer_header = {NULL, 0}};

    check_rpc_begin(check);
    if (call->request->data.raw.slice_buffer.length > check->limits.bytes_max ||
        !read_bytes(call->request, &check->arena, &wire.message))
        return check_rpc_refuse_size(check, ret_reply);
    read_metadata(&call->metadata, &wire);
    return check_rpc_answer(check, &wire, ret_reply);
}

static struct answer answer_check(struct call *call)
{
    struct str reply = {NULL, 0};

    switch (answer_bytes(call, &reply)) {
    case CHECK_ALLOWED:
    case CHECK_DENIED:
    case CHECK_OVERSIZE:
        return message(reply);
    case CHECK_MALFORMED:
        return refusal(GRPC_STATUS_INVALID_ARGUMENT, "not a CheckRequest");
    default: /* with a reply where the server was told to answer a fault with one */
        return reply.ptr ? message(reply) : refusal(GRPC_STATUS_UNAVAILABLE, "cannot decide now");
    }
}

static struct answer answer_watch(struct call *call, bool is_known_service)
{
    call_port_tell_watchers(call->port); /* so that the first state is the newest one */
    if (!watches_begin(&call->port->watches, call->grpc, is_known_service))
        return refusal(GRPC_STATUS_RESOURCE_EXHAUSTED, "too many watchers");
    return (struct answer){.is_handed_over = true};
}

static struct answer answer_health(struct call *call)
{
    struct check_rpc *check = &call->port->check;
    enum health_request asked;
    struct str wire;

    check_rpc_begin(check); /* for its arena */
    if (!read_bytes(call->request, &check->arena, &wire))
        return refusal(GRPC_STATUS_RESOURCE_EXHAUSTED, "message too large");
    asked = health_rpc_read(wire, &check->arena);
    if (asked == HEALTH_MALFORMED)
        return refusal(GRPC_STATUS_INVALID_ARGUMENT, "not a HealthCheckRequest");
    if (call->kind == CALL_WATCH)
        return answer_watch(call, asked == HEALTH_KNOWN_SERVICE);
    if (asked == HEALTH_UNKNOWN_SERVICE)
        return refusal(GRPC_STATUS_NOT_FOUND, "no such service");
    return message(health_rpc_reply(health_of(call->port->shared)));
}

/* Before the message is looked at. */
static struct answer refuse(struct call *call, atomic_uint_fast64_t *checks,
                            grpc_status_code status, const char *why)
{
    if (call->kind == CALL_CHECK)
        check_tally_count(checks);
    return refusal(status, why);
}

static struct answer answer(struct call *call)
{
    struct call_counts *counts = &call->port->counts;

    if (call->kind == CALL_UNKNOWN)
        return refusal(GRPC_STATUS_UNIMPLEMENTED, "no such method");
    if (is_late(call->deadline))
        return refuse(call, &counts->late, GRPC_STATUS_DEADLINE_EXCEEDED,
                      "the deadline has passed");
    if (!call->request)
        return refuse(call, &counts->unreadable, GRPC_STATUS_INVALID_ARGUMENT, "no message");
    if (call->request->data.raw.compression != GRPC_COMPRESS_NONE)
        return refuse(call, &counts->unreadable, GRPC_STATUS_UNIMPLEMENTED,
                      "compressed messages are not supported");
    return call->kind == CALL_CHECK ? answer_check(call) : answer_health(call);
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The socket of a connection that we handed to gRPC: its peer is then "fd:NUMBER", and the number
 * is not used again before the connection's last call has ended.  -1: not one of ours. */
static int socket_of(const struct call *call, enum socket_kind *ret_kind)
{
    const struct call_shared *shared = call->port->shared;
    char *peer = grpc_call_get_peer(call->grpc);
    struct str name = str_from(peer);
    uint64_t fd = 0;

    *ret_kind = SOCKET_OTHER;
    if (str_has_prefix(name, STR("fd:")) && shared->socket_count > 0 &&
        num_parse_u64(str_from_offset(name, 3), 0, (uint64_t)shared->socket_count - 1, &fd) == 0)
        *ret_kind =
            (enum socket_kind)atomic_load_explicit(&shared->sockets[fd], memory_order_relaxed);
    gpr_free(peer);
    return *ret_kind == SOCKET_OTHER ? -1 : (int)fd;
}

static void gather_reply(struct call *call)
{
    enum socket_kind kind;
    int fd;

    if (!cork_is_gathering(&call->port->cork))
        return;
    fd = socket_of(call, &kind);
    if (kind == SOCKET_TCP)
        cork_reply(&call->port->cork, fd);
}

/* RECV_CLOSE belongs to it: without it, gRPC cancels the call when it is released, at a price. */
static size_t build_batch(struct call *call, const struct answer *answer, grpc_slice *why,
                          grpc_op ops[4])
{
    grpc_op *op = ops;

    *op++ = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    if (answer->status == GRPC_STATUS_OK)
        *op++ =
            (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = call->reply};
    *op++ = (grpc_op){
        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
        .data.send_status_from_server = {.status = answer->status, .status_details = why}};
    *op++ = (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                      .data.recv_close_on_server.cancelled = &call->is_cancelled};
    return (size_t)(op - ops);
}

static void send_answer(struct call *call, const struct answer *answer)
{
    grpc_slice why = grpc_slice_from_static_string(answer->why);
    grpc_op ops[4];
    size_t op_count;
    grpc_call_error error;

    if (answer->status == GRPC_STATUS_OK)
        grpc_slice_buffer_add(&call->reply->data.raw.slice_buffer,
                              grpc_slice_from_copied_buffer(answer->reply.ptr, answer->reply.len));
    op_count = build_batch(call, answer, &why, ops);
    gather_reply(call);
    error = grpc_call_start_batch(call->grpc, ops, op_count, call, NULL);
    assert(error == GRPC_CALL_OK); /* refused only for a batch that is put together wrongly */
    (void)error;
}

/* --- the life of a slot ----------------------------------------------------------------------- */

void call_init(struct call *call, struct call_port *port, enum call_kind kind)
{
    *call = (struct call){.kind = kind, .port = port};
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    call->reply = grpc_raw_byte_buffer_create(NULL, 0);
}

void call_done(struct call *call)
{
    assert(call->state == CALL_IDLE);
    grpc_byte_buffer_destroy(call->reply);
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
}

static grpc_call_error request_call(struct call *call)
{
    struct call_port *port = call->port;

    if (call->kind == CALL_UNKNOWN)
        return grpc_server_request_call(port->server, &call->grpc, &call->details, &call->metadata,
                                        port->queue, port->queue, call);
    return grpc_server_request_registered_call(port->server, port->methods[call->kind], &call->grpc,
                                               &call->deadline, &call->metadata, &call->request,
                                               port->queue, port->queue, call);
}

void call_arm(struct call *call)
{
    call->state = CALL_IDLE;
    if (atomic_load_explicit(&call->port->shared->is_draining, memory_order_acquire))
        return;
    call->metadata.count = 0; /* its strings belonged to the last call */
    call->state = CALL_WAITING;
    if (request_call(call) != GRPC_CALL_OK)
        call->state = CALL_IDLE;
}

static void release_request(struct call *call)
{
    if (call->request)
        grpc_byte_buffer_destroy(call->request);
    call->request = NULL;
}

/* The call is released, or another's. */
static void be_idle(struct call *call)
{
    call->grpc = NULL;
    atomic_fetch_sub_explicit(&call->port->counts.in_flight, 1, memory_order_relaxed);
    call->state = CALL_IDLE;
}

static void on_matched(struct call *call)
{
    struct answer answered;

    atomic_fetch_add_explicit(&call->port->counts.in_flight, 1, memory_order_relaxed);
    cork_on_request(&call->port->cork);
    call->state = CALL_REPLYING;
    call->sweeps = 0;
    call->is_overdue = false;
    answered = answer(call);
    if (answered.is_handed_over)
        be_idle(call);
    else
        send_answer(call, &answered);
    check_rpc_end(&call->port->check);
    release_request(call); /* which the log still read from */
}

static void release_details(struct call *call)
{
    grpc_call_details_destroy(&call->details);
    grpc_call_details_init(&call->details);
}

static void on_finished(struct call *call)
{
    cork_on_finished(&call->port->cork);
    if (call->is_cancelled)
        check_tally_count(&call->port->counts.cancelled);
    grpc_slice_buffer_reset_and_unref(&call->reply->data.raw.slice_buffer);
    if (call->kind == CALL_UNKNOWN)
        release_details(call);
    grpc_call_unref(call->grpc);
    be_idle(call);
}

void call_on_event(struct call *call, bool success)
{
    if (call->state == CALL_REPLYING) {
        on_finished(call);
        return;
    }
    if (success)
        on_matched(call);
    else
        call->state = CALL_IDLE; /* the server shuts down */
}

static gpr_timespec deadline_of(const struct call *call)
{
    return call->kind == CALL_UNKNOWN ? call->details.deadline : call->deadline;
}

/* Sockets have inode numbers that are not used again for long. 0: not open. */
static ino_t socket_inode(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 ? st.st_ino : 0;
}

bool call_sweep(struct call *call, unsigned sweeps_max)
{
    enum socket_kind kind;

    if (call->is_overdue) {
        if (call->socket && socket_inode(call->fd) == call->socket)
            (void)shutdown(call->fd, SHUT_RDWR);
        return false;
    }
    call->sweeps++;
    if (call->sweeps < sweeps_max && !is_late(deadline_of(call)))
        return false;
    call->is_overdue = true;
    call->fd = socket_of(call, &kind); /* gRPC does not know it any more afterwards */
    call->socket = socket_inode(call->fd);
    (void)grpc_call_cancel(call->grpc, NULL);
    return true;
}
