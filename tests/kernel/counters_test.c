/* SPDX-License-Identifier: Apache-2.0 */
/* Each counter of the kernel's side is provoked once: one that nothing here moves fails. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
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
#include "local_capture.h"
#include "packet.h"
#include "parse_tunnel.h"

enum {
    ROOM = 64,
    VXLAN_PORT = 8472,
    ETH = PARSE_ETH_SIZE,
    TCP4 = ETH + PARSE_IP4_SIZE,
    TCP6 = ETH + PARSE_IP6_SIZE,
    RING_EVENTS = 256 * 1024 / sizeof(struct watch_event) + 10,
    FIRST_SOURCE_PORT = 33000,
};

/* Capture on "near" of own_port() and the next, which is redirected to the first; not sealed. */
struct scene {
    struct stage stage;
    struct local_capture *capture;
    int listener, raw;
    uint16_t source_port; /* a new one for each connection */
};

static const struct capture_config SETTINGS = {
    .enabled = 1, .tracked = 1, .use_prefixes = 1, .captured_ms = 1000, .vxlan_port = VXLAN_PORT};

static int map_of(const struct scene *scene, enum capture_map map)
{
    return local_capture_get_maps(scene->capture)->fd[map];
}

static void configure(const struct scene *scene, const struct capture_config *config)
{
    assert_int_equal(
        bpf_map_update_elem(map_of(scene, MAP_CONFIG), &(uint32_t){0}, config, BPF_ANY), 0);
}

static void scene_make(struct scene *scene)
{
    const char *device = "near";
    const uint16_t ports[] = {own_port(), (uint16_t)(own_port() + 1)};
    struct prefix prefixes[2];
    struct diag diag = {0};

    stage_make(&scene->stage);
    assert_int_equal(prefix_parse(STR("10.77.0.0/16"), &prefixes[0]), 0);
    assert_int_equal(prefix_parse(STR("fd77::/64"), &prefixes[1]), 0);
    netns_run(
        &scene->stage.server,
        "nft 'add table ip t; add chain ip t pre { type nat hook prerouting priority -100; }; "
        "add rule ip t pre tcp dport %d redirect to :%d'",
        own_port() + 1, own_port());
    netns_enter(&scene->stage.server);
    if (local_capture_start(
            &(struct local_capture_config){&device, 1, false, ports, 2, prefixes, 2, 1024, ROOM},
            &scene->capture, &diag) < 0)
        fail_msg("%s", diag.text);
    netns_leave();
    configure(scene, &SETTINGS);
    scene->listener = listen_in(&scene->stage.server, "10.77.0.2", own_port());
    scene->raw = raw_open(&scene->stage.client, "far");
    scene->source_port = FIRST_SOURCE_PORT;
}

static void scene_done(struct scene *scene)
{
    close(scene->raw);
    close(scene->listener);
    local_capture_freep(&scene->capture);
    stage_done(&scene->stage);
}

static uint64_t counter(const struct scene *scene, enum capture_counter which)
{
    uint64_t counters[COUNTER_COUNT_];

    assert_int_equal(local_capture_counters(scene->capture, counters), 0);
    return counters[which];
}

/* --- frames --- */

static void run_program(int program, const uint8_t *frame, size_t length, int repeat)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = (uint32_t)length,
                .repeat = repeat);

    assert_int_equal(bpf_prog_test_run_opts(program, &options), 0);
    assert_int_equal(options.retval, XDP_PASS);
}

static void run_frame(const struct scene *scene, const uint8_t *frame, size_t length)
{
    run_program(local_capture_program(scene->capture), frame, length, 1);
}

static struct segment new_syn(struct scene *scene)
{
    return (struct segment){.source = "10.77.7.7",
                            .destination = "10.77.0.2",
                            .source_port = scene->source_port++,
                            .destination_port = own_port(),
                            .seq = 0x01020304,
                            .flags = FLAG_SYN,
                            .mss = 1460};
}

static void run_segment(const struct scene *scene, const struct segment *segment)
{
    uint8_t frame[FRAME_MAX];

    run_frame(scene, frame, segment_build(segment, frame));
}

/* A SYN with one byte of the frame changed, and with bytes put in. */
static void run_changed(struct scene *scene, size_t at, uint8_t value)
{
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    frame[at] = value;
    run_frame(scene, frame, length);
}

