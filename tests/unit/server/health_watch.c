/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health/Watch, with gRPC's own client. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "health_rpc.h"
#include "server_fixture.h"
#include "health_watch.h"

enum { PATIENCE_S = 60 };

#define AUTHORIZATION                                                                              \
    STR("\x0a\x23"                                                                                 \
        "envoy.service.auth.v3.Authorization")
#define EVERYTHING STR("")
#define NOTHING                                                                                    \
    STR("\x0a\x03"                                                                                 \
        "foo")

/* --- a stream --------------------------------------------------------------------------------- */

struct stream {
    struct grpc_client *client;
    grpc_call *call;
    grpc_metadata_array initial, trailing;
    grpc_slice details;
    grpc_status_code status;
    grpc_byte_buffer *received;
};

/* The only event that is awaited on this queue. */
static bool next_event(struct stream *stream)
{
    grpc_event event = grpc_completion_queue_next(
        stream->client->queue,
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_seconds(PATIENCE_S, GPR_TIMESPAN)),
        NULL);

    assert_int_equal(event.type, GRPC_OP_COMPLETE);
    return event.success;
}

static void run_batch(struct stream *stream, const grpc_op *ops, size_t count)
{
    assert_int_equal(grpc_call_start_batch(stream->call, ops, count, stream, NULL), GRPC_CALL_OK);
    (void)next_event(stream);
}

static void stream_open(struct stream *stream, struct grpc_client *client, struct str request)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(request.ptr, request.len);
    grpc_byte_buffer *sent = grpc_raw_byte_buffer_create(&slice, 1);
    const grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = sent},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
    };

    *stream = (struct stream){.client = client};
    grpc_metadata_array_init(&stream->initial);
    grpc_metadata_array_init(&stream->trailing);
    stream->call =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, client->queue,
                                 grpc_slice_from_static_string(WATCH_METHOD), NULL,
                                 gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    run_batch(stream, ops, 3);
    run_batch(stream,
              &(grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA,
                         .data.recv_initial_metadata.recv_initial_metadata = &stream->initial},
              1);
    grpc_byte_buffer_destroy(sent);
    grpc_slice_unref(slice);
}

/* The next state; HEALTH_UNKNOWN when the stream has ended. */
static enum health_state stream_read(struct stream *stream)
{
    enum health_state state = HEALTH_UNKNOWN;

    run_batch(
        stream,
        &(grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &stream->received},
        1);
    if (stream->received) {
        grpc_byte_buffer_reader reader;
        grpc_slice all;

        assert_true(grpc_byte_buffer_reader_init(&reader, stream->received));
        all = grpc_byte_buffer_reader_readall(&reader);
        assert_int_equal(GRPC_SLICE_LENGTH(all), 2);
        assert_int_equal(GRPC_SLICE_START_PTR(all)[0], 0x08);
        state = (enum health_state)GRPC_SLICE_START_PTR(all)[1];
        grpc_slice_unref(all);
        grpc_byte_buffer_reader_destroy(&reader);
        grpc_byte_buffer_destroy(stream->received);
    }
    return state;
}

static grpc_status_code stream_status(struct stream *stream)
{
    run_batch(stream,
              &(grpc_op){.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                         .data.recv_status_on_client = {.trailing_metadata = &stream->trailing,
                                                        .status = &stream->status,
                                                        .status_details = &stream->details}},
              1);
    grpc_slice_unref(stream->details);
    return stream->status;
}

static void stream_close(struct stream *stream)
{
    (void)grpc_call_cancel(stream->call, NULL);
    grpc_call_unref(stream->call);
    grpc_metadata_array_destroy(&stream->initial);
    grpc_metadata_array_destroy(&stream->trailing);
}

