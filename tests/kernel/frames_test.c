/* SPDX-License-Identifier: Apache-2.0 */
/* Single frames through the loaded programs of all hooks: what they record is what the same parser
 * says in user space, every frame passes, and none is changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"
#include "hookset.h"
#include "packet.h"

enum { PORT = 443, BIG_FRAME_MAX = 12000, LINE_MAX_BYTES = 65536 };

/* Runs the frame at the hook and compares with the parser here.  Returns what that said. */
static enum parse_result run_and_compare(const struct hookset *set, enum syn_hook hook,
                                         const uint8_t *frame, size_t length)
{
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record expected, record;
    enum parse_result result = hookset_parse(hook, frame, length, 0, &packet);

    hookset_run(set, hook, frame, length);
    if (result == PARSE_SYN) {
        parse_fill(&packet, &key, &expected);
        record = hookset_take(set, hook, &key);
        assert_memory_equal(&record, &expected, sizeof(record));
    }
    assert_true(hookset_pending_is_empty(set));
    return result;
}

/* --- the corpus of p0f's own answers --- */

static size_t unhex(const char *text, uint8_t *bytes, size_t size)
{
    size_t count = 0;
    unsigned value;

    for (; count < size && sscanf(text + 2 * count, "%2x", &value) == 1; count++)
        bytes[count] = (uint8_t)value;
    return count;
}

static void oracle_frames_are_recorded_as_the_parser_says(void **state)
{
    static char line[LINE_MAX_BYTES];
    FILE *file = fopen(TEST_DATA "/p0f/oracle.jsonl", "re");
    struct hookset set;
    int frames = 0, syns[SYN_HOOK_COUNT_] = {0};

    (void)state;
    hookset_make(&set);
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        const char *hex = strstr(line, "\"frame\":\"");
        uint8_t frame[FRAME_MAX];
        bool reported = strstr(line, "\"reported\":true"),
             beyond = strstr(line, "\"cat\":\"v6ext\"");
        size_t length;

        assert_non_null(hex);
        length = unhex(hex + strlen("\"frame\":\""), frame, sizeof(frame));
        for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
            bool syn = run_and_compare(&set, hook, frame, length) == PARSE_SYN;

            syns[hook] += syn;
            if (syn != reported && !beyond && hook != SYN_HOOK_CGROUP)
                fail_msg("p0f %s this frame: %s", reported ? "reports" : "does not report", line);
        }
        frames++;
    }
    (void)fclose(file);
    assert_true(frames > 400);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++)
        assert_true(syns[hook] > 400);
    hookset_done(&set);
}

/* --- frames made by hand --- */

/* Offsets in a frame of segment_build(). */
enum {
    ETH = 14,
    IP4_LENGTH = ETH + 2,
    IP4_FRAGMENT = ETH + 6,
    IP4_PROTOCOL = ETH + 9,
    IP6_LENGTH = ETH + 4,
    IP6_NEXT = ETH + 6,
    TCP4 = ETH + 20,
    TCP6 = ETH + 40,
    TCP = 20,
    OFFSET = 12,
    FLAGS = 13,
    POKES = 3,
};

struct poke {
    int offset, value;
};

struct row {
    const char *name;
    bool ip6;
    struct poke pokes[POKES];
    int cut;            /* bytes taken off the end */
    int insert_at;      /* and these put in */
    const char *insert; /* hex */
    enum parse_result result;
    int counter; /* that goes up by one; -1: none */
    int seen;
    bool link; /* not what it is without its Ethernet header */
};

#define TAG_A               "81000001"
#define TAG_B               "88a80002"
#define TAG_C               "91000003"
#define DESTINATION_OPTIONS "3c00010400000000"
#define FOUR_DESTINATION_OPTIONS                                                                   \
    DESTINATION_OPTIONS DESTINATION_OPTIONS DESTINATION_OPTIONS DESTINATION_OPTIONS
#define LAST_DESTINATION_OPTIONS "0600010400000000"