static void run_extended(struct scene *scene, const uint8_t *headers, size_t size)
{
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX];
    size_t length;

    syn.source = "fd77::7";
    syn.destination = "fd77::2";
    length = segment_build(&syn, frame);
    memmove(frame + TCP6 + size, frame + TCP6, length - TCP6);
    memcpy(frame + TCP6, headers, size);
    frame[ETH + PARSE_IP6_NEXT] = PARSE_PROTOCOL_DESTINATION;
    frame[ETH + PARSE_IP6_LENGTH + 1] += (uint8_t)size;
    run_frame(scene, frame, length + size);
}

static void a_syn(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    run_segment(scene, &syn);
}

static void the_same_syn_again(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    run_segment(scene, &syn);
    run_segment(scene, &syn);
}

static void another_isn(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    run_segment(scene, &syn);
    syn.seq++;
    run_segment(scene, &syn);
}

static void another_port(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    syn.destination_port--;
    run_segment(scene, &syn);
}

static void another_destination(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    syn.destination = "192.0.2.1";
    run_segment(scene, &syn);
}

static void under_a_limit(struct scene *scene, const char *source, int count)
{
    struct capture_config limited = SETTINGS;

    limited.syn_rate = 1;
    configure(scene, &limited);
    for (int i = 0; i < count; i++) {
        struct segment syn = new_syn(scene);

        syn.source = source;
        run_segment(scene, &syn);
    }
    configure(scene, &SETTINGS);
}

static void too_many_of_one_source(struct scene *scene)
{
    under_a_limit(scene, "10.77.8.8", 20);
}

static void one_of_a_source(struct scene *scene)
{
    under_a_limit(scene, "10.77.9.9", 1);
}

static void *insert_again_and_again(void *program)
{
    struct scene numbers = {.source_port =
                                (uint16_t)(20000 + (uintptr_t)pthread_self() / 4096 % 20000)};
    struct segment syn = new_syn(&numbers);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    run_program(*(int *)program, frame, length, 200000);
    return NULL;
}

/* One element for two CPUs: while one has it in its hands, there is none for the other. */
static uint64_t no_element(void)
{
    const struct map_sizes one = {.pending = 1, .live = ROOM};
    struct hookset set;
    uint64_t counted = 0;

    hookset_make_with(&set, NULL, NULL, &one);
    for (int i = 0; i < 20 && counted == 0; i++) {
        pthread_t threads[2];

        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, insert_again_and_again,
                                            &set.programs[SYN_HOOK_XDP]),
                             0);
        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_join(threads[j], NULL), 0);
        counted = hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_INSERT_NO_MEMORY);
    }
    hookset_done(&set);
    return counted;
}

/* An LRU always has room; a plain hash of one element has not. */
static uint64_t no_room(void)
{
    struct scene numbers = {.source_port = 20000};
    struct embedded_object embedded[OBJECT_COUNT_];
    struct bpf_object *object;
    struct capture_maps maps;
    struct diag diag = {0};
    uint64_t counters[COUNTER_COUNT_];

    objects_embedded(embedded);
    object = bpf_object__open_mem(embedded[OBJECT_XDP].bytes, embedded[OBJECT_XDP].size, NULL);
    assert_non_null(object);
    capture_maps_init(&maps);
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        struct bpf_map *own = bpf_object__find_map_by_name(object, CAPTURE_MAP_NAMES[map]);

        if (own && map == MAP_PENDING) {
            assert_int_equal(bpf_map__set_type(own, BPF_MAP_TYPE_HASH), 0);
            assert_int_equal(bpf_map__set_max_entries(own, 1), 0);
        }
    }
    assert_int_equal(bpf_object__load(object), 0);
    for (enum capture_map map = 0; map < MAP_COUNT_; map++)
        maps.fd[map] = bpf_object__find_map_fd_by_name(object, CAPTURE_MAP_NAMES[map]);
    assert_int_equal(filters_write(&(struct filters){.any_port = true},
                                   &(struct capture_config){.enabled = 1, .tracked = 1}, &maps,
                                   &diag),
                     0);
    for (int i = 0; i < 2; i++) {
        struct segment syn = new_syn(&numbers);
        uint8_t frame[FRAME_MAX];

        run_program(bpf_program__fd(bpf_object__find_program_by_name(object, "capture_xdp")), frame,
                    segment_build(&syn, frame), 1);
    }
    assert_int_equal(capture_counters_read(&maps, SYN_HOOK_XDP, 4, counters), 0);
    bpf_object__close(object);
    return counters[COUNTER_SYN_INSERT_FAILED];
}

