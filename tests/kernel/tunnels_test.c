/* SPDX-License-Identifier: Apache-2.0 */
/* SYNs inside VXLAN, at the hooks that see frames before the kernel has unpacked them: what is
 * recorded is the inner packet, and hostile tunnels are counted. */
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hookset.h"
#include "packet.h"
#include "parse_tunnel.h"

enum {
    VXLAN_PORT = 8472, /* of some overlays; not the one that IANA gave */
    PORT = 443,
    ETH = PARSE_ETH_SIZE,
    IP4 = PARSE_IP4_SIZE,
    IP6 = PARSE_IP6_SIZE,
    UDP = PARSE_UDP_SIZE,
    VXLAN = PARSE_VXLAN_SIZE,
};

static const struct capture_config INTO_VXLAN = {
    .enabled = 1, .tracked = 1, .vxlan_port = VXLAN_PORT};

static const struct segment INNER4 = {
    .source = "10.244.1.9",
    .destination = "10.244.2.1",
    .source_port = 40000,
    .destination_port = PORT,
    .seq = 0x01020304,
    .flags = FLAG_SYN,
    .ttl = 63,
    .mss = 1410,
};

static const struct segment INNER6 = {
    .source = "fd00:244:1::9",
    .destination = "fd00:244:2::1",
    .source_port = 40000,
    .destination_port = PORT,
    .seq = 0x01020304,
    .flags = FLAG_SYN,
    .ttl = 63,
    .mss = 1390,
};

static void put16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* The headers around an inner frame of `length` bytes. */
static size_t build_outer(bool ip6, size_t length, uint8_t *frame)
{
    size_t header = ETH + (ip6 ? IP6 : IP4);
    uint8_t *ip = frame + ETH, *udp = frame + header;

    memset(frame, 0, header + UDP + VXLAN);
    put16(frame + 12, ip6 ? 0x86dd : 0x0800);
    if (ip6) {
        ip[0] = 0x60;
        put16(ip + 4, UDP + VXLAN + length);
        ip[6] = 17;
        ip[7] = 64;
    } else {
        ip[0] = 0x45;
        put16(ip + 2, IP4 + UDP + VXLAN + length);
        ip[8] = 64;
        ip[9] = 17;
    }
    put16(udp, 51234);
    put16(udp + 2, VXLAN_PORT);
    put16(udp + 4, UDP + VXLAN + length);
    udp[UDP] = 0x08;
    udp[UDP + 6] = 42; /* the network's number */
    return header + UDP + VXLAN;
}

struct tunnel {
    bool outer6;
    const struct segment *inner;
    size_t inner_at; /* ret: where the inner frame starts */
};

static size_t build(struct tunnel *tunnel, uint8_t frame[FRAME_MAX])
{
    uint8_t inner[FRAME_MAX];
    size_t length = segment_build(tunnel->inner, inner);

    tunnel->inner_at = build_outer(tunnel->outer6, length, frame);
    memcpy(frame + tunnel->inner_at, inner, length);
    return tunnel->inner_at + length;
}

/* The record is that of the inner frame alone, but for the mark. */
static void check_recorded(const struct hookset *set, enum syn_hook hook, const uint8_t *frame,
                           size_t length, size_t inner_at)
{
    struct syn_record expected, record;
    struct parse_packet packet;
    struct pending_key key;

    hookset_run(set, hook, frame, length);
    assert_int_equal(parse_syn_ethernet(frame + inner_at, frame + length, &packet), PARSE_SYN);
    parse_fill(&packet, &key, &expected);
    expected.seen |= SYN_SEEN_TUNNEL;
    record = hookset_take(set, hook, &key);
    assert_memory_equal(&record, &expected, sizeof(record));
    assert_true(hookset_pending_is_empty(set));
}

static void syn_inside_vxlan_is_recorded_as_the_inner_packet(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &INTO_VXLAN, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_CGROUP; hook++) {
        for (int i = 0; i < 4; i++) {
            struct tunnel tunnel = {.outer6 = i & 1, .inner = i & 2 ? &INNER6 : &INNER4};
            uint8_t frame[FRAME_MAX];
            size_t length = build(&tunnel, frame);

            check_recorded(&set, hook, frame, length, tunnel.inner_at);
        }
        assert_int_equal(hookset_counter(&set, hook, COUNTER_TUNNEL_PARSED), 4);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_STORED), 4);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_TUNNEL_UNPARSED), 0);
    }
    hookset_done(&set);
}