/* clang-format off */
static const struct row ROWS[] = {
    {"a plain SYN", .result = PARSE_SYN, .counter = COUNTER_SYN_STORED},
    {"a plain SYN over IPv6", true, .result = PARSE_SYN, .counter = COUNTER_SYN_STORED},
    {"SYN-ACK", false, {{TCP4 + FLAGS, FLAG_SYN | FLAG_ACK}}, .result = PARSE_NOT_SYN, .counter = -1},
    {"ACK", false, {{TCP4 + FLAGS, FLAG_ACK}}, .result = PARSE_NOT_SYN, .counter = -1},
    {"no flags", true, {{TCP6 + FLAGS, 0}}, .result = PARSE_NOT_SYN, .counter = -1},
    {"ICMP", false, {{IP4_PROTOCOL, 1}}, .result = PARSE_NOT_TCP, .counter = -1},
    {"UDP", false, {{IP4_PROTOCOL, 17}}, .result = PARSE_NOT_TCP, .counter = -1},
    {"UDP over IPv6", true, {{IP6_NEXT, 17}}, .result = PARSE_NOT_TCP, .counter = -1},
    {"ARP", false, {{13, 6}}, .result = PARSE_NOT_IP, .counter = -1, .link = true},
    {"MPLS", false, {{12, 0x88}, {13, 0x47}},
     .result = PARSE_LINK, .counter = COUNTER_LINK_UNPARSED, .link = true},
    {"multicast MPLS", false, {{12, 0x88}, {13, 0x48}},
     .result = PARSE_LINK, .counter = COUNTER_LINK_UNPARSED, .link = true},
    {"PPPoE", true, {{12, 0x88}, {13, 0x64}},
     .result = PARSE_LINK, .counter = COUNTER_LINK_UNPARSED, .link = true},
    {"IP in IP", false, {{IP4_PROTOCOL, 4}},
     .result = PARSE_TUNNEL, .counter = COUNTER_TUNNEL_UNPARSED, .link = true},
    {"IPv6 in IPv6", true, {{IP6_NEXT, 41}},
     .result = PARSE_TUNNEL, .counter = COUNTER_TUNNEL_UNPARSED, .link = true},
    {"GRE", false, {{IP4_PROTOCOL, 47}},
     .result = PARSE_TUNNEL, .counter = COUNTER_TUNNEL_UNPARSED, .link = true},
    {"a later fragment of GRE", false, {{IP4_PROTOCOL, 47}, {IP4_FRAGMENT + 1, 1}},
     .result = PARSE_NOT_TCP, .counter = -1},
    {"VXLAN that is not looked into", false, {{IP4_PROTOCOL, 17}, {TCP4 + 2, 0x12}, {TCP4 + 3, 0xb5}},
     .result = PARSE_TUNNEL, .counter = COUNTER_TUNNEL_UNPARSED, .link = true},
    {"Geneve", true, {{IP6_NEXT, 17}, {TCP6 + 2, 0x17}, {TCP6 + 3, 0xc1}},
     .result = PARSE_TUNNEL, .counter = COUNTER_TUNNEL_UNPARSED, .link = true},
    {"SYN and FIN", false, {{TCP4 + FLAGS, FLAG_SYN | FLAG_FIN}},
     .result = PARSE_BAD_FLAGS, .counter = COUNTER_SYN_BAD_FLAGS},
    {"SYN and RST", true, {{TCP6 + FLAGS, FLAG_SYN | FLAG_RST}},
     .result = PARSE_BAD_FLAGS, .counter = COUNTER_SYN_BAD_FLAGS},
    {"SYN with PSH", false, {{TCP4 + FLAGS, FLAG_SYN | FLAG_PSH}},
     .result = PARSE_SYN, .counter = COUNTER_SYN_STORED},
    {"data offset 4", false, {{TCP4 + OFFSET, 0x40}},
     .result = PARSE_BAD_OFFSET, .counter = COUNTER_SYN_BAD_OFFSET},
    {"data offset beyond the packet", true, {{TCP6 + OFFSET, 0xf0}},
     .result = PARSE_BAD_OFFSET, .counter = COUNTER_SYN_BAD_OFFSET},
    {"IP length beyond the frame", false, {{IP4_LENGTH + 1, 200}},
     .result = PARSE_TRUNCATED, .counter = COUNTER_SYN_TRUNCATED},
    {"IPv6 length beyond the frame", true, {{IP6_LENGTH + 1, 200}},
     .result = PARSE_TRUNCATED, .counter = COUNTER_SYN_TRUNCATED},
    {"IP length without room for TCP", false, {{IP4_LENGTH + 1, 39}},
     .result = PARSE_BAD_LENGTH, .counter = COUNTER_SYN_BAD_LENGTH},
    {"IPv6 length 0", true, {{IP6_LENGTH + 1, 0}},
     .result = PARSE_BAD_LENGTH, .counter = COUNTER_SYN_BAD_LENGTH},
    {"frame ends inside the TCP header", false, .cut = 8,
     .result = PARSE_CUT_OFF, .counter = COUNTER_IP_CUT_OFF},
    {"frame ends inside the IPv6 header", true, .cut = 40,
     .result = PARSE_CUT_OFF, .counter = COUNTER_IP_CUT_OFF},
    {"header length 4", false, {{ETH, 0x44}},
     .result = PARSE_BAD_IP_HEADER, .counter = COUNTER_IP_BAD_HEADER},
    {"version 5", false, {{ETH, 0x55}},
     .result = PARSE_BAD_IP_HEADER, .counter = COUNTER_IP_BAD_HEADER, .link = true},
    {"version 4 in an IPv6 frame", true, {{ETH, 0x40}},
     .result = PARSE_BAD_IP_HEADER, .counter = COUNTER_IP_BAD_HEADER, .link = true},
    {"first fragment", false, {{IP4_FRAGMENT, 0x20}},
     .result = PARSE_FRAGMENT, .counter = COUNTER_IP_FRAGMENT},
    {"offset in the low byte only", false, {{IP4_FRAGMENT, 0}, {IP4_FRAGMENT + 1, 1}},
     .result = PARSE_FRAGMENT, .counter = COUNTER_IP_FRAGMENT},
    {"reserved bit is no fragment", false, {{IP4_FRAGMENT, 0x80}},
     .result = PARSE_SYN, .counter = COUNTER_SYN_STORED},
    {"IPv6 atomic fragment", true, {{IP6_NEXT, 44}, {IP6_LENGTH + 1, 32}}, 0, TCP6, "0600000000000001",
     .result = PARSE_FRAGMENT, .counter = COUNTER_IP_FRAGMENT},
    {"IPv6 fragment of UDP", true, {{IP6_NEXT, 44}, {IP6_LENGTH + 1, 32}}, 0, TCP6, "1100000000000001",
     .result = PARSE_NOT_TCP, .counter = -1},
    {"hop-by-hop options", true, {{IP6_NEXT, 0}, {IP6_LENGTH + 1, 32}}, 0, TCP6, "0600010400000000",
     .result = PARSE_SYN, .counter = COUNTER_IPV6_EXTENSION, .seen = SYN_SEEN_IPV6_EXTENSION},
    {"long routing header", true, {{IP6_NEXT, 43}, {IP6_LENGTH + 1, 48}}, 0, TCP6,
     "060202000000000000000000000000000000000000000000",
     .result = PARSE_SYN, .counter = COUNTER_IPV6_EXTENSION, .seen = SYN_SEEN_IPV6_EXTENSION},
    {"extension header longer than the frame", true, {{IP6_NEXT, 0}, {IP6_LENGTH + 1, 32}}, 0, TCP6,
     "06ff010400000000", .result = PARSE_CUT_OFF, .counter = COUNTER_IP_CUT_OFF},
    {"eight extension headers", true, {{IP6_NEXT, 60}, {IP6_LENGTH + 1, 88}}, 0, TCP6,
     FOUR_DESTINATION_OPTIONS DESTINATION_OPTIONS DESTINATION_OPTIONS DESTINATION_OPTIONS
         LAST_DESTINATION_OPTIONS,
     .result = PARSE_SYN, .counter = COUNTER_IPV6_EXTENSION, .seen = SYN_SEEN_IPV6_EXTENSION},
    {"nine extension headers", true, {{IP6_NEXT, 60}, {IP6_LENGTH + 1, 96}}, 0, TCP6,
     FOUR_DESTINATION_OPTIONS FOUR_DESTINATION_OPTIONS LAST_DESTINATION_OPTIONS,
     .result = PARSE_IPV6_TOO_DEEP, .counter = COUNTER_IPV6_TOO_DEEP},
    {"one VLAN tag", .insert_at = 12, .insert = TAG_A,
     .result = PARSE_SYN, .counter = COUNTER_SYN_STORED, .seen = SYN_SEEN_VLAN_1, .link = true},
    {"two VLAN tags", true, .insert_at = 12, .insert = TAG_B TAG_A,
     .result = PARSE_SYN, .counter = COUNTER_SYN_STORED, .seen = SYN_SEEN_VLAN_2, .link = true},
    {"the old type of the outer tag", .insert_at = 12, .insert = TAG_C,
     .result = PARSE_SYN, .counter = COUNTER_SYN_STORED, .seen = SYN_SEEN_VLAN_1, .link = true},
    {"a third VLAN tag", .insert_at = 12, .insert = TAG_B TAG_A TAG_A,
     .result = PARSE_VLAN_TOO_DEEP, .counter = COUNTER_VLAN_TOO_DEEP, .link = true},
};
/* clang-format on */

