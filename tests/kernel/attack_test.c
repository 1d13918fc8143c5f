/* SPDX-License-Identifier: Apache-2.0 */
/* Forged SYNs against real connections: the record stays that of the connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "packet.h"

enum { SOURCE_PORT = 33333, THIRD_ACK_DELAY_MS = 100, FLOOD = 300000 };

/* The client's addresses, which no interface owns, and the server's. */
#define GHOST   "10.77.7.7"
#define GHOST6  "fd77::7:7"
#define SERVER  "10.77.0.2"
#define SERVER6 "fd77::2"

/* The real SYN and the forged one differ in all that a fingerprint is made of. */
static struct segment real(bool ip6)
{
    return (struct segment){
        .source = ip6 ? GHOST6 : GHOST,
        .destination = ip6 ? SERVER6 : SERVER,
        .source_port = SOURCE_PORT,
        .destination_port = own_port(),
        .seq = 0x11111111,
        .flags = FLAG_SYN,
        .ttl = 61,
        .window = 5840,
        .mss = 1400,
    };
}

static struct segment forged(bool ip6)
{
    struct segment segment = real(ip6);

    segment.seq = 0x22222222;
    segment.ttl = 120;
    segment.window = 1024;
    segment.mss = 536;
    return segment;
}

static void assert_real(const struct watch *watch, const struct flow *flow)
{
    const struct segment syn = real(false); /* the other family's has the same */
    struct syn_answer answer = watch_ask(watch, flow);

    assert_answer(answer, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(answer.syn.isn, syn.seq);
    assert_int_equal(answer.syn.mss, syn.mss);
    assert_int_equal(answer.syn.ttl, syn.ttl);
    assert_int_equal(answer.syn.window, syn.window);
}

struct scene {
    struct stage stage;
    struct watch watch;
    int raw;
};

static void scene_make(struct scene *scene)
{
    stage_make(&scene->stage);
    raw_announce(&scene->stage.server, GHOST);
    raw_announce(&scene->stage.server, GHOST6);
    watch_start(&scene->watch, &scene->stage.server, "near", own_port());
    scene->raw = raw_open(&scene->stage.client, "far");
}

static void scene_done(struct scene *scene)
{
    close(scene->raw);
    watch_done(&scene->watch);
    stage_done(&scene->stage);
}

/* Real SYN, forged SYN, and the third segment of the real handshake 100 ms later. */
static int shake_hands_slowly(struct scene *scene, int listener, bool ip6, struct flow *ret_flow)
{
    const struct segment syn = real(ip6), forgery = forged(ip6);
    uint32_t syn_ack_seq;

    raw_send(scene->raw, &syn);
    syn_ack_seq = raw_wait_syn_ack(scene->raw, syn.source, SOURCE_PORT);
    raw_send(scene->raw, &forgery);
    sleep_ms(THIRD_ACK_DELAY_MS);
    raw_finish(scene->raw, &syn, syn_ack_seq);
    return accept_flow(listener, ret_flow);
}

static void forged_before_the_third_segment(bool ip6)
{
    struct scene scene;
    struct flow flow;
    int listener, server;

    scene_make(&scene);
    listener = listen_in(&scene.stage.server, ip6 ? SERVER6 : SERVER, own_port());
    server = shake_hands_slowly(&scene, listener, ip6, &flow);
    assert_real(&scene.watch, &flow);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_SYN_STORED), 2);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_SYN_CONFLICT), 1);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_ALIAS_STORED), 0);
    reset(&server);
    close(listener);
    scene_done(&scene);
}

static void forged_syn_before_the_third_segment_is_not_taken(void **state)
{
    (void)state;
    forged_before_the_third_segment(false);
}

static void forged_ipv6_syn_before_the_third_segment_is_not_taken(void **state)
{
    (void)state;
    forged_before_the_third_segment(true);
}

/* `rule` sends own_port() elsewhere; the listener is there, Envoy reports the destination of the
 * wire. */
static void behind_nat(const char *rule, const char *listen_address, uint16_t listen_port)
{
    struct scene scene;
    struct flow socket_flow, wire_flow = flow_text(GHOST, SOURCE_PORT, "10.77.0.2", own_port());
    int listener, server;

    scene_make(&scene);
    netns_run(&scene.stage.server,
              "ip addr add 10.77.0.3/16 dev near && nft 'add table ip t; add chain ip t pre { type "
              "nat hook "
              "prerouting priority -100; }; add rule ip t pre tcp dport %d %s'",
              own_port(), rule);
    listener = listen_in(&scene.stage.server, listen_address, listen_port);
    server = shake_hands_slowly(&scene, listener, false, &socket_flow);
    assert_int_equal(socket_flow.destination.port, listen_port);
    assert_real(&scene.watch, &socket_flow);
    assert_real(&scene.watch, &wire_flow);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_ALIAS_STORED), 1);

    reset(&server);
    assert_becomes(&scene.watch, &wire_flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_becomes(&scene.watch, &socket_flow, SYN_STATE_MISSING, SYN_REASON_FILTERED);
    close(listener);
    scene_done(&scene);
}