static size_t insert(uint8_t *frame, size_t length, size_t at, const uint8_t *bytes, size_t count)
{
    memmove(frame + at + count, frame + at, length - at);
    memcpy(frame + at, bytes, count);
    return length + count;
}

static void vlan_tags_outside_are_not_those_of_the_inner_packet(void **state)
{
    static const uint8_t TAG[] = {0x81, 0x00, 0x00, 0x07};
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &INTO_VXLAN, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_CGROUP; hook++) {
        struct tunnel tunnel = {.inner = &INNER4};
        uint8_t frame[FRAME_MAX];
        size_t length = build(&tunnel, frame);

        length = insert(frame, length, 12, TAG, sizeof(TAG));
        length = insert(frame, length, 12, TAG, sizeof(TAG));
        check_recorded(&set, hook, frame, length, tunnel.inner_at + 2 * sizeof(TAG));
        /* and one inside, which is said */
        length = insert(frame, length, tunnel.inner_at + 2 * sizeof(TAG) + 12, TAG, sizeof(TAG));
        check_recorded(&set, hook, frame, length, tunnel.inner_at + 2 * sizeof(TAG));
    }
    hookset_done(&set);
}

/* Padding behind the inner packet is no part of it, and what the inner IP length wants must be
 * there. */
static void inner_ip_length_decides_what_is_there(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &INTO_VXLAN, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_CGROUP; hook++) {
        struct tunnel tunnel = {.inner = &INNER4};
        uint8_t frame[FRAME_MAX] = {0};
        size_t length = build(&tunnel, frame);

        check_recorded(&set, hook, frame, length + 10, tunnel.inner_at);
        frame[tunnel.inner_at + ETH + 3] += 1;
        hookset_run(&set, hook, frame, length);
        assert_true(hookset_pending_is_empty(&set));
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_TRUNCATED), 1);
    }
    hookset_done(&set);
}

/* --- hostile ones --- */

struct poke {
    size_t at;
    uint8_t value;
};

static const struct {
    const char *name;
    struct poke pokes[3]; /* in a frame of IPv4 in IPv4 */
    size_t cut;           /* bytes taken off the end */
    enum parse_result result;
    int counter; /* -1: none */
} HOSTILE[] = {
    {"the flag of the network's number is not set",
     {{ETH + IP4 + UDP, 0}},
     0,
     PARSE_TUNNEL,
     COUNTER_TUNNEL_UNPARSED},
    {"no room for the VXLAN header",
     {{0, 0}},
     ETH + IP4 + PARSE_TCP_SIZE + 4 + 1,
     PARSE_TUNNEL,
     COUNTER_TUNNEL_UNPARSED},
    {"no room for the inner Ethernet header",
     {{0, 0}},
     1 + IP4 + PARSE_TCP_SIZE + 4,
     PARSE_NOT_IP,
     -1},
    {"no room for the inner TCP header", {{0, 0}}, 4 + 1, PARSE_CUT_OFF, COUNTER_IP_CUT_OFF},
    {"VXLAN in VXLAN",
     {{ETH + IP4 + UDP + VXLAN + ETH + 9, 17},
      {ETH + IP4 + UDP + VXLAN + ETH + IP4 + 2, PARSE_PORT_VXLAN >> 8},
      {ETH + IP4 + UDP + VXLAN + ETH + IP4 + 3, PARSE_PORT_VXLAN & 0xff}},
     0,
     PARSE_TUNNEL,
     COUNTER_TUNNEL_UNPARSED},
    {"UDP inside", {{ETH + IP4 + UDP + VXLAN + ETH + 9, 17}}, 0, PARSE_NOT_TCP, -1},
    {"an ACK inside", {{ETH + IP4 + UDP + VXLAN + ETH + IP4 + 13, FLAG_ACK}}, 0, PARSE_NOT_SYN, -1},
    {"a fragment inside",
     {{ETH + IP4 + UDP + VXLAN + ETH + 6, 0x20}},
     0,
     PARSE_FRAGMENT,
     COUNTER_IP_FRAGMENT},
    {"an inner header of 16 bytes",
     {{ETH + IP4 + UDP + VXLAN + ETH, 0x44}},
     0,
     PARSE_BAD_IP_HEADER,
     COUNTER_IP_BAD_HEADER},
    {"a later fragment outside", {{ETH + 7, 1}}, 0, PARSE_NOT_TCP, -1},
    {"an outer header that does not end", {{ETH, 0x44}}, 0, PARSE_NOT_TCP, -1},
    {"MPLS inside",
     {{ETH + IP4 + UDP + VXLAN + 12, 0x88}, {ETH + IP4 + UDP + VXLAN + 13, 0x47}},
     0,
     PARSE_LINK,
     COUNTER_LINK_UNPARSED},
};