static const struct segment PLAIN4 = {
    .source = "192.0.2.9",
    .destination = "192.0.2.1",
    .source_port = 40000,
    .destination_port = PORT,
    .seq = 0x01020304,
    .flags = FLAG_SYN,
    .mss = 1460,
};

static const struct segment PLAIN6 = {
    .source = "2001:db8::9",
    .destination = "2001:db8::1",
    .source_port = 40000,
    .destination_port = PORT,
    .seq = 0x01020304,
    .flags = FLAG_SYN,
    .mss = 1440,
};

static size_t build(const struct row *row, uint8_t frame[FRAME_MAX])
{
    size_t length = segment_build(row->ip6 ? &PLAIN6 : &PLAIN4, frame), inserted;
    uint8_t bytes[128];

    for (int i = 0; i < POKES && row->pokes[i].offset; i++)
        frame[row->pokes[i].offset] = (uint8_t)row->pokes[i].value;
    length -= (size_t)row->cut;
    if (!row->insert)
        return length;
    inserted = unhex(row->insert, bytes, sizeof(bytes));
    memmove(frame + row->insert_at + inserted, frame + row->insert_at,
            length - (size_t)row->insert_at);
    memcpy(frame + row->insert_at, bytes, inserted);
    return length + inserted;
}

/* How many counters a SYN of this kind moves: seen, stored or what is wrong, and the extension
 * headers. */