static void forged_syn_is_not_taken_behind_redirect(void **state)
{
    (void)state;
    behind_nat("redirect to :15006", "0.0.0.0", 15006);
}

static void forged_syn_is_not_taken_behind_dnat(void **state)
{
    (void)state;
    behind_nat("dnat to 10.77.0.3:9000", "10.77.0.3", 9000);
}

/* `alias` has no room for the wire's tuple: what Envoy asks about is missing, and it is said why.
 */
static void full_alias_is_said(void **state)
{
    enum { ROOM = 4, CONNECTIONS = 12 };
    const char *device = "near";
    const uint16_t port = own_port();
    struct stage stage;
    struct watch watch;
    int listener, clients[CONNECTIONS], servers[CONNECTIONS];
    unsigned verified = 0, full = 0;

    (void)state;
    stage_make(&stage);
    netns_run(
        &stage.server,
        "nft 'add table ip t; add chain ip t pre { type nat hook prerouting priority -100; }; "
        "add rule ip t pre tcp dport %d redirect to :9000'",
        own_port());
    watch_start_config(&watch, &stage.server,
                       &(struct local_capture_config){.interfaces = &device,
                                                      .interface_count = 1,
                                                      .ports = &port,
                                                      .port_count = 1,
                                                      .max_live = ROOM});
    listener = listen_in(&stage.server, "0.0.0.0", 9000);
    for (int i = 0; i < CONNECTIONS; i++) {
        struct flow wire, socket_flow;
        struct syn_answer answer;

        clients[i] = connect_from(&stage.client, "10.77.0.2", own_port(), 0);
        servers[i] = accept_flow(listener, &socket_flow);
        wire = socket_flow;
        wire.destination.port = own_port();
        answer = watch_ask(&watch, &wire);
        verified += answer.state == SYN_STATE_VERIFIED;
        full += answer.state == SYN_STATE_MISSING && answer.reason == SYN_REASON_MAP_FULL;
    }
    assert_int_equal(verified + full, CONNECTIONS);
    assert_true(full > 0);
    assert_true(verified > 0);
    for (int i = 0; i < CONNECTIONS; i++) {
        reset(&servers[i]);
        close(clients[i]);
    }
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

static void forged_on_a_live_tuple(bool ip6)
{
    enum { FORGERIES = 20 };
    struct scene scene;
    struct flow flow;
    struct segment forgery = forged(ip6);
    int listener, server;

    scene_make(&scene);
    listener = listen_in(&scene.stage.server, ip6 ? SERVER6 : SERVER, own_port());
    server = shake_hands_slowly(&scene, listener, ip6, &flow);
    for (uint32_t i = 1; i <= FORGERIES; i++) {
        forgery.seq += i;
        raw_send(scene.raw, &forgery);
        assert_real(&scene.watch, &flow);
    }
    sleep_ms(20);
    assert_real(&scene.watch, &flow);
    assert_int_equal(watch_counter(&scene.watch, COUNTER_SYN_ON_LIVE), FORGERIES);
    reset(&server);
    close(listener);
    scene_done(&scene);
}

static void forged_syns_on_a_live_tuple_change_nothing(void **state)
{
    (void)state;
    forged_on_a_live_tuple(false);
}

static void forged_ipv6_syns_on_a_live_tuple_change_nothing(void **state)
{
    (void)state;
    forged_on_a_live_tuple(true);
}

static void live_entry_survives_a_flood_of_its_listener(void **state)
{
    struct scene scene;
    struct flow flow;
    struct segment forgery = forged(false);
    int listener, server;

    (void)state;
    scene_make(&scene);
    listener = listen_in(&scene.stage.server, "10.77.0.2", own_port());
    server = shake_hands_slowly(&scene, listener, false, &flow);
    while (watch_counter(&scene.watch, COUNTER_SYN_STORED) < FLOOD) {
        (void)raw_flood(scene.raw, &forgery, 20000);
        assert_real(&scene.watch, &flow);
    }
    assert_int_equal(watch_counter(&scene.watch, COUNTER_SYN_INSERT_FAILED), 0);
    assert_real(&scene.watch, &flow);
    reset(&server);

    /* and the next connection finds its SYN again */
    server = shake_hands_slowly(&scene, listener, false, &flow);
    assert_real(&scene.watch, &flow);
    reset(&server);
    close(listener);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forged_syn_before_the_third_segment_is_not_taken),
        cmocka_unit_test(forged_ipv6_syn_before_the_third_segment_is_not_taken),
        cmocka_unit_test(forged_syn_is_not_taken_behind_redirect),
        cmocka_unit_test(forged_syn_is_not_taken_behind_dnat),
        cmocka_unit_test(full_alias_is_said),
        cmocka_unit_test(forged_syns_on_a_live_tuple_change_nothing),
        cmocka_unit_test(forged_ipv6_syns_on_a_live_tuple_change_nothing),
        cmocka_unit_test(live_entry_survives_a_flood_of_its_listener),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
