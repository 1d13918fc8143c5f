/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets out of the ordinary, handshakes older than their maps, maps without room, and what a
 * watcher is told of connections. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "flow_key.h"
#include "hookset.h"
#include "packet.h"

enum { SOURCE_PORT = 34567, LINK_TCX_INGRESS = 46 };

#define GHOST "10.77.7.7"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static struct segment ghost_syn(void)
{
    return (struct segment){.source = GHOST,
                            .destination = "10.77.0.2",
                            .source_port = SOURCE_PORT,
                            .destination_port = own_port(),
                            .seq = 0x11111111,
                            .flags = FLAG_SYN,
                            .ttl = 61,
                            .mss = 1400};
}

/* --- MPTCP ---- */

static int mptcp_socket(const struct netns *ns)
{
    int fd;

    netns_enter(ns);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
    netns_leave();
    if (fd < 0)
        fail_msg("this kernel has no MPTCP: %s", strerror(errno));
    return fd;
}

static int mptcp_listen(const struct netns *ns)
{
    union address local = address_of("10.77.0.2", own_port());
    int fd = mptcp_socket(ns), one = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(bind(fd, &local.any, address_length(&local)), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int mptcp_connect(const struct netns *ns)
{
    union address remote = address_of("10.77.0.2", own_port());
    int fd = mptcp_socket(ns);

    assert_int_equal(connect(fd, &remote.any, address_length(&remote)), 0);
    return fd;
}

/* Of an MPTCP connection the first subflow is the TCP connection with its tuple. */
static void accepted_by_mptcp(int (*connect_client)(const struct netns *ns))
{
    struct stage stage;
    struct watch watch;
    struct flow flow;
    int listener, client, server;

    stage_make(&stage);
    watch_start(&watch, &stage.server, "near", own_port());
    listener = mptcp_listen(&stage.server);
    client = connect_client(&stage.client);
    server = accept_flow(listener, &flow);
    assert_answer(watch_ask(&watch, &flow), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(watch_counter(&watch, COUNTER_PROMOTED), 1);
    close(client);
    close(server);
    close(listener);
    assert_becomes(&watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    watch_done(&watch);
    stage_done(&stage);
}

static void mptcp_client_is_verified(void **state)
{
    (void)state;
    accepted_by_mptcp(mptcp_connect);
}

static int tcp_connect(const struct netns *ns)
{
    return connect_from(ns, "10.77.0.2", own_port(), 0);
}

static void tcp_client_of_an_mptcp_listener_is_verified(void **state)
{
    (void)state;
    accepted_by_mptcp(tcp_connect);
}

/* --- simultaneous open ---- */

/* Both ends send a SYN (RFC 9293 3.5).  The peer's is that of the connection, as for any other. */
static void simultaneous_open_is_verified_by_the_peers_syn(void **state)
{
    struct segment syn = ghost_syn(), ack;
    union address local = address_of("10.77.0.2", own_port());
    union address remote = address_of(GHOST, SOURCE_PORT);
    struct flow flow = flow_of(&remote, &local);
    struct stage stage;
    struct watch watch;
    uint32_t seq;
    int raw, fd;

    (void)state;
    stage_make(&stage);
    raw_announce(&stage.server, GHOST);
    watch_start(&watch, &stage.server, "near", own_port());
    raw = raw_open(&stage.client, "far");
    netns_enter(&stage.server);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    netns_leave();
    assert_int_equal(bind(fd, &local.any, address_length(&local)), 0);
    assert_int_equal(connect(fd, &remote.any, address_length(&remote)), -1);
    assert_int_equal(errno, EINPROGRESS);
    raw_send(raw, &syn); /* crosses the other one */
    seq = raw_wait_syn_ack(raw, GHOST, SOURCE_PORT);
    ack = syn;
    ack.flags = FLAG_SYN | FLAG_ACK;
    ack.ack = seq + 1;
    raw_send(raw, &ack);
    assert_becomes(&watch, &flow, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(watch_ask(&watch, &flow).syn.isn, syn.seq);
    reset(&fd);
    assert_becomes(&watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    close(raw);
    watch_done(&watch);
    stage_done(&stage);
}

/* --- maps without room ---- */

/* Between its SYN and its third segment more SYNs come than the map holds. */
static void pushed_out_syn_is_said_to_be_missing(void **state)
{
    enum { PENDING = 256, FLOOD = 20000 };
    const char *device = "near";
    const uint16_t port = own_port();
    struct segment syn = ghost_syn(), others = syn;
    struct stage stage;
    struct watch watch;
    struct flow flow;
    int raw, listener, server;
    uint32_t seq;

    (void)state;
    stage_make(&stage);
    raw_announce(&stage.server, GHOST);
    watch_start_config(&watch, &stage.server,
                       &(struct local_capture_config){.interfaces = &device,
                                                      .interface_count = 1,
                                                      .ports = &port,
                                                      .port_count = 1,
                                                      .max_pending = PENDING});
    listener = listen_in(&stage.server, "10.77.0.2", own_port());
    raw = raw_open(&stage.client, "far");
    raw_send(raw, &syn);
    seq = raw_wait_syn_ack(raw, GHOST, SOURCE_PORT);
    others.destination = "10.77.200.200";
    while (watch_counter(&watch, COUNTER_SYN_STORED) < FLOOD)
        (void)raw_flood(raw, &others, PENDING);
    raw_finish(raw, &syn, seq);
    server = accept_flow(listener, &flow);
    assert_answer(watch_ask(&watch, &flow), SYN_STATE_MISSING, SYN_REASON_NO_SYN);
    reset(&server);
    close(raw);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

/* --- programs with maps of the test's own ---- */

struct rig {
    struct stage stage;
    struct hookset set;
    int links[TRACKERS][TRACKER_PROGRAMS], hook;
    int listener, raw;
};

/* The tracker attached, and on "near" this hook (SYN_HOOK_XDP, SYN_HOOK_TCX, or none of them). */
static void rig_make(struct rig *rig, enum syn_hook hook, int before)
{
    const struct map_sizes sizes = {.pending = 1024, .live = 64};
    struct diag diag = {0};
    unsigned ifindex;

    stage_make(&rig->stage);
    raw_announce(&rig->stage.server, GHOST);
    hookset_make_with(&rig->set,
                      &(struct filters){.ports = &(uint16_t){own_port()}, .port_count = 1}, NULL,
                      &sizes);
    rig->set.maps.fd[MAP_PENDING_BEFORE] = before;
    for (unsigned copy = 0; copy < TRACKERS; copy++) {
        int programs[TRACKER_PROGRAMS];

        if (objects_load_tracker(copy, &rig->set.maps, programs, &diag) < 0)
            fail_msg("%s", diag.text);
        for (int i = 0; i < TRACKER_PROGRAMS; i++) {
            rig->links[copy][i] = bpf_raw_tracepoint_open(NULL, programs[i]);
            assert_true(rig->links[copy][i] >= 0);
            close(programs[i]);
        }
    }
    netns_enter(&rig->stage.server);
    ifindex = if_nametoindex("near");
    rig->hook = hook == SYN_HOOK_NONE
                    ? -1
                    : bpf_link_create(rig->set.programs[hook], (int)ifindex,
                                      hook == SYN_HOOK_XDP ? BPF_XDP
                                                           : (enum bpf_attach_type)LINK_TCX_INGRESS,
                                      NULL);
    netns_leave();
    assert_true(hook == SYN_HOOK_NONE || rig->hook >= 0);
    rig->listener = listen_in(&rig->stage.server, "10.77.0.2", own_port());
    rig->raw = raw_open(&rig->stage.client, "far");
}

static void rig_done(struct rig *rig)
{
    close(rig->raw);
    close(rig->listener);
    if (rig->hook >= 0)
        close(rig->hook);
    for (unsigned copy = 0; copy < TRACKERS; copy++)
        for (int i = 0; i < TRACKER_PROGRAMS; i++)
            close(rig->links[copy][i]);
    hookset_done(&rig->set);
    stage_done(&rig->stage);
}

/* The SYN has been recorded in the maps that these have replaced. */
static void handshake_older_than_its_maps_is_completed(void **state)
{
    const struct segment syn = ghost_syn();
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record record, left;
    struct live_entry entry;
    struct tuple_key tuple;
    struct flow flow;
    struct rig rig;
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);
    int server, before = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "pending", sizeof(key),
                                        sizeof(record), 131072, NULL);

    (void)state;
    assert_true(before >= 0);
    rig_make(&rig, SYN_HOOK_NONE, before);
    assert_int_equal(parse_syn_ethernet(frame, frame + length, &packet), PARSE_SYN);
    parse_fill(&packet, &key, &record);
    assert_int_equal(bpf_map_update_elem(before, &key, &record, BPF_NOEXIST), 0);
    raw_send(rig.raw, &syn);
    raw_finish(rig.raw, &syn, raw_wait_syn_ack(rig.raw, GHOST, SOURCE_PORT));
    server = accept_flow(rig.listener, &flow);

    tuple = tuple_key_from_flow(&flow);
    assert_int_equal(bpf_map_lookup_elem(rig.set.maps.fd[MAP_LIVE], &tuple, &entry), 0);
    assert_int_equal(entry.has_syn, 1);
    assert_memory_equal(&entry.syn, &record, sizeof(record));
    assert_int_equal(bpf_map_lookup_elem(before, &key, &left), -ENOENT);
    assert_int_equal(hookset_counter(&rig.set, SYN_HOOK_NONE, COUNTER_PROMOTED), 1);
    assert_int_equal(hookset_counter(&rig.set, SYN_HOOK_NONE, COUNTER_PENDING_TAKEN), 0);
    reset(&server);
    rig_done(&rig);
}

/* --- tags that the kernel has taken out of the frame ---- */

static void send_tagged(const struct rig *rig, const struct segment *syn, size_t tags)
{
    static const uint8_t TAG[] = {0x81, 0x00, 0x00, 0x07};
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(syn, frame), size = sizeof(TAG);

    memmove(frame + 12 + tags * size, frame + 12, length - 12);
    for (size_t i = 0; i < tags; i++)
        memcpy(frame + 12 + i * size, TAG, size);
    assert_int_equal(send(rig->raw, frame, length + tags * size, 0), length + tags * size);
}

static void vlan_tag_is_seen_behind_the_driver_too(void **state)
{
    static const enum syn_hook HOOKS[] = {SYN_HOOK_XDP, SYN_HOOK_TCX};
    static const uint8_t SEEN[] = {0, SYN_SEEN_VLAN_1, SYN_SEEN_VLAN_2};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct segment syn = ghost_syn();
        struct rig rig;

        rig_make(&rig, HOOKS[i], -1);
        for (size_t tags = 0; tags <= 2; tags++) {
            struct pending_key key = {.family = 4, .isn = syn.seq};
            struct syn_record record;

            memcpy(key.source, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x0a\x4d\x07\x07", 16);
            key.source_port_be = htons(SOURCE_PORT);
            send_tagged(&rig, &syn, tags);
            for (int tries = 0; hookset_pending_is_empty(&rig.set) && tries < 1000; tries++)
                sleep_ms(2);
            record = hookset_take(&rig.set, HOOKS[i], &key);
            assert_int_equal(record.seen, SEEN[tags]);
            assert_int_equal(record.payload_length, 0);
        }
        send_tagged(&rig, &syn, 3);
        for (int tries = 0;
             hookset_counter(&rig.set, HOOKS[i], COUNTER_VLAN_TOO_DEEP) == 0 && tries < 1000;
             tries++)
            sleep_ms(2);
        assert_int_equal(hookset_counter(&rig.set, HOOKS[i], COUNTER_VLAN_TOO_DEEP), 1);
        rig_done(&rig);
    }
}

/* --- a watcher ---- */

struct seen {
    unsigned of_state[WATCH_CAPTURED + 1];
    struct watch_event last;
};

static int on_event(void *context, void *data, size_t size)
{
    struct seen *seen = context;

    assert_int_equal(size, sizeof(seen->last));
    memcpy(&seen->last, data, sizeof(seen->last));
    assert_in_range(seen->last.state, WATCH_VERIFIED, WATCH_CAPTURED);
    seen->of_state[seen->last.state]++;
    return 0;
}

/* One more event than before, of this state and about this connection. */
static void expect_event(struct ring_buffer *ring, struct seen *seen, enum watch_state state,
                         const struct flow *flow)
{
    struct tuple_key key = tuple_key_from_flow(flow);
    unsigned before = seen->of_state[state];
    int got = ring_buffer__poll(ring, 2000);

    assert_int_equal(got, 1);
    assert_int_equal(seen->last.state, state);
    assert_int_equal(seen->of_state[state], before + 1);
    assert_memory_equal(&seen->last.key, &key, sizeof(key));
    assert_int_not_equal(seen->last.netns, 0);
    assert_true((seen->last.syn.seen_ns != 0) == (state == WATCH_VERIFIED));
}

static void leave_entry(const struct rig *rig, uint16_t source_port)
{
    const struct flow flow = flow_text("10.77.0.1", source_port, "10.77.0.2", own_port());
    struct live_entry entry = {.version_begin = 0x7fffffff,
                               .key = tuple_key_from_flow(&flow),
                               .claim.owner = 0x7fffffff,
                               .scope.netns = 1,
                               .version_end = 0x7fffffff};

    assert_int_equal(
        bpf_map_update_elem(rig->set.maps.fd[MAP_LIVE], &entry.key, &entry, BPF_NOEXIST), 0);
}

static void fill_live(const struct rig *rig)
{
    static const struct live_entry ENTRY;
    struct tuple_key key = {.family = 4};

    for (uint32_t i = 0; i < 4096; i++) {
        memcpy(key.source, &i, sizeof(i));
        if (bpf_map_update_elem(rig->set.maps.fd[MAP_LIVE], &key, &ENTRY, BPF_NOEXIST) < 0)
            return;
    }
    fail_msg("`live` has more room than it was given");
}

/* Each connection once, although two copies of the tracker see it. */
static void watcher_is_told_of_each_connection_once(void **state)
{
    static const enum watch_state STATES[] = {WATCH_VERIFIED, WATCH_NO_SYN, WATCH_AMBIGUOUS,
                                              WATCH_MAP_FULL};
    struct watch_lease lease = {UINT64_MAX};
    struct seen seen = {0};
    struct ring_buffer *ring;
    struct rig rig;

    (void)state;
    rig_make(&rig, SYN_HOOK_XDP, -1);
    assert_int_equal(
        bpf_map_update_elem(rig.set.maps.fd[MAP_WATCH], &(uint32_t){0}, &lease, BPF_ANY), 0);
    ring = ring_buffer__new(rig.set.maps.fd[MAP_EVENTS], on_event, &seen, NULL);
    assert_non_null(ring);
    for (uint16_t i = 0; i < 4; i++) {
        const struct netns *from =
            STATES[i] == WATCH_NO_SYN ? &rig.stage.server : &rig.stage.client;
        uint16_t source_port = (uint16_t)(SOURCE_PORT + i);
        struct flow flow;
        int client, server;

        if (STATES[i] == WATCH_AMBIGUOUS)
            leave_entry(&rig, source_port);
        if (STATES[i] == WATCH_MAP_FULL)
            fill_live(&rig);
        client = connect_from(from, "10.77.0.2", own_port(), source_port);
        server = accept_flow(rig.listener, &flow);
        expect_event(ring, &seen, STATES[i], &flow);
        reset(&server);
        close(client);
    }
    assert_int_equal(ring_buffer__consume(ring), 0);
    ring_buffer__free(ring);
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mptcp_client_is_verified),
        cmocka_unit_test(tcp_client_of_an_mptcp_listener_is_verified),
        cmocka_unit_test(simultaneous_open_is_verified_by_the_peers_syn),
        cmocka_unit_test(pushed_out_syn_is_said_to_be_missing),
        cmocka_unit_test(handshake_older_than_its_maps_is_completed),
        cmocka_unit_test(vlan_tag_is_seen_behind_the_driver_too),
        cmocka_unit_test(watcher_is_told_of_each_connection_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