static void wait_for_watchers(struct fixture *f, uint64_t count)
{
    for (int tries = 0; tries < PATIENCE_S * 1000 && counts_of(f).watchers != count; tries++)
        (void)usleep(1000);
    assert_int_equal(counts_of(f).watchers, count);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void each_service_is_told_its_state_and_every_change(void **state)
{
    struct fixture *f = *state;
    const struct {
        struct str request;
        enum health_state first, second;
    } rows[] = {
        {EVERYTHING, HEALTH_SERVING, HEALTH_NOT_SERVING},
        {AUTHORIZATION, HEALTH_SERVING, HEALTH_NOT_SERVING},
    };

    start(f, 2, 0);
    for (size_t i = 0; i < 2; i++) {
        struct grpc_client client;
        struct stream stream;

        server_set_serving(f->server, true);
        grpc_client_open(&client, i ? f->unix_target : f->tcp_target);
        stream_open(&stream, &client, rows[i].request);
        assert_int_equal(stream_read(&stream), rows[i].first);
        for (int change = 0; change < 2; change++) {
            server_set_serving(f->server, false);
            assert_int_equal(stream_read(&stream), rows[i].second);
            server_set_serving(f->server, true);
            assert_int_equal(stream_read(&stream), rows[i].first);
        }
        stream_close(&stream);
        grpc_client_close(&client);
    }
    wait_for_watchers(f, 0);
    assert_int_equal(counts_of(f).in_flight, 0);
}

static void *run_stop(void *context)
{
    stop(context, PATIENCE_S * 1000);
    return NULL;
}

/* The state before the end: a client that has read it knows why, and an unknown service stays. */
static void a_stream_ends_with_the_server_and_not_before(void **state)
{
    struct fixture *f = *state;
    struct grpc_client clients[2];
    struct stream known, unknown;
    pthread_t thread;

    start(f, 1, 0);
    grpc_client_open(&clients[0], f->unix_target);
    grpc_client_open(&clients[1], f->unix_target);
    stream_open(&known, &clients[0], AUTHORIZATION);
    assert_int_equal(stream_read(&known), HEALTH_SERVING);
    stream_open(&unknown, &clients[1], NOTHING);
    assert_int_equal(stream_read(&unknown), HEALTH_SERVICE_UNKNOWN);
    assert_int_equal(counts_of(f).watchers, 2);
    server_set_serving(f->server, false); /* does not concern the unknown one */
    assert_int_equal(stream_read(&known), HEALTH_NOT_SERVING);
    server_set_serving(f->server, true);
    assert_int_equal(stream_read(&known), HEALTH_SERVING);
    assert_int_equal(pthread_create(&thread, NULL, run_stop, f), 0);
    assert_int_equal(stream_read(&known), HEALTH_NOT_SERVING);
    assert_int_equal(stream_read(&known), HEALTH_UNKNOWN);
    assert_int_equal(stream_status(&known), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(stream_read(&unknown), HEALTH_UNKNOWN);
    assert_int_equal(stream_status(&unknown), GRPC_STATUS_UNAVAILABLE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    stream_close(&known);
    stream_close(&unknown);
    grpc_client_close(&clients[0]);
    grpc_client_close(&clients[1]);
}

/* Each client's connection has streams enough for half of them. */
static void watchers_are_bounded_and_those_that_leave_make_room(void **state)
{
    enum { CLIENTS = 2, EACH = WATCHES_MAX / CLIENTS };
    struct fixture *f = *state;
    struct grpc_client clients[CLIENTS], last;
    struct stream *streams = calloc(WATCHES_MAX, sizeof(*streams)), more;

    start(f, 1, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        grpc_client_open(&clients[i], f->unix_target);
    for (size_t i = 0; i < WATCHES_MAX; i++) {
        stream_open(&streams[i], &clients[i / EACH], EVERYTHING);
        assert_int_equal(stream_read(&streams[i]), HEALTH_SERVING);
    }
    assert_int_equal(counts_of(f).watchers, WATCHES_MAX);
    grpc_client_open(&last, f->unix_target);
    stream_open(&more, &last, EVERYTHING);
    assert_int_equal(stream_read(&more), HEALTH_UNKNOWN);
    assert_int_equal(stream_status(&more), GRPC_STATUS_RESOURCE_EXHAUSTED);
    stream_close(&more);

    stream_close(&streams[0]); /* cancelled */
    wait_for_watchers(f, WATCHES_MAX - 1);
    stream_open(&more, &last, EVERYTHING);
    assert_int_equal(stream_read(&more), HEALTH_SERVING);
    stream_close(&more);
    grpc_client_close(&last);
    for (size_t i = 1; i < WATCHES_MAX; i++)
        stream_close(&streams[i]);
    for (size_t i = 0; i < CLIENTS; i++)
        grpc_client_close(&clients[i]);
    wait_for_watchers(f, 0);
    free(streams);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(each_service_is_told_its_state_and_every_change),
        SERVER_TEST(a_stream_ends_with_the_server_and_not_before),
        SERVER_TEST(watchers_are_bounded_and_those_that_leave_make_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
