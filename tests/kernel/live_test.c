/* SPDX-License-Identifier: Apache-2.0 */
/* Real connections: what the maps say about each, from accept() to close. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "packet.h"
#include "record.h"

enum { SOURCE_PORT = 34567 };

/* Two namespaces with capture on the server's device and own_port(), and one listener. */
struct scene {
    struct stage stage;
    struct watch watch;
    int listener;
};

static void scene_make(struct scene *scene, const char *listen_address)
{
    stage_make(&scene->stage);
    watch_start(&scene->watch, &scene->stage.server, "near", own_port());
    scene->listener = listen_in(&scene->stage.server, listen_address, own_port());
}

static void scene_done(struct scene *scene)
{
    close(scene->listener);
    watch_done(&scene->watch);
    stage_done(&scene->stage);
}

static void from_accept_to_close(const char *listen_address, const char *address, uint8_t version)
{
    struct scene scene;
    struct flow flow;
    struct syn_answer answer;
    int client, server;

    scene_make(&scene, listen_address);
    client = connect_from(&scene.stage.client, address, own_port(), 0);
    server = accept_flow(scene.listener, &flow);
    answer = watch_ask(&scene.watch, &flow);
    assert_answer(answer, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(answer.syn.ip_version, version);
    assert_int_equal(flow.source.addr.family, version);
    assert_int_equal(answer.syn.ttl, 64);
    assert_int_equal(answer.syn.mss, version == 4 ? 1460 : 1440);
    assert_int_equal(answer.syn.hook, SYN_HOOK_XDP);
    assert_true(answer.syn.seen_ns > 0);

    reset(&server);
    assert_becomes(&scene.watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_PROMOTED), 1);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_LIVE_DELETED), 1);
    close(client);
    scene_done(&scene);
}

static void ipv4_connection_is_verified_from_accept_to_close(void **state)
{
    (void)state;
    from_accept_to_close("10.77.0.2", "10.77.0.2", 4);
}

static void ipv6_connection_is_verified_from_accept_to_close(void **state)
{
    (void)state;
    from_accept_to_close("fd77::2", "fd77::2", 6);
}

static void ipv4_on_a_dual_stack_listener_is_ipv4(void **state)
{
    (void)state;
    from_accept_to_close("::", "10.77.0.2", 4);
}

static void ipv6_on_a_dual_stack_listener_is_ipv6(void **state)
{
    (void)state;
    from_accept_to_close("::", "fd77::2", 6);
}