static void syn_and_fin(struct scene *scene)
{
    run_changed(scene, TCP4 + PARSE_TCP_FLAGS, FLAG_SYN | FLAG_FIN);
}

static void offset_of_16_bytes(struct scene *scene)
{
    run_changed(scene, TCP4 + PARSE_TCP_OFFSET, 0x40);
}

static void no_room_for_tcp(struct scene *scene)
{
    run_changed(scene, ETH + PARSE_IP4_LENGTH + 1, 39);
}

static void longer_than_the_frame(struct scene *scene)
{
    run_changed(scene, ETH + PARSE_IP4_LENGTH + 1, 200);
}

static void version_5(struct scene *scene)
{
    run_changed(scene, ETH, 0x55);
}

static void first_fragment(struct scene *scene)
{
    run_changed(scene, ETH + PARSE_IP4_FRAGMENT, 0x20);
}

static void mpls(struct scene *scene)
{
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    frame[PARSE_ETH_TYPE] = PARSE_TYPE_MPLS >> 8;
    frame[PARSE_ETH_TYPE + 1] = PARSE_TYPE_MPLS & 0xff;
    run_frame(scene, frame, length);
}

static void gre(struct scene *scene)
{
    run_changed(scene, ETH + PARSE_IP4_PROTOCOL, PARSE_PROTOCOL_GRE);
}

static void with_data(struct scene *scene)
{
    struct segment syn = new_syn(scene);

    syn.payload = 10;
    run_segment(scene, &syn);
}

static void half_a_header(struct scene *scene)
{
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX];

    run_frame(scene, frame, segment_build(&syn, frame) - 8);
}

static void options_for_the_destination(struct scene *scene)
{
    static const uint8_t HEADER[8] = {PARSE_PROTOCOL_TCP, 0, 1, 4};

    run_extended(scene, HEADER, sizeof(HEADER));
}

static void nine_extension_headers(struct scene *scene)
{
    uint8_t headers[72] = {0};

    for (size_t i = 0; i < sizeof(headers); i += 8) {
        headers[i] = i + 8 < sizeof(headers) ? PARSE_PROTOCOL_DESTINATION : PARSE_PROTOCOL_TCP;
        headers[i + 2] = 1;
        headers[i + 3] = 4;
    }
    run_extended(scene, headers, sizeof(headers));
}

static void three_tags(struct scene *scene)
{
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    memmove(frame + 24, frame + 12, length - 12);
    for (size_t i = 12; i < 24; i += 4) {
        frame[i] = 0x81;
        frame[i + 1] = 0;
    }
    run_frame(scene, frame, length + 12);
}

static void inside_vxlan(struct scene *scene)
{
    static const uint8_t OUTER[ETH + 20 + 8 + 8] = {[12] = 0x08,
                                                    [ETH] = 0x45,
                                                    [ETH + 9] = PARSE_PROTOCOL_UDP,
                                                    [ETH + 22] = VXLAN_PORT >> 8,
                                                    [ETH + 23] = VXLAN_PORT & 0xff,
                                                    [ETH + 28] = PARSE_VXLAN_HAS_ID};
    struct segment syn = new_syn(scene);
    uint8_t frame[FRAME_MAX + sizeof(OUTER)];

    memcpy(frame, OUTER, sizeof(OUTER));
    run_frame(scene, frame, sizeof(OUTER) + segment_build(&syn, frame + sizeof(OUTER)));
}

/* --- connections --- */

struct pair {
    int client, server;
    struct flow flow;
    uint16_t source_port;
};

static struct pair connect_to(struct scene *scene, const struct netns *from, uint16_t port)
{
    struct pair pair = {.source_port = scene->source_port++};

    pair.client = connect_from(from, "10.77.0.2", port, pair.source_port);
    pair.server = accept_flow(scene->listener, &pair.flow);
    return pair;
}

static void end(struct pair *pair)
{
    reset(&pair->server);
    close(pair->client);
}

static void a_connection(struct scene *scene)
{
    struct pair pair = connect_to(scene, &scene->stage.client, own_port());

    end(&pair);
}

static void forged_syn_on_a_connection(struct scene *scene)
{
    struct pair pair = connect_to(scene, &scene->stage.client, own_port());
    struct segment forged = new_syn(scene);

    forged.source = "10.77.0.1";
    forged.source_port = pair.source_port;
    run_segment(scene, &forged);
    end(&pair);
}

