/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of stand.h: a thread, so nothing here may fail a test; it only counts. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "stand.h"

struct stream {
    const struct stand *stand;
    pthread_t thread;
    int listener;
    atomic_bool stop;
    atomic_uint connections;
    unsigned lost;
    char first_lost[160];
    struct pair held[STREAM_HELD], lasting[STREAM_LASTING];
};

static void note_lost(struct stream *stream, const char *what, const char *why)
{
    if (stream->lost++ == 0)
        (void)snprintf(stream->first_lost, sizeof(stream->first_lost), "connection %u, %s: %s",
                       atomic_load(&stream->connections), what, why);
}

static void look(struct stream *stream, const struct pair *pair, const char *when)
{
    struct syn_answer answer = stand_ask(stream->stand, &pair->flow);
    char why[64];

    if (answer.state == SYN_STATE_VERIFIED)
        return;
    (void)snprintf(why, sizeof(why), "%s %s", syn_state_name(answer.state),
                   syn_reason_name(answer.reason));
    note_lost(stream, when, why);
}

static int open_client(const struct stream *stream)
{
    union address remote = address_of("10.77.0.2", own_port());
    int fd;

    if (setns(stream->stand->stage.client.fd, CLONE_NEWNET) < 0)
        return -1;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &remote.any, address_length(&remote)) < 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool connect_pair(struct stream *stream, struct pair *ret_pair)
{
    union address source, destination;
    socklen_t source_length = sizeof(source), destination_length = sizeof(destination);
    struct pair pair = {.client = open_client(stream)};

    if (pair.client < 0)
        return false;
    pair.server = accept4(stream->listener, &source.any, &source_length, SOCK_CLOEXEC);
    if (pair.server < 0 || getsockname(pair.server, &destination.any, &destination_length) < 0)
        return false;
    pair.flow = flow_of(&source, &destination);
    *ret_pair = pair;
    return true;
}

static void end_pair(struct pair *pair)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    if (pair->client <= 0)
        return;
    (void)setsockopt(pair->server, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    (void)close(pair->server);
    (void)close(pair->client);
    *pair = (struct pair){0};
}

static void next(struct stream *stream)
{
    unsigned number = atomic_load(&stream->connections);
    struct pair *slot = &stream->held[number % STREAM_HELD];

    if (slot->client > 0)
        look(stream, slot, "later");
    end_pair(slot);
    if (!connect_pair(stream, slot)) {
        note_lost(stream, "connecting", strerror(errno));
        return;
    }
    look(stream, slot, "at accept");
    look(stream, &stream->lasting[number % STREAM_LASTING], "one that lasts");
    atomic_fetch_add(&stream->connections, 1);
    sleep_ms(1); /* leave something of the machine to the others */
}

static void *run(void *context)
{
    struct stream *stream = context;

    for (int i = 0; i < STREAM_LASTING; i++)
        if (!connect_pair(stream, &stream->lasting[i]))
            note_lost(stream, "connecting", strerror(errno));
    while (!atomic_load(&stream->stop) && stream->lost < 100)
        next(stream);
    for (int i = 0; i < STREAM_HELD; i++)
        end_pair(&stream->held[i]);
    for (int i = 0; i < STREAM_LASTING; i++) {
        look(stream, &stream->lasting[i], "one that lasts, at the end");
        end_pair(&stream->lasting[i]);
    }
    return NULL;
}

struct stream *stream_start(const struct stand *stand)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    assert_non_null(stream);
    stream->stand = stand;
    stream->listener = listen_in(&stand->stage.server, "10.77.0.2", own_port());
    assert_int_equal(pthread_create(&stream->thread, NULL, run, stream), 0);
    while (stream_count(stream) < 100)
        sleep_ms(1);
    return stream;
}

unsigned stream_count(const struct stream *stream)
{
    return atomic_load(&stream->connections);
}

struct stream_result stream_stop(struct stream *stream)
{
    struct stream_result result;

    atomic_store(&stream->stop, true);
    assert_int_equal(pthread_join(stream->thread, NULL), 0);
    result = (struct stream_result){.connections = stream_count(stream), .lost = stream->lost};
    memcpy(result.first_lost, stream->first_lost, sizeof(result.first_lost));
    (void)close(stream->listener);
    free(stream);
    return result;
}
