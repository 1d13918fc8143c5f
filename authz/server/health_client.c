/* SPDX-License-Identifier: Apache-2.0 */
#include "health_client.h"

#include <errno.h>
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdint.h>
#include <stdio.h>

#include "addr.h"
#include "beat.h"
#include "cleanup.h"
#include "credentials.h"
#include "health.pb-c.h"
#include "listener.h"
#include "tunnel.h"

typedef Grpc__Health__V1__HealthCheckRequest health_request;
typedef Grpc__Health__V1__HealthCheckResponse health_response;

static const char METHOD[] = "/grpc.health.v1.Health/Check";

/* --- the address ------------------------------------------------------------------------------ */

int health_address_check(struct str address, struct diag *diag)
{
    if (str_has_prefix(address, STR("unix:")) && str_find_char(address, ',') >= 0)
        return diag_set(diag, -EINVAL, "expected no options behind the path");
    return listener_check(address, diag);
}

/* gRPC's names are URIs: what has a meaning there is written as %XX. */
static void append_encoded(char **at, struct str text)
{
    static const char PLAIN[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-._~/:";

    for (size_t i = 0; i < text.len; i++)
        if (memchr(PLAIN, text.ptr[i], sizeof(PLAIN) - 1))
            *(*at)++ = text.ptr[i];
        else
            *at += sprintf(*at, "%%%02X", (unsigned char)text.ptr[i]);
}

/* On the heap, or NULL without memory. */
static char *target_of(struct str address)
{
    static const struct {
        struct str ours, theirs;
    } FORMS[] = {
        {STR_INIT("unix:@"), STR_INIT("unix-abstract:")},
        {STR_INIT("unix:"), STR_INIT("unix:")},
        {STR_INIT("["), STR_INIT("ipv6:%5B")},
        {STR_INIT(""), STR_INIT("ipv4:")},
    };
    enum { ENCODED_MAX = 3, PREFIX_MAX = 16 };
    char *target = malloc(PREFIX_MAX + ENCODED_MAX * address.len + 1);
    char *at = target;
    size_t form = 0;

    if (!target)
        return NULL;
    while (!str_has_prefix(address, FORMS[form].ours))
        form++;
    memcpy(at, FORMS[form].theirs.ptr, FORMS[form].theirs.len);
    at += FORMS[form].theirs.len;
    append_encoded(&at, str_from_offset(address, FORMS[form].ours.len));
    *at = '\0';
    return target;
}

/* --- the call --------------------------------------------------------------------------------- */

struct inquiry {
    grpc_channel *channel;
    grpc_completion_queue *queue;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_byte_buffer *request, *reply;
    grpc_status_code status;
    grpc_slice details;
};

/* On `fd`, which it takes over, unless that is -1. */
static grpc_channel *open_channel(const char *target, int fd)
{
    static char no_proxy[] = GRPC_ARG_ENABLE_HTTP_PROXY;
    grpc_arg direct = {.type = GRPC_ARG_INTEGER, .key = no_proxy, .value.integer = 0};
    const grpc_channel_args args = {.num_args = 1, .args = &direct};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel = fd < 0 ? grpc_channel_create(target, credentials, &args)
                                   : grpc_channel_create_from_fd(target, fd, credentials, &args);

    grpc_channel_credentials_release(credentials);
    return channel;
}

static grpc_byte_buffer *pack_request(const char *service)
{
    health_request message;
    grpc_byte_buffer *buffer;
    char *name = str_dup(str_from(service)); /* the generated struct is not const-correct */
    grpc_slice slice;

    if (!name)
        return NULL;
    grpc__health__v1__health_check_request__init(&message); /* nor is its initializer */
    message.service = name;
    slice = grpc_slice_malloc(grpc__health__v1__health_check_request__get_packed_size(&message));
    (void)grpc__health__v1__health_check_request__pack(&message, GRPC_SLICE_START_PTR(slice));
    buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    free(name);
    return buffer;
}

/* Everything in one batch, whose only event says that the call has ended. */
static void run_call(struct inquiry *inquiry, gpr_timespec deadline)
{
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = inquiry->request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &inquiry->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &inquiry->reply},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &inquiry->trailing,
                                        .status = &inquiry->status,
                                        .status_details = &inquiry->details}},
    };

    inquiry->call =
        grpc_channel_create_call(inquiry->channel, NULL, GRPC_PROPAGATE_DEFAULTS, inquiry->queue,
                                 grpc_slice_from_static_string(METHOD), NULL, deadline, NULL);
    (void)grpc_call_start_batch(inquiry->call, ops, sizeof(ops) / sizeof(ops[0]), inquiry, NULL);
    (void)grpc_completion_queue_next(inquiry->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
}

static void inquiry_open(struct inquiry *inquiry, const char *target, int fd)
{
    *inquiry = (struct inquiry){
        .channel = open_channel(target, fd),
        .queue = grpc_completion_queue_create_for_next(NULL),
        .details = grpc_empty_slice(),
        .status = GRPC_STATUS_UNKNOWN,
    };
    grpc_metadata_array_init(&inquiry->initial);
    grpc_metadata_array_init(&inquiry->trailing);
}