static void syn_cookies_do_not_matter(void **state)
{
    struct scene scene;
    struct flow flow;
    int client, server;

    (void)state;
    scene_make(&scene, "10.77.0.2");
    netns_run(&scene.stage.server, "echo 2 > /proc/sys/net/ipv4/tcp_syncookies");
    client = connect_from(&scene.stage.client, "10.77.0.2", own_port(), 0);
    server = accept_flow(scene.listener, &flow);
    assert_answer(watch_ask(&scene.watch, &flow), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    reset(&server);
    close(client);
    scene_done(&scene);
}

static void close_takes_only_its_own_entry(void **state)
{
    struct scene scene;
    struct flow first, second;
    int clients[2], servers[2];

    (void)state;
    scene_make(&scene, "10.77.0.2");
    clients[0] = connect_from(&scene.stage.client, "10.77.0.2", own_port(), 0);
    servers[0] = accept_flow(scene.listener, &first);
    clients[1] = connect_from(&scene.stage.client, "10.77.0.2", own_port(), 0);
    servers[1] = accept_flow(scene.listener, &second);
    reset(&servers[0]);
    assert_becomes(&scene.watch, &first, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_answer(watch_ask(&scene.watch, &second), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    reset(&servers[1]);
    close(clients[0]);
    close(clients[1]);
    scene_done(&scene);
}

static void orderly_close_ends_the_entry_too(void **state)
{
    struct scene scene;
    struct flow flow;
    int client, server;

    (void)state;
    scene_make(&scene, "10.77.0.2");
    client = connect_from(&scene.stage.client, "10.77.0.2", own_port(), 0);
    server = accept_flow(scene.listener, &flow);
    shutdown(client, SHUT_WR);
    sleep_ms(20);
    assert_answer(watch_ask(&scene.watch, &flow), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    close(server);
    close(client);
    assert_becomes(&scene.watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    scene_done(&scene);
}

static void port_used_again_has_the_record_of_the_new_connection(void **state)
{
    struct scene scene;
    struct flow flow;
    struct syn_answer answers[2];

    (void)state;
    scene_make(&scene, "10.77.0.2");
    for (int i = 0; i < 2; i++) {
        int client, server;

        netns_run(&scene.stage.client, "ip route replace 10.77.0.2/32 dev far advmss %d", 1000 + i);
        client = connect_from(&scene.stage.client, "10.77.0.2", own_port(), SOURCE_PORT);
        server = accept_flow(scene.listener, &flow);
        answers[i] = watch_ask(&scene.watch, &flow);
        assert_answer(answers[i], SYN_STATE_VERIFIED, SYN_REASON_NONE);
        assert_int_equal(answers[i].syn.mss, 1000 + i);
        reset(&server);
        close(client);
    }
    assert_int_not_equal(answers[0].syn.isn, answers[1].syn.isn);
    scene_done(&scene);
}

/* Linux gives one source port to connections of different destinations; only one of the two is
 * captured. */
static void one_source_port_and_an_unrecorded_destination(void **state)
{
    struct scene scene;
    struct flow recorded, unrecorded;
    int clients[2], servers[2], other;

    (void)state;
    scene_make(&scene, "10.77.0.2");
    other = listen_in(&scene.stage.server, "10.77.0.2", (uint16_t)(own_port() + 1));
    clients[0] = connect_from(&scene.stage.client, "10.77.0.2", own_port(), SOURCE_PORT);
    servers[0] = accept_flow(scene.listener, &recorded);
    clients[1] =
        connect_from(&scene.stage.client, "10.77.0.2", (uint16_t)(own_port() + 1), SOURCE_PORT);
    servers[1] = accept_flow(other, &unrecorded);
    assert_int_equal(recorded.source.port, unrecorded.source.port);
    assert_answer(watch_ask(&scene.watch, &recorded), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_answer(watch_ask(&scene.watch, &unrecorded), SYN_STATE_MISSING, SYN_REASON_FILTERED);

    /* in the other order nothing changes, and the end of one is not the end of the other */
    reset(&servers[1]);
    assert_answer(watch_ask(&scene.watch, &recorded), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    reset(&servers[0]);
    for (int i = 0; i < 2; i++)
        close(clients[i]);
    close(other);
    scene_done(&scene);
}

static void addresses_outside_the_prefixes_are_not_captured(void **state)
{
    const char *device = "near";
    const uint16_t port = own_port();
    struct prefix prefix = {.addr = addr_from_v4((const uint8_t[]){10, 77, 0, 2}), .length = 32};
    struct stage stage;
    struct watch watch;
    struct flow inside, outside;
    int listener, clients[2], servers[2];

    (void)state;
    stage_make(&stage);
    netns_run(&stage.server, "ip addr add 10.77.0.3/16 dev near");
    watch_start_config(
        &watch, &stage.server,
        &(struct local_capture_config){&device, 1, false, &port, 1, &prefix, 1, 0, 0});
    listener = listen_in(&stage.server, "0.0.0.0", own_port());
    clients[0] = connect_from(&stage.client, "10.77.0.2", own_port(), SOURCE_PORT);
    servers[0] = accept_flow(listener, &inside);
    clients[1] = connect_from(&stage.client, "10.77.0.3", own_port(), SOURCE_PORT);
    servers[1] = accept_flow(listener, &outside);
    assert_answer(watch_ask(&watch, &inside), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_answer(watch_ask(&watch, &outside), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    assert_int_equal(watch_counter(&watch, COUNTER_SYN_FILTERED_PREFIX), 1);
    assert_int_equal(watch_counter(&watch, COUNTER_PROMOTE_NO_SYN), 0);
    for (int i = 0; i < 2; i++) {
        reset(&servers[i]);
        close(clients[i]);
    }
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

static void connection_past_the_device_has_no_syn(void **state)
{
    struct scene scene;
    struct flow flow;
    int client, server;

    (void)state;
    scene_make(&scene, "10.77.0.2");
    client = connect_from(&scene.stage.server, "10.77.0.2", own_port(),
                          0); /* over the loopback device */
    server = accept_flow(scene.listener, &flow);
    assert_answer(watch_ask(&scene.watch, &flow), SYN_STATE_MISSING, SYN_REASON_NO_SYN);
    reset(&server);
    assert_becomes(&scene.watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    close(client);
    scene_done(&scene);
}

static void connection_older_than_the_capture_is_not_seen(void **state)
{
    struct stage stage;
    struct watch watch;
    struct flow flow;
    int listener, client, server;

    (void)state;
    stage_make(&stage);
    listener = listen_in(&stage.server, "10.77.0.2", own_port());
    client = connect_from(&stage.client, "10.77.0.2", own_port(), 0);
    server = accept_flow(listener, &flow);
    watch_start(&watch, &stage.server, "near", own_port());
    assert_answer(watch_ask(&watch, &flow), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    reset(&server);
    close(client);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

/* The kernel completes a Fast Open connection before its third segment: accept() has data, and the
 * socket has not told its ISN yet. */
static void fast_open_is_verified_from_the_third_segment_on(void **state)
{
    struct scene scene;
    struct segment syn = {
        .source = "10.77.7.7",
        .destination = "10.77.0.2",
        .source_port = SOURCE_PORT,
        .destination_port = own_port(),
        .seq = 0x12345678,
        .flags = FLAG_SYN,
        .mss = 1400,
        .payload = 100,
    };
    struct flow flow;
    struct syn_answer answer;
    int raw, server, queue = 16;
    uint32_t syn_ack_seq;
    char data[128];

    (void)state;
    scene_make(&scene, "10.77.0.2");
    netns_run(&scene.stage.server,
              "echo 0x203 > /proc/sys/net/ipv4/tcp_fastopen"); /* no cookie needed */
    assert_int_equal(setsockopt(scene.listener, SOL_TCP, TCP_FASTOPEN, &queue, sizeof(queue)), 0);
    raw_announce(&scene.stage.server, syn.source);
    raw = raw_open(&scene.stage.client, "far");
    raw_send(raw, &syn);
    syn_ack_seq = raw_wait_syn_ack(raw, syn.source, SOURCE_PORT);
    server = accept_flow(scene.listener, &flow);
    assert_int_equal(recv(server, data, sizeof(data), 0), syn.payload);
    assert_answer(watch_ask(&scene.watch, &flow), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);

    raw_finish(raw, &syn, syn_ack_seq);
    assert_becomes(&scene.watch, &flow, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    answer = watch_ask(&scene.watch, &flow);
    assert_int_equal(answer.syn.isn, syn.seq);
    assert_int_equal(answer.syn.payload_length, syn.payload);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_SYN_WITH_PAYLOAD), 1);
    reset(&server);
    close(raw);
    scene_done(&scene);
}

static void full_map_is_said_and_old_entries_stay(void **state)
{
    enum { CONNECTIONS = 96, ROOM = 16 };
    const char *device = "near";
    const uint16_t port = own_port();
    struct stage stage;
    struct watch watch;
    struct flow flows[CONNECTIONS];
    int listener, clients[CONNECTIONS], servers[CONNECTIONS], verified = 0, full = 0;

    (void)state;
    stage_make(&stage);
    watch_start_config(
        &watch, &stage.server,
        &(struct local_capture_config){&device, 1, false, &port, 1, NULL, 0, 0, ROOM});
    listener = listen_in(&stage.server, "10.77.0.2", own_port());
    for (int i = 0; i < CONNECTIONS; i++) {
        clients[i] = connect_from(&stage.client, "10.77.0.2", own_port(), 0);
        servers[i] = accept_flow(listener, &flows[i]);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        struct syn_answer answer = watch_ask(&watch, &flows[i]);

        if (answer.state == SYN_STATE_MISSING && answer.reason == SYN_REASON_MAP_FULL)
            full++;
        else if (answer.state == SYN_STATE_VERIFIED)
            verified++;
    }
    assert_int_equal(verified + full, CONNECTIONS);
    assert_true(verified >= ROOM);
    assert_int_equal(watch_counter(&watch, COUNTER_PROMOTED), verified);
    /* both copies of the tracker try */
    assert_true(watch_counter(&watch, COUNTER_LIVE_INSERT_FAILED) >= (uint64_t)full);
    assert_true(full > 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        reset(&servers[i]);
        close(clients[i]);
    }
    /* what has gone makes room */
    clients[0] = connect_from(&stage.client, "10.77.0.2", own_port(), 0);
    servers[0] = accept_flow(listener, &flows[0]);
    assert_answer(watch_ask(&watch, &flows[0]), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    reset(&servers[0]);
    close(clients[0]);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

/* --- load --- */

/* Some kernels do not tell of each close (track.bpf.c); what that leaves goes with its tuple's next
 * use. */
enum { LOAD_CONNECTIONS = 6000, LOAD_THREADS = 3, UNSEEN_CLOSES_MAX = 60 };

static void *connect_many(void *argument)
{
    const struct netns *ns = argument;

    for (int i = 0; i < LOAD_CONNECTIONS / LOAD_THREADS; i++) {
        int fd = connect_from(ns, i % 2 ? "10.77.0.2" : "fd77::2", own_port(), 0);
        char byte;

        (void)recv(fd, &byte, 1, 0); /* until the server closes it */
        close(fd);
    }
    return NULL;
}

static int accept_by_polling(int listener, struct flow *ret_flow)
{
    union address source, destination;
    socklen_t length;
    int fd;

    do {
        length = sizeof(source);
        fd = accept4(listener, &source.any, &length, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EAGAIN);
    assert_true(fd >= 0);
    length = sizeof(destination);
    assert_int_equal(getsockname(fd, &destination.any, &length), 0);
    *ret_flow = flow_of(&source, &destination);
    return fd;
}

static void record_is_there_when_accept_returns_under_load(void **state)
{
    struct scene scene;
    pthread_t threads[LOAD_THREADS];
    int verified = 0;

    (void)state;
    scene_make(&scene, "::");
    assert_int_equal(fcntl(scene.listener, F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, connect_many, &scene.stage.client), 0);
    for (int i = 0; i < LOAD_CONNECTIONS; i++) {
        struct flow flow;
        int fd = accept_by_polling(scene.listener, &flow);

        verified += watch_ask(&scene.watch, &flow).state == SYN_STATE_VERIFIED;
        close(fd);
    }
    for (int i = 0; i < LOAD_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(verified, LOAD_CONNECTIONS);
    /* two copies of the tracker did each thing once */
    for (int i = 0;
         i < 1000 && watch_counter(&scene.watch, COUNTER_LIVE_DELETED) < LOAD_CONNECTIONS; i++)
        sleep_ms(5);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_PROMOTED), LOAD_CONNECTIONS);
    assert_in_range(watch_counter(&scene.watch, COUNTER_LIVE_DELETED),
                    LOAD_CONNECTIONS - UNSEEN_CLOSES_MAX, LOAD_CONNECTIONS);
    assert_in_range(watch_counter(&scene.watch, COUNTER_LIVE_DELETE_MISS), 0, UNSEEN_CLOSES_MAX);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_LIVE_STORED), LOAD_CONNECTIONS);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_PENDING_TAKEN), LOAD_CONNECTIONS);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_PROMOTE_SHARED), 0);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_connection_is_verified_from_accept_to_close),
        cmocka_unit_test(ipv6_connection_is_verified_from_accept_to_close),
        cmocka_unit_test(ipv4_on_a_dual_stack_listener_is_ipv4),
        cmocka_unit_test(ipv6_on_a_dual_stack_listener_is_ipv6),
        cmocka_unit_test(syn_cookies_do_not_matter),
        cmocka_unit_test(close_takes_only_its_own_entry),
        cmocka_unit_test(orderly_close_ends_the_entry_too),
        cmocka_unit_test(port_used_again_has_the_record_of_the_new_connection),
        cmocka_unit_test(one_source_port_and_an_unrecorded_destination),
        cmocka_unit_test(addresses_outside_the_prefixes_are_not_captured),
        cmocka_unit_test(connection_past_the_device_has_no_syn),
        cmocka_unit_test(connection_older_than_the_capture_is_not_seen),
        cmocka_unit_test(fast_open_is_verified_from_the_third_segment_on),
        cmocka_unit_test(full_map_is_said_and_old_entries_stay),
        cmocka_unit_test(record_is_there_when_accept_returns_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
