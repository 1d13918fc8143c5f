/* SPDX-License-Identifier: Apache-2.0 */
/* Readers hammer the maps while connections come and go: no answer is torn or of another
 * connection, and no connection is lost. */
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "record.h"

enum {
    FIRST_SOURCE_PORT = 20000,
    SOURCE_PORTS = 48, /* few, so that the map's elements are used again all the time */
    READERS = 2,
    WRITERS = 2,
    ROUNDS = 150,
    UNSEEN_ENDS_MAX = 8,
    FIRST_MSS = 600,
    FIRST_TTL = 10,
};

/* Each source port has a fingerprint of its own, in fields far apart in the record. */
static uint16_t mss_of(unsigned i)
{
    return (uint16_t)(FIRST_MSS + 7 * i);
}

static uint8_t ttl_of(unsigned i)
{
    return (uint8_t)(FIRST_TTL + i);
}

struct arena {
    struct stage stage;
    struct watch watch;
    int listener;
    atomic_bool over;
    atomic_ulong verified, missing, wrong, faults;
};

struct writer {
    struct arena *arena;
    unsigned number;
    unsigned connections;
};

/* A connection with the fingerprint of this port.  Returns the socket or -1 (the port is still in
 * use). */
static int connect_as(const struct arena *arena, unsigned i)
{
    union address local = address_of("0.0.0.0", (uint16_t)(FIRST_SOURCE_PORT + i));
    union address remote = address_of("10.77.0.2", own_port());
    int one = 1, mss = mss_of(i), ttl = ttl_of(i), fd;

    netns_enter(&arena->stage.client);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        setsockopt(fd, SOL_TCP, TCP_MAXSEG, &mss, sizeof(mss)) == 0 &&
        setsockopt(fd, SOL_IP, IP_TTL, &ttl, sizeof(ttl)) == 0 &&
        bind(fd, &local.any, address_length(&local)) == 0 &&
        connect(fd, &remote.any, address_length(&remote)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Each writer has every second port; some connections stay open for a round, others are reset at
 * once. */
static void *write_in_rounds(void *argument)
{
    struct writer *writer = argument;

    for (int round = 0; round < ROUNDS; round++) {
        int fds[SOURCE_PORTS];

        for (unsigned i = writer->number; i < SOURCE_PORTS; i += WRITERS) {
            fds[i] = connect_as(writer->arena, i);
            if (fds[i] < 0)
                continue;
            writer->connections++;
            if ((i / WRITERS + (unsigned)round) % 2)
                reset(&fds[i]);
        }
        for (unsigned i = writer->number; i < SOURCE_PORTS; i += WRITERS)
            if (fds[i] >= 0)
                reset(&fds[i]);
    }
    return NULL;
}

static void *accept_and_drop(void *argument)
{
    struct arena *arena = argument;

    while (!atomic_load(&arena->over)) {
        int fd = accept4(arena->listener, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0)
            continue;
        (void)close(fd); /* after the client's reset, or with a FIN that it resets */
    }
    return NULL;
}

static void *read_all_the_time(void *argument)
{
    struct arena *arena = argument;
    struct flow flow = flow_text("10.77.0.1", 0, "10.77.0.2", own_port());

    for (unsigned i = 0; !atomic_load(&arena->over); i = (i + 1) % SOURCE_PORTS) {
        struct syn_answer answer;

        flow.source.port = (uint16_t)(FIRST_SOURCE_PORT + i);
        answer = watch_ask(&arena->watch, &flow);
        if (answer.state == SYN_STATE_MISSING && answer.reason == SYN_REASON_NOT_SEEN)
            atomic_fetch_add(&arena->missing, 1);
        else if (answer.state != SYN_STATE_VERIFIED)
            atomic_fetch_add(&arena->faults, 1);
        else if (answer.syn.mss != mss_of(i) || answer.syn.ttl != ttl_of(i))
            atomic_fetch_add(&arena->wrong, 1);
        else
            atomic_fetch_add(&arena->verified, 1);
    }
    return NULL;
}

static void start_thread(pthread_t *thread, void *(*function)(void *), void *argument)
{
    assert_int_equal(pthread_create(thread, NULL, function, argument), 0);
}

/* A close that the kernel did not tell us of is made good for by the end of the socket; hardly ever
 * is neither seen (track.bpf.c). */
static void assert_nothing_was_lost(const struct watch *watch, uint64_t connections)
{
    for (int i = 0; i < 200 && watch_counter(watch, COUNTER_LIVE_DELETED) < connections; i++)
        sleep_ms(5);
    assert_int_equal(watch_counter(watch, COUNTER_PROMOTED), connections);
    assert_in_range(watch_counter(watch, COUNTER_LIVE_DELETED), connections - UNSEEN_ENDS_MAX,
                    connections);
    assert_int_equal(watch_counter(watch, COUNTER_PROMOTE_NO_SYN), 0);
    assert_int_equal(watch_counter(watch, COUNTER_PROMOTE_SHARED), 0);
}

static void readers_see_no_torn_and_no_foreign_record(void **state)
{
    struct arena arena = {.over = false};
    pthread_t readers[READERS], writers[WRITERS], acceptor;
    struct writer work[WRITERS];
    uint64_t connections = 0;

    (void)state;
    stage_make(&arena.stage);
    watch_start(&arena.watch, &arena.stage.server, "near", own_port());
    arena.listener = listen_in(&arena.stage.server, "10.77.0.2", own_port());
    start_thread(&acceptor, accept_and_drop, &arena);
    for (int i = 0; i < READERS; i++)
        start_thread(&readers[i], read_all_the_time, &arena);
    for (unsigned i = 0; i < WRITERS; i++) {
        work[i] = (struct writer){.arena = &arena, .number = i};
        start_thread(&writers[i], write_in_rounds, &work[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(pthread_join(writers[i], NULL), 0);
        connections += work[i].connections;
    }
    sleep_ms(50);
    atomic_store(&arena.over, true);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    shutdown(arena.listener, SHUT_RDWR);
    assert_int_equal(pthread_join(acceptor, NULL), 0);
    close(arena.listener);

    print_message("%lu connections, %lu verified, %lu missing, %lu replaced\n", connections,
                  atomic_load(&arena.verified), atomic_load(&arena.missing),
                  watch_counter(&arena.watch, COUNTER_LIVE_REPLACED));
    assert_int_equal(atomic_load(&arena.wrong), 0);
    assert_int_equal(atomic_load(&arena.faults), 0);
    assert_true(connections > ROUNDS * SOURCE_PORTS / 2);
    assert_true(atomic_load(&arena.verified) > connections / 8);
    assert_nothing_was_lost(&arena.watch, connections);
    watch_done(&arena.watch);
    stage_done(&arena.stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_no_torn_and_no_foreign_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