static void inquiry_close(struct inquiry *inquiry)
{
    if (inquiry->call)
        grpc_call_unref(inquiry->call);
    grpc_channel_destroy(inquiry->channel);
    grpc_completion_queue_shutdown(inquiry->queue);
    (void)grpc_completion_queue_next(inquiry->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    grpc_completion_queue_destroy(inquiry->queue);
    grpc_metadata_array_destroy(&inquiry->initial);
    grpc_metadata_array_destroy(&inquiry->trailing);
    grpc_byte_buffer_destroy(inquiry->request);
    grpc_byte_buffer_destroy(inquiry->reply);
    grpc_slice_unref(inquiry->details);
}

/* --- the answer ------------------------------------------------------------------------------- */

static bool judge_reply(grpc_byte_buffer *reply, char why[HEALTH_WHY_MAX])
{
    const ProtobufCEnumValue *name;
    grpc_byte_buffer_reader reader;
    health_response *response;
    bool is_serving;
    grpc_slice all;

    (void)snprintf(why, HEALTH_WHY_MAX, "an answer that is no HealthCheckResponse");
    if (!reply || !grpc_byte_buffer_reader_init(&reader, reply))
        return false;
    all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    response = grpc__health__v1__health_check_response__unpack(NULL, GRPC_SLICE_LENGTH(all),
                                                               GRPC_SLICE_START_PTR(all));
    grpc_slice_unref(all);
    if (!response)
        return false;
    name = protobuf_c_enum_descriptor_get_value(
        &grpc__health__v1__health_check_response__serving_status__descriptor,
        (int)response->status);
    (void)snprintf(why, HEALTH_WHY_MAX, "%s", name ? name->name : "a status that is unknown here");
    is_serving =
        response->status == GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
    grpc__health__v1__health_check_response__free_unpacked(response, NULL);
    return is_serving;
}

static bool judge(const struct inquiry *inquiry, unsigned timeout_ms, char why[HEALTH_WHY_MAX])
{
    switch (inquiry->status) {
    case GRPC_STATUS_OK:
        return judge_reply(inquiry->reply, why);
    case GRPC_STATUS_DEADLINE_EXCEEDED:
        (void)snprintf(why, HEALTH_WHY_MAX, "no answer within %u ms", timeout_ms);
        return false;
    default:
        (void)snprintf(why, HEALTH_WHY_MAX, "%.*s (gRPC status %d)",
                       (int)GRPC_SLICE_LENGTH(inquiry->details),
                       (const char *)GRPC_SLICE_START_PTR(inquiry->details), (int)inquiry->status);
        return false;
    }
}

static gpr_timespec deadline_of(const struct health_question *question)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(question->timeout_ms, GPR_TIMESPAN));
}

static int ask(const struct health_question *question, const char *target, int fd,
               gpr_timespec deadline, bool *ret_is_serving, char ret_why[HEALTH_WHY_MAX])
{
    CLEANUP(inquiry_close) struct inquiry inquiry;

    inquiry_open(&inquiry, target, fd);
    inquiry.request = pack_request(question->service);
    if (!inquiry.request)
        return -ENOMEM;
    run_call(&inquiry, deadline);
    *ret_is_serving = judge(&inquiry, question->timeout_ms, ret_why);
    return 0;
}

static int ask_plainly(const struct health_question *question, bool *ret_is_serving,
                       char ret_why[HEALTH_WHY_MAX])
{
    CLEANUP(freep) char *target = target_of(str_from(question->address));

    if (!target)
        return -ENOMEM;
    return ask(question, target, -1, deadline_of(question), ret_is_serving, ret_why);
}

/* gRPC talks into a tunnel. */
static int ask_through_tls(const struct health_question *question, bool *ret_is_serving,
                           char ret_why[HEALTH_WHY_MAX], struct diag *diag)
{
    CLEANUP(credentials_freep) struct credentials *credentials = NULL;
    CLEANUP(tunnel_closep) struct tunnel *tunnel = NULL;
    const gpr_timespec deadline = deadline_of(question);
    const struct str address = str_from(question->address);
    struct endpoint server;
    int r = credentials_read(question->tls, &credentials, diag);

    if (r < 0)
        return r;
    (void)endpoint_parse((struct str){address.ptr, address.len - STR(",tls").len}, &server);
    r = tunnel_open(&server, credentials, question->timeout_ms, &tunnel, ret_why);
    *ret_is_serving = false;
    if (r == -ECONNREFUSED)
        return 0;
    if (r < 0)
        return r;
    return ask(question, "synauthz", tunnel_take_fd(tunnel), deadline, ret_is_serving, ret_why);
}

int health_client_ask(const struct health_question *question, bool *ret_is_serving,
                      char ret_why[HEALTH_WHY_MAX], struct diag *diag)
{
    const struct str address = str_from(question->address);
    int r = health_address_check(address, diag);

    if (r < 0)
        return r;
    grpc_init();
    r = listener_spec_is_tls(address) ? ask_through_tls(question, ret_is_serving, ret_why, diag)
                                      : ask_plainly(question, ret_is_serving, ret_why);
    grpc_shutdown_blocking();
    return r < 0 ? diag_set(diag, r, "cannot ask: %s", strerror(-r)) : 0;
}
