/* SPDX-License-Identifier: Apache-2.0 */
/* Each counter of the kernel's side is provoked once: one that nothing here moves fails. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "flow_key.h"
#include "local_capture.h"
#include "provoke.h"

enum {
    ROOM = 64,
    RING_EVENTS = 256 * 1024 / sizeof(struct watch_event) + 10,
    FIRST_SOURCE_PORT = 33000,
};

/* Capture on "near" of own_port() and the next, which is redirected to the first; not sealed. */
struct scene {
    struct stage stage;
    struct local_capture *capture;
    int listener;
    struct sender sender; /* its ports are the connections', too */
};

static int map_of(const struct scene *scene, enum capture_map map)
{
    return local_capture_get_maps(scene->capture)->fd[map];
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
    scene->sender = (struct sender){.program = local_capture_program(scene->capture),
                                    .keeper = local_capture_keeper(scene->capture),
                                    .source_port = FIRST_SOURCE_PORT};
    sender_configure(&scene->sender, &SENDER_SETTINGS);
    scene->listener = listen_in(&scene->stage.server, "10.77.0.2", own_port());
}

static void scene_done(struct scene *scene)
{
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

/* --- connections --- */

struct pair {
    int client, server;
    struct flow flow;
    uint16_t source_port;
};

static struct pair connect_to(struct scene *scene, const struct netns *from, uint16_t port)
{
    struct pair pair = {.source_port = scene->sender.source_port++};

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
    struct segment forged = sender_syn(&scene->sender);

    forged.source = "10.77.0.1";
    forged.source_port = pair.source_port;
    sender_run(&scene->sender, &forged);
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
    struct segment forged = sender_syn(&scene->sender);
    struct pair pair;

    forged.source = "10.77.0.2";
    sender_run(&scene->sender, &forged);
    scene->sender.source_port = forged.source_port;
    pair = connect_to(scene, &scene->stage.server, own_port());
    end(&pair);
}

/* The next connection's entry is taken by a socket of this scope and by these others. */
static struct pair connect_over(struct scene *scene, uint64_t netns, uint64_t other)
{
    const struct flow flow =
        flow_text("10.77.0.1", scene->sender.source_port, "10.77.0.2", own_port());
    struct live_entry entry = {
        .version_begin = 0x7fffffff,
        .claim = {.owner = 0x7fffffff, .others = {other, other, other}, .tag = 0x7fffffff},
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

static void crowd_is_full(struct scene *scene)
{
    static const struct crowd_member MEMBER;
    struct crowd_key key = {.cookie = 1};

    while (bpf_map_update_elem(map_of(scene, MAP_CROWD), &key, &MEMBER, BPF_NOEXIST) == 0)
        assert_in_range(++key.cookie, 1, 4 * ROOM);
    tuple_of_too_many_namespaces(scene);
    while (--key.cookie > 0)
        assert_int_equal(bpf_map_delete_elem(map_of(scene, MAP_CROWD), &key), 0);
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
    struct capture_config untracked = SENDER_SETTINGS;

    untracked.tracked = 0;
    sender_configure(&scene->sender, &untracked);
    assert_int_equal(bpf_map_update_elem(map_of(scene, MAP_WATCH), &(uint32_t){0}, &lease, 0), 0);
    for (size_t i = 0; i < RING_EVENTS; i++)
        provoke_a_syn(&scene->sender);
    assert_int_equal(bpf_map_update_elem(map_of(scene, MAP_WATCH), &(uint32_t){0}, &none, 0), 0);
    sender_configure(&scene->sender, &SENDER_SETTINGS);
}

/* --- the table --- */

static const struct {
    void (*frame)(struct sender *sender);
    void (*connection)(struct scene *scene);
    uint64_t (*apart)(void); /* with maps of its own: how much it counted */
} ROWS[COUNTER_COUNT_] = {
    [COUNTER_SYN_SEEN] = {.frame = provoke_a_syn},
    [COUNTER_SYN_STORED] = {.frame = provoke_a_syn},
    [COUNTER_SYN_RETRANSMIT] = {.frame = provoke_the_same_syn_again},
    [COUNTER_SYN_CONFLICT] = {.frame = provoke_another_isn},
    [COUNTER_SYN_ON_LIVE] = {.connection = forged_syn_on_a_connection},
    [COUNTER_SYN_FILTERED_PORT] = {.frame = provoke_another_port},
    [COUNTER_SYN_FILTERED_PREFIX] = {.frame = provoke_another_destination},
    [COUNTER_SYN_RATE_SKIPPED] = {.frame = provoke_too_many_of_one_source},
    [COUNTER_SYN_RATE_ALLOWED] = {.frame = provoke_one_of_a_source},
    [COUNTER_SYN_INSERT_NO_MEMORY] = {.apart = provoke_no_element},
    [COUNTER_SYN_INSERT_FAILED] = {.apart = provoke_no_room},
    [COUNTER_SYN_BAD_FLAGS] = {.frame = provoke_syn_and_fin},
    [COUNTER_SYN_BAD_OFFSET] = {.frame = provoke_offset_of_16_bytes},
    [COUNTER_SYN_BAD_LENGTH] = {.frame = provoke_no_room_for_tcp},
    [COUNTER_SYN_TRUNCATED] = {.frame = provoke_longer_than_the_frame},
    [COUNTER_SYN_WITH_PAYLOAD] = {.frame = provoke_with_data},
    [COUNTER_IP_BAD_HEADER] = {.frame = provoke_version_5},
    [COUNTER_IP_FRAGMENT] = {.frame = provoke_first_fragment},
    [COUNTER_IP_CUT_OFF] = {.frame = provoke_half_a_header},
    [COUNTER_IPV6_EXTENSION] = {.frame = provoke_options_for_the_destination},
    [COUNTER_IPV6_TOO_DEEP] = {.frame = provoke_nine_extension_headers},
    [COUNTER_VLAN_TOO_DEEP] = {.frame = provoke_three_tags},
    [COUNTER_TUNNEL_UNPARSED] = {.frame = provoke_gre},
    [COUNTER_TUNNEL_PARSED] = {.frame = provoke_inside_vxlan},
    [COUNTER_LINK_UNPARSED] = {.frame = provoke_mpls},
    [COUNTER_PROMOTED] = {.connection = a_connection},
    [COUNTER_PENDING_TAKEN] = {.connection = a_connection},
    [COUNTER_PROMOTE_NO_SYN] = {.connection = past_the_device},
    [COUNTER_PROMOTE_ISN_MISMATCH] = {.connection = past_the_device_of_a_forged_source},
    [COUNTER_PROMOTE_SHARED] = {.connection = tuple_of_another_namespace},
    [COUNTER_CLAIM_CROWDED] = {.connection = tuple_of_too_many_namespaces},
    [COUNTER_CLAIM_LOST] = {.connection = crowd_is_full},
    [COUNTER_LIVE_STORED] = {.connection = a_connection},
    [COUNTER_LIVE_INSERT_FAILED] = {.connection = live_is_full},
    [COUNTER_LIVE_DELETED] = {.connection = a_connection},
    [COUNTER_LIVE_DELETE_MISS] = {.connection = entry_that_is_gone},
    [COUNTER_LIVE_REPLACED] = {.connection = tuple_of_a_dead_socket},
    [COUNTER_ALIAS_STORED] = {.connection = behind_redirect},
    [COUNTER_ALIAS_INSERT_FAILED] = {.connection = alias_is_full},
    [COUNTER_ALIAS_DELETED] = {.connection = behind_redirect},
    [COUNTER_WATCH_LOST] = {.connection = watcher_that_does_not_read},
};

static void provoke(struct scene *scene, enum capture_counter which)
{
    uint64_t before = counter(scene, which);

    if (ROWS[which].frame)
        ROWS[which].frame(&scene->sender);
    else if (ROWS[which].connection)
        ROWS[which].connection(scene);
    else
        fail_msg("nothing here provokes counter %d of enum capture_counter", which);
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
        if (!ROWS[which].apart)
            provoke(&scene, which);
        else if (ROWS[which].apart() == 0)
            fail_msg("counter %d of enum capture_counter does not move", which);
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