static unsigned moved_counters(const struct row *row)
{
    if (row->counter < 0)
        return 0;
    if (row->result < PARSE_SYN)
        return 1;
    return row->seen & SYN_SEEN_IPV6_EXTENSION ? 3 : 2;
}

static void check_row(const struct hookset *set, enum syn_hook hook, const struct row *row)
{
    uint8_t frame[FRAME_MAX];
    size_t length = build(row, frame);
    uint64_t before =
        row->counter < 0 ? 0 : hookset_counter(set, hook, (enum capture_counter)row->counter);
    uint64_t sum = hookset_sum(set, hook);
    enum parse_result result = run_and_compare(set, hook, frame, length);

    if (result != row->result)
        fail_msg("%s at hook %d: result %d, expected %d", row->name, hook, result, row->result);
    if (row->counter >= 0 &&
        hookset_counter(set, hook, (enum capture_counter)row->counter) != before + 1)
        fail_msg("%s at hook %d: not counted", row->name, hook);
    if (hookset_sum(set, hook) != sum + moved_counters(row))
        fail_msg("%s at hook %d: %d counters moved", row->name, hook,
                 (int)(hookset_sum(set, hook) - sum));
}

/* Rows of the link layer and those that are told by it are not for cgroup_skb.  The kernel makes no
 * socket buffer for test-run of less than an IP header. */
static bool is_for(enum syn_hook hook, const struct row *row)
{
    if (hook != SYN_HOOK_XDP && row->cut > TCP)
        return false;
    return hook != SYN_HOOK_CGROUP || !row->link;
}