static void past_the_device(struct scene *scene)
{
    struct pair pair = connect_to(scene, &scene->stage.server, own_port());

    end(&pair);
}

/* Only a forged SYN has come by the device. */
static void past_the_device_of_a_forged_source(struct scene *scene)
{
    struct segment forged = new_syn(scene);
    struct pair pair;

    forged.source = "10.77.0.2";
    run_segment(scene, &forged);
    scene->source_port = forged.source_port;
    pair = connect_to(scene, &scene->stage.server, own_port());
    end(&pair);
}

/* The next connection's entry is taken by a socket of this scope and by these others. */
static struct pair connect_over(struct scene *scene, uint64_t netns, uint64_t other)
{
    const struct flow flow = flow_text("10.77.0.1", scene->source_port, "10.77.0.2", own_port());
    struct live_entry entry = {.version_begin = 0x7fffffff,
                               .claim.owner = 0x7fffffff,
                               .claim.others = {other, other, other},
                               .scope.netns = netns,
                               .version_end = 0x7fffffff};

    entry.key = tuple_key_from_flow(&flow);
    assert_int_equal(bpf_map_update_elem(map_of(scene, MAP_LIVE), &entry.key, &entry, BPF_NOEXIST),
                     0);
    return connect_to(scene, &scene->stage.client, own_port());
}

static uint64_t netns_cookie(const struct netns *ns)
{
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);
    int fd;

    netns_enter(ns);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    netns_leave();
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length), 0);
    close(fd);
    return cookie;
}

static void tuple_of_another_namespace(struct scene *scene)
{
    struct pair pair = connect_over(scene, 1, 0);

    end(&pair);
}

static void tuple_of_too_many_namespaces(struct scene *scene)
{
    struct pair pair = connect_over(scene, 1, 0x7ffffffe);

    end(&pair);
}

static void tuple_of_a_dead_socket(struct scene *scene)
{
    struct pair pair = connect_over(scene, netns_cookie(&scene->stage.server), 0);

    end(&pair);
}

static void entry_that_is_gone(struct scene *scene)
{
    struct pair pair = connect_to(scene, &scene->stage.client, own_port());
    struct tuple_key key = tuple_key_from_flow(&pair.flow);

    assert_int_equal(bpf_map_delete_elem(map_of(scene, MAP_LIVE), &key), 0);
    end(&pair);
}

/* Fills the map, connects, empties it. */
static void connect_while_full(struct scene *scene, enum capture_map map, uint16_t port)
{
    static const uint8_t VALUE[256];
    struct tuple_key key = {.family = 4};
    uint32_t count = 0;
    struct pair pair;

    do
        memcpy(key.source, &count, sizeof(count));
    while (bpf_map_update_elem(map_of(scene, map), &key, VALUE, BPF_NOEXIST) == 0 &&
           ++count < 4 * ROOM);
    assert_in_range(count, 1, 4 * ROOM - 1);
    pair = connect_to(scene, &scene->stage.client, port);
    end(&pair);
    while (count-- > 0) {
        memcpy(key.source, &count, sizeof(count));
        assert_int_equal(bpf_map_delete_elem(map_of(scene, map), &key), 0);
    }
}

static void live_is_full(struct scene *scene)
{
    connect_while_full(scene, MAP_LIVE, own_port());
}

static void behind_redirect(struct scene *scene)
{
    struct pair pair = connect_to(scene, &scene->stage.client, (uint16_t)(own_port() + 1));

    end(&pair);
}

static void alias_is_full(struct scene *scene)
{
    connect_while_full(scene, MAP_ALIAS, (uint16_t)(own_port() + 1));
}

static void watcher_that_does_not_read(struct scene *scene)
{
    struct watch_lease lease = {UINT64_MAX}, none = {0};
    struct capture_config untracked = SETTINGS;

    untracked.tracked = 0;
    configure(scene, &untracked);
    assert_int_equal(bpf_map_update_elem(map_of(scene, MAP_WATCH), &(uint32_t){0}, &lease, 0), 0);
    for (size_t i = 0; i < RING_EVENTS; i++)
        a_syn(scene);
    assert_int_equal(bpf_map_update_elem(map_of(scene, MAP_WATCH), &(uint32_t){0}, &none, 0), 0);
    configure(scene, &SETTINGS);
}

/* --- the table --- */