static void check_hostile(const struct hookset *set, enum syn_hook hook, size_t i)
{
    struct tunnel tunnel = {.inner = &INNER4};
    uint8_t frame[FRAME_MAX];
    size_t length = build(&tunnel, frame) - HOSTILE[i].cut;
    uint64_t sum = hookset_sum(set, hook), before = 0;
    struct parse_packet packet;
    enum parse_result result;

    for (int j = 0; j < 3; j++)
        if (HOSTILE[i].pokes[j].at)
            frame[HOSTILE[i].pokes[j].at] = HOSTILE[i].pokes[j].value;
    if (HOSTILE[i].counter >= 0)
        before = hookset_counter(set, hook, (enum capture_counter)HOSTILE[i].counter);
    hookset_run(set, hook, frame, length);
    result = hookset_parse(hook, frame, length, VXLAN_PORT, &packet);
    if (result != HOSTILE[i].result)
        fail_msg("%s: result %d", HOSTILE[i].name, result);
    if (HOSTILE[i].counter >= 0 &&
        hookset_counter(set, hook, (enum capture_counter)HOSTILE[i].counter) != before + 1)
        fail_msg("%s: not counted at hook %d", HOSTILE[i].name, hook);
    if (hookset_sum(set, hook) != sum + (HOSTILE[i].counter >= 0))
        fail_msg("%s: something else is counted at hook %d", HOSTILE[i].name, hook);
}

static void what_is_no_sound_tunnel_is_counted_and_nothing_is_recorded(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &INTO_VXLAN, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_CGROUP; hook++)
        for (size_t i = 0; i < sizeof(HOSTILE) / sizeof(HOSTILE[0]); i++)
            check_hostile(&set, hook, i);
    assert_true(hookset_pending_is_empty(&set));
    hookset_done(&set);
}

/* The kernel and the parser here agree about a frame, and it goes on unchanged. */
static void check_alike(const struct hookset *set, const uint8_t *frame, size_t length)
{
    struct parse_packet packet;
    enum parse_result result = hookset_parse(SYN_HOOK_XDP, frame, length, VXLAN_PORT, &packet);

    hookset_run(set, SYN_HOOK_XDP, frame, length);
    if (result == PARSE_SYN) {
        struct pending_key key;
        struct syn_record record;

        parse_fill(&packet, &key, &record);
        (void)hookset_take(set, SYN_HOOK_XDP, &key);
    }
    assert_true(hookset_pending_is_empty(set));
}

static void damaged_tunnels_are_understood_alike(void **state)
{
    struct tunnel tunnel = {.outer6 = true, .inner = &INNER6};
    uint8_t frame[FRAME_MAX];
    size_t length = build(&tunnel, frame);
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &INTO_VXLAN, NULL);
    for (size_t cut = ETH + 1; cut <= length; cut++)
        check_alike(&set, frame, cut);
    for (size_t bit = 8 * 12; bit < 8 * length; bit++) {
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
        check_alike(&set, frame, length);
        frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    hookset_done(&set);
}

static void vxlan_is_left_alone_unless_it_is_asked_for(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make(&set);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_CGROUP; hook++) {
        struct tunnel tunnel = {.inner = &INNER4};
        uint8_t frame[FRAME_MAX];
        size_t length = build(&tunnel, frame);

        hookset_run(&set, hook, frame, length);
        assert_int_equal(hookset_sum(&set, hook), 0); /* an unknown port is just UDP */
        put16(frame + ETH + IP4 + 2, PARSE_PORT_VXLAN);
        hookset_run(&set, hook, frame, length);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_TUNNEL_UNPARSED), 1);
    }
    assert_true(hookset_pending_is_empty(&set));
    hookset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syn_inside_vxlan_is_recorded_as_the_inner_packet),
        cmocka_unit_test(vlan_tags_outside_are_not_those_of_the_inner_packet),
        cmocka_unit_test(inner_ip_length_decides_what_is_there),
        cmocka_unit_test(what_is_no_sound_tunnel_is_counted_and_nothing_is_recorded),
        cmocka_unit_test(damaged_tunnels_are_understood_alike),
        cmocka_unit_test(vxlan_is_left_alone_unless_it_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