static void each_kind_of_frame_is_counted_as_what_it_is(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make(&set);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++)
        for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
            if (is_for(hook, &ROWS[i]))
                check_row(&set, hook, &ROWS[i]);
    hookset_done(&set);
}

/* What the kernel gives a process is never a frame to be unpacked. */
static void no_tunnel_is_counted_in_a_control_group(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make(&set);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        uint8_t frame[FRAME_MAX];

        if (ROWS[i].result == PARSE_TUNNEL)
            hookset_run(&set, SYN_HOOK_CGROUP, frame, build(&ROWS[i], frame));
    }
    assert_int_equal(hookset_sum(&set, SYN_HOOK_CGROUP), 0);
    hookset_done(&set);
}

static void parser_says_what_it_went_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        uint8_t frame[FRAME_MAX];
        size_t length = build(&ROWS[i], frame);
        struct parse_packet packet;

        if (parse_syn_ethernet(frame, frame + length, &packet) == PARSE_SYN)
            assert_int_equal(packet.seen, ROWS[i].seen);
    }
}

static void second_syn_with_the_same_isn_is_a_retransmit(void **state)
{
    struct hookset set;

    (void)state;
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        struct segment again = PLAIN4;
        uint8_t frame[FRAME_MAX];

        hookset_make(&set);
        hookset_run(&set, hook, frame, segment_build(&PLAIN4, frame));
        again.ttl = 33;
        hookset_run(&set, hook, frame, segment_build(&again, frame));
        again.seq++;
        hookset_run(&set, hook, frame, segment_build(&again, frame));
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_SEEN), 3);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_STORED), 2);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_RETRANSMIT), 1);
        hookset_done(&set);
    }
}

/* On its way inwards a packet loses hops, and netfilter may change it. */
static void outermost_hook_that_sees_a_syn_keeps_it(void **state)
{
    struct segment syn = PLAIN6;
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record record;
    uint8_t frame[FRAME_MAX];
    struct hookset set;
    size_t length;

    (void)state;
    hookset_make(&set);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        syn.ttl = (uint8_t)(64 - hook);
        length = segment_build(&syn, frame);
        hookset_run(&set, hook, frame, length);
        assert_int_equal(
            hookset_counter(&set, hook,
                            hook == SYN_HOOK_XDP ? COUNTER_SYN_STORED : COUNTER_SYN_RETRANSMIT),
            1);
    }
    assert_int_equal(parse_syn_ethernet(frame, frame + length, &packet), PARSE_SYN);
    parse_fill(&packet, &key, &record);
    record = hookset_take(&set, SYN_HOOK_XDP, &key);
    assert_int_equal(record.ttl, 64 - SYN_HOOK_XDP);
    hookset_done(&set);
}

static void payload_is_counted_and_padding_is_not(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make(&set);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        struct segment data = PLAIN4;
        uint8_t frame[FRAME_MAX] = {0};
        size_t length = segment_build(&PLAIN4, frame) + 6; /* Ethernet padding */

        assert_int_equal(run_and_compare(&set, hook, frame, length), PARSE_SYN);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_WITH_PAYLOAD), 0);
        data.payload = 100;
        length = segment_build(&data, frame);
        assert_int_equal(run_and_compare(&set, hook, frame, length), PARSE_SYN);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_WITH_PAYLOAD), 1);
    }
    hookset_done(&set);
}

/* Longer than one page: most of the frame is not in the linear part that the program can read. */
static void frame_in_several_buffers_has_its_whole_length(void **state)
{
    static uint8_t frame[BIG_FRAME_MAX];
    enum { PAYLOAD = 9000 };
    size_t length = segment_build(&PLAIN4, frame);
    uint32_t ip_length = (uint32_t)(length - ETH + PAYLOAD);
    struct hookset set;

    (void)state;
    hookset_make(&set);
    frame[IP4_LENGTH] = (uint8_t)(ip_length >> 8);
    frame[IP4_LENGTH + 1] = (uint8_t)ip_length;
    assert_int_equal(run_and_compare(&set, SYN_HOOK_XDP, frame, length + PAYLOAD), PARSE_SYN);
    hookset_run(&set, SYN_HOOK_XDP, frame, length + PAYLOAD - 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_TRUNCATED), 1);
    hookset_done(&set);
}