static const struct {
    void (*provoke)(struct scene *scene);
    uint64_t (*apart)(void); /* with maps of its own: how much it counted */
} ROWS[COUNTER_COUNT_] = {
    [COUNTER_SYN_SEEN] = {a_syn, NULL},
    [COUNTER_SYN_STORED] = {a_syn, NULL},
    [COUNTER_SYN_RETRANSMIT] = {the_same_syn_again, NULL},
    [COUNTER_SYN_CONFLICT] = {another_isn, NULL},
    [COUNTER_SYN_ON_LIVE] = {forged_syn_on_a_connection, NULL},
    [COUNTER_SYN_FILTERED_PORT] = {another_port, NULL},
    [COUNTER_SYN_FILTERED_PREFIX] = {another_destination, NULL},
    [COUNTER_SYN_RATE_SKIPPED] = {too_many_of_one_source, NULL},
    [COUNTER_SYN_RATE_ALLOWED] = {one_of_a_source, NULL},
    [COUNTER_SYN_INSERT_NO_MEMORY] = {NULL, no_element},
    [COUNTER_SYN_INSERT_FAILED] = {NULL, no_room},
    [COUNTER_SYN_BAD_FLAGS] = {syn_and_fin, NULL},
    [COUNTER_SYN_BAD_OFFSET] = {offset_of_16_bytes, NULL},
    [COUNTER_SYN_BAD_LENGTH] = {no_room_for_tcp, NULL},
    [COUNTER_SYN_TRUNCATED] = {longer_than_the_frame, NULL},
    [COUNTER_SYN_WITH_PAYLOAD] = {with_data, NULL},
    [COUNTER_IP_BAD_HEADER] = {version_5, NULL},
    [COUNTER_IP_FRAGMENT] = {first_fragment, NULL},
    [COUNTER_IP_CUT_OFF] = {half_a_header, NULL},
    [COUNTER_IPV6_EXTENSION] = {options_for_the_destination, NULL},
    [COUNTER_IPV6_TOO_DEEP] = {nine_extension_headers, NULL},
    [COUNTER_VLAN_TOO_DEEP] = {three_tags, NULL},
    [COUNTER_TUNNEL_UNPARSED] = {gre, NULL},
    [COUNTER_TUNNEL_PARSED] = {inside_vxlan, NULL},
    [COUNTER_LINK_UNPARSED] = {mpls, NULL},
    [COUNTER_PROMOTED] = {a_connection, NULL},
    [COUNTER_PENDING_TAKEN] = {a_connection, NULL},
    [COUNTER_PROMOTE_NO_SYN] = {past_the_device, NULL},
    [COUNTER_PROMOTE_ISN_MISMATCH] = {past_the_device_of_a_forged_source, NULL},
    [COUNTER_PROMOTE_SHARED] = {tuple_of_another_namespace, NULL},
    [COUNTER_CLAIM_CROWDED] = {tuple_of_too_many_namespaces, NULL},
    [COUNTER_LIVE_STORED] = {a_connection, NULL},
    [COUNTER_LIVE_INSERT_FAILED] = {live_is_full, NULL},
    [COUNTER_LIVE_DELETED] = {a_connection, NULL},
    [COUNTER_LIVE_DELETE_MISS] = {entry_that_is_gone, NULL},
    [COUNTER_LIVE_REPLACED] = {tuple_of_a_dead_socket, NULL},
    [COUNTER_ALIAS_STORED] = {behind_redirect, NULL},
    [COUNTER_ALIAS_INSERT_FAILED] = {alias_is_full, NULL},
    [COUNTER_ALIAS_DELETED] = {behind_redirect, NULL},
    [COUNTER_WATCH_LOST] = {watcher_that_does_not_read, NULL},
};

static void provoke(struct scene *scene, enum capture_counter which)
{
    uint64_t before = counter(scene, which);

    ROWS[which].provoke(scene);
    for (int waited_ms = 0; counter(scene, which) == before; waited_ms += 5) {
        if (waited_ms > 2000)
            fail_msg("counter %d of enum capture_counter does not move", which);
        sleep_ms(5);
    }
}

static void each_counter_can_be_provoked(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    for (enum capture_counter which = 0; which < COUNTER_COUNT_; which++) {
        if (ROWS[which].apart && ROWS[which].apart() == 0)
            fail_msg("counter %d of enum capture_counter does not move", which);
        if (!ROWS[which].apart && !ROWS[which].provoke)
            fail_msg("nothing here provokes counter %d of enum capture_counter", which);
        if (!ROWS[which].apart)
            provoke(&scene, which);
    }
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_counter_can_be_provoked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