/* --- filters --- */

static void other_ports_are_filtered(void **state)
{
    static const uint16_t PORTS[] = {1, 64, PORT, 65535},
                          OTHERS[] = {PORT - 1, PORT + 1, PORT + 64};
    struct hookset set;

    (void)state;
    hookset_make_with(&set, &(struct filters){.ports = PORTS, .port_count = 4}, NULL, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        struct segment syn = PLAIN4;
        uint8_t frame[FRAME_MAX];

        for (size_t i = 0; i < 4; i++) {
            syn.destination_port = PORTS[i];
            assert_int_equal(run_and_compare(&set, hook, frame, segment_build(&syn, frame)),
                             PARSE_SYN);
        }
        for (size_t i = 0; i < 3; i++) {
            syn.destination_port = OTHERS[i];
            hookset_run(&set, hook, frame, segment_build(&syn, frame));
        }
        assert_true(hookset_pending_is_empty(&set));
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_STORED), 4);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_FILTERED_PORT), 3);
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_SEEN), 4);
    }
    hookset_done(&set);
}

static void other_destinations_are_filtered(void **state)
{
    static const struct {
        const char *source, *destination;
        bool captured;
    } DESTINATIONS[] = {
        {"192.0.2.9", "198.51.100.7", true},     {"192.0.2.9", "198.51.100.255", true},
        {"192.0.2.9", "198.51.101.7", false},    {"2001:db8::9", "2001:db8:1::5", true},
        {"2001:db8::9", "2001:db8:2::5", false},
    };
    struct prefix prefixes[2];
    struct hookset set;

    (void)state;
    assert_int_equal(prefix_parse(STR("198.51.100.0/24"), &prefixes[0]), 0);
    assert_int_equal(prefix_parse(STR("2001:db8:1::/48"), &prefixes[1]), 0);
    hookset_make_with(&set,
                      &(struct filters){.any_port = true, .prefixes = prefixes, .prefix_count = 2},
                      NULL, NULL);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        uint64_t filtered = 0;

        for (size_t i = 0; i < sizeof(DESTINATIONS) / sizeof(DESTINATIONS[0]); i++) {
            struct segment syn = PLAIN4;
            uint8_t frame[FRAME_MAX];
            size_t length;

            syn.source = DESTINATIONS[i].source;
            syn.destination = DESTINATIONS[i].destination;
            length = segment_build(&syn, frame);
            if (DESTINATIONS[i].captured)
                assert_int_equal(run_and_compare(&set, hook, frame, length), PARSE_SYN);
            else
                hookset_run(&set, hook, frame, length);
            filtered += !DESTINATIONS[i].captured;
            assert_true(hookset_pending_is_empty(&set));
            assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_FILTERED_PREFIX), filtered);
        }
    }
    hookset_done(&set);
}

/* Maps of zeros: the state before the loader has written its filters. */
static void unprogrammed_maps_capture_and_count_nothing(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make(&set);
    hookset_configure(&set, &(struct capture_config){0});
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
            uint8_t frame[FRAME_MAX];

            if (is_for(hook, &ROWS[i]))
                hookset_run(&set, hook, frame, build(&ROWS[i], frame));
        }
        assert_int_equal(hookset_sum(&set, hook), 0);
    }
    assert_true(hookset_pending_is_empty(&set));
    hookset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle_frames_are_recorded_as_the_parser_says),
        cmocka_unit_test(each_kind_of_frame_is_counted_as_what_it_is),
        cmocka_unit_test(no_tunnel_is_counted_in_a_control_group),
        cmocka_unit_test(parser_says_what_it_went_through),
        cmocka_unit_test(second_syn_with_the_same_isn_is_a_retransmit),
        cmocka_unit_test(outermost_hook_that_sees_a_syn_keeps_it),
        cmocka_unit_test(payload_is_counted_and_padding_is_not),
        cmocka_unit_test(frame_in_several_buffers_has_its_whole_length),
        cmocka_unit_test(other_ports_are_filtered),
        cmocka_unit_test(other_destinations_are_filtered),
        cmocka_unit_test(unprogrammed_maps_capture_and_count_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
