/* SPDX-License-Identifier: Apache-2.0 */
#include "syn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "record.h"

/* An IPv4 SYN whose fields raise no quirk but id+. */
static struct syn_record plain(void)
{
    return (struct syn_record){.ip_version = 4,
                               .ttl = 64,
                               .isn = 1,
                               .window = 1024,
                               .ip_id = 7,
                               .ip_fragment = 0x4000,
                               .tcp_flags = 0x002};
}

static struct syn decode(struct syn_record record, const char *options, size_t length)
{
    struct syn syn;

    assert_true(length <= SYN_OPTIONS_MAX);
    memcpy(record.tcp_options, options, length);
    record.tcp_options_length = (uint8_t)length;
    syn_from_record(&record, &syn);
    return syn;
}

enum { DF_ID = QUIRK_DF | QUIRK_ID_NONZERO };

/* bytes of a literal without its NUL */
#define BYTES(literal) literal, sizeof(literal) - 1

static void options_are_walked_as_p0f_walks_them(void **state)
{
    static const struct {
        const char *what, *options;
        size_t length;
        const char *layout;
        size_t layout_length;
        uint16_t mss;
        uint8_t scale;
        uint32_t ts;
        uint8_t pad;
        uint32_t quirks;
    } ROWS[] = {
        {"none", BYTES(""), BYTES(""), 0, 0, 0, 0, 0},
        {"Linux", BYTES("\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\x09\0\0\0\0\x01\x03\x03\x0a"),
         BYTES("\x02\x04\x08\x01\x03"), 1460, 10, 9, 0, 0},
        {"TSval 0", BYTES("\x08\x0a\0\0\0\0\0\0\0\0"), BYTES("\x08"), 0, 0, 0, 0, QUIRK_TS1_ZERO},
        {"TSecr", BYTES("\x08\x0a\x80\0\0\0\0\0\0\x01"), BYTES("\x08"), 0, 0, 0x80000000, 0,
         QUIRK_TS2_NONZERO},
        {"TS of a wrong length", BYTES("\x08\x0b\0\0\0\x01\0\0\0\0"), BYTES("\x08"), 0, 0, 1, 0,
         QUIRK_BAD_OPTIONS},
        {"TS cut off", BYTES("\x08\x0a\0\0\0\x01\0\0\0"), BYTES("\x08"), 0, 0, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"MSS of a wrong length is taken", BYTES("\x02\x05\x05\xb4\x01"), BYTES("\x02\x01"), 1460,
         0, 0, 0, QUIRK_BAD_OPTIONS},
        {"MSS cut off", BYTES("\x01\x01\x02\x04"), BYTES("\x01\x01\x02"), 0, 0, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"MSS twice", BYTES("\x02\x04\x05\xb4\x02\x04\x01\0"), BYTES("\x02\x02"), 256, 0, 0, 0, 0},
        {"WS 14", BYTES("\x03\x03\x0e"), BYTES("\x03"), 0, 14, 0, 0, 0},
        {"WS 15", BYTES("\x03\x03\x0f"), BYTES("\x03"), 0, 15, 0, 0, QUIRK_EXCESSIVE_WS},
        {"WS 15, then 1", BYTES("\x03\x03\x0f\x03\x03\x01"), BYTES("\x03\x03"), 0, 1, 0, 0,
         QUIRK_EXCESSIVE_WS},
        {"WS of a wrong length", BYTES("\x03\x02\x07"), BYTES("\x03"), 0, 7, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"SACK permitted of a wrong length", BYTES("\x04\x03"), BYTES("\x04"), 0, 0, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"SACK permitted cut off", BYTES("\x04"), BYTES("\x04"), 0, 0, 0, 0, QUIRK_BAD_OPTIONS},
        {"SACK", BYTES("\x05\x0a\x01\x02\x03\x04\x05\x06\x07\x08\x01"), BYTES("\x05\x01"), 0, 0, 0,
         0, 0},
        {"SACK too short", BYTES("\x05\x09\x01\x02\x03\x04\x05\x06\x07\x01"), BYTES("\x05"), 0, 0,
         0, 0, QUIRK_BAD_OPTIONS},
        {"SACK without a length", BYTES("\x05"), BYTES("\x05"), 0, 0, 0, 0, QUIRK_BAD_OPTIONS},
        {"another", BYTES("\x22\x04\x01\x02\x01"), BYTES("\x22\x01"), 0, 0, 0, 0, 0},
        {"another of length 1", BYTES("\x22\x01\x01"), BYTES("\x22"), 0, 0, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"another beyond the end", BYTES("\x22\x05\x01\x02"), BYTES("\x22"), 0, 0, 0, 0,
         QUIRK_BAD_OPTIONS},
        {"another that ends with the area", BYTES("\x22\x04\x01\x02"), BYTES("\x22"), 0, 0, 0, 0,
         0},
        {"EOL and zeroes", BYTES("\x01\0\0\0"), BYTES("\x01\0"), 0, 0, 0, 2, 0},
        {"EOL at the end", BYTES("\x01\x01\x01\0"), BYTES("\x01\x01\x01\0"), 0, 0, 0, 0, 0},
        {"EOL and something", BYTES("\0\x01\0\0"), BYTES("\0"), 0, 0, 0, 3, QUIRK_EOL_PAD_NONZERO},
        {"something in the very last byte, which p0f overlooks", BYTES("\0\0\0\x07"), BYTES("\0"),
         0, 0, 0, 3, 0},
        {"options behind EOL are padding", BYTES("\0\x02\x04\x05\xb4\0\0\0"), BYTES("\0"), 0, 0, 0,
         7, QUIRK_EOL_PAD_NONZERO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn syn = decode(plain(), ROWS[i].options, ROWS[i].length);

        print_message("%s\n", ROWS[i].what);
        assert_int_equal(syn.layout_length, ROWS[i].layout_length);
        assert_memory_equal(syn.layout, ROWS[i].layout, ROWS[i].layout_length);
        assert_int_equal(syn.mss, ROWS[i].mss);
        assert_int_equal(syn.scale, ROWS[i].scale);
        assert_int_equal(syn.ts_value, ROWS[i].ts);
        assert_int_equal(syn.eol_pad, ROWS[i].pad);
        assert_int_equal(syn.quirks, DF_ID | ROWS[i].quirks);
        assert_int_equal(syn.header_length, 40 + ROWS[i].length);
    }
}

static void the_walk_stops_after_24_options(void **state)
{
    char nops[SYN_OPTIONS_MAX];
    struct syn syn;

    (void)state;
    memset(nops, TCP_OPTION_NOP, sizeof(nops));
    syn = decode(plain(), nops, SYN_LAYOUT_MAX);
    assert_int_equal(syn.layout_length, SYN_LAYOUT_MAX);
    assert_int_equal(syn.quirks, DF_ID);
    syn = decode(plain(), nops, sizeof(nops));
    assert_int_equal(syn.layout_length, SYN_LAYOUT_MAX);
    assert_int_equal(syn.quirks, DF_ID | QUIRK_BAD_OPTIONS);
}

static void a_length_beyond_the_array_is_cut(void **state)
{
    struct syn_record record = plain();
    struct syn syn;

    (void)state;
    record.tcp_options_length = UINT8_MAX;
    syn_from_record(&record, &syn);
    assert_int_equal(syn.eol_pad, SYN_OPTIONS_MAX - 1);
    assert_int_equal(syn.header_length, 40 + SYN_OPTIONS_MAX);
}

static void header_fields_raise_p0f_s_quirks(void **state)
{
    static const struct {
        const char *what;
        struct syn_record record;
        uint32_t quirks;
    } ROWS[] = {
        {"DF and an id", {.ip_fragment = 0x4000, .ip_id = 1}, DF_ID},
        {"DF and none", {.ip_fragment = 0x4000}, QUIRK_DF},
        {"no DF and an id", {.ip_id = 1}, 0},
        {"no DF and none", {0}, QUIRK_ID_ZERO},
        {"reserved bit", {.ip_fragment = 0x8000, .ip_id = 1}, QUIRK_RESERVED_BIT},
        {"ECN field", {.ip_id = 1, .tos = 0x01}, QUIRK_ECN},
        {"DSCP only", {.ip_id = 1, .tos = 0xfc}, 0},
        {"ECE", {.ip_id = 1, .tcp_flags = 0x042}, QUIRK_ECN},
        {"CWR", {.ip_id = 1, .tcp_flags = 0x082}, QUIRK_ECN},
        {"NS", {.ip_id = 1, .tcp_flags = 0x102}, QUIRK_ECN},
        {"reserved TCP bits", {.ip_id = 1, .tcp_flags = 0xe02}, 0},
        {"no sequence number", {.ip_id = 1, .isn = 0xffffffff}, 0},
        {"ack of 1, which p0f overlooks", {.ip_id = 1, .ack = 1}, 0},
        {"ack with bit 24", {.ip_id = 1, .ack = 1 << 24}, QUIRK_ACK_NONZERO},
        {"ack with all but bit 24", {.ip_id = 1, .ack = ~(1u << 24)}, 0},
        {"ACK flag and a zero", {.ip_id = 1, .tcp_flags = 0x012}, QUIRK_ACK_ZERO},
        {"urgent pointer", {.ip_id = 1, .urgent_pointer = 1}, QUIRK_URG_POINTER},
        {"urgent flag", {.ip_id = 1, .tcp_flags = 0x022}, QUIRK_URG},
        {"both", {.ip_id = 1, .tcp_flags = 0x022, .urgent_pointer = 1}, QUIRK_URG},
        {"PSH", {.ip_id = 1, .tcp_flags = 0x00a}, QUIRK_PUSH},
        {"IPv6", {.ip_version = 6}, 0},
        {"IPv6 flow label", {.ip_version = 6, .flow_label = 1}, QUIRK_FLOW},
        {"IPv6 ECN", {.ip_version = 6, .tos = 0x02}, QUIRK_ECN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn_record record = ROWS[i].record;
        struct syn syn;

        print_message("%s\n", ROWS[i].what);
        record.ip_version = record.ip_version ? record.ip_version : 4;
        record.isn = record.isn ? record.isn : 1;
        syn_from_record(&record, &syn);
        assert_int_equal(syn.quirks, ROWS[i].quirks);
        record.isn = 0;
        syn_from_record(&record, &syn);
        assert_int_equal(syn.quirks, ROWS[i].quirks | QUIRK_SEQ_ZERO);
    }
}

static void facts_are_taken_over(void **state)
{
    struct syn_record record = plain();
    struct syn syn;

    (void)state;
    record.seen_ns = 5;
    record.tos = 0xb9;
    record.payload_length = 3;
    record.ip_options_length = 12;
    record.hook = SYN_HOOK_XDP;
    syn_from_record(&record, &syn);
    assert_int_equal(syn.seen_ns, 5);
    assert_int_equal(syn.isn, 1);
    assert_int_equal(syn.dscp, 0x2e);
    assert_int_equal(syn.payload_length, 3);
    assert_int_equal(syn.header_length, 52);
    assert_int_equal(syn.window, 1024);
    assert_int_equal(syn.hook, SYN_HOOK_XDP);
    assert_false(syn.beyond_p0f);
    record.ip_version = 6;
    record.ip_options_length = 0;
    record.seen = SYN_SEEN_IPV6_EXTENSION;
    syn_from_record(&record, &syn);
    assert_int_equal(syn.header_length, 60);
    assert_true(syn.beyond_p0f);
    record.seen = SYN_SEEN_VLAN_1;
    syn_from_record(&record, &syn);
    assert_true(syn.beyond_p0f);
}

static void distance_is_to_the_node_and_not_into_it(void **state)
{
    static const struct {
        int distance;
        uint8_t node_hops;
        int seen;
    } ROWS[] = {
        {12, 0, 12}, {12, 1, 11}, {1, 1, 0}, {0, 1, 0}, {0, 0, 0}, {2, 255, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_int_equal(
            syn_distance_to_node(&(struct syn){.node_hops = ROWS[i].node_hops}, ROWS[i].distance),
            ROWS[i].seen);
}

static void hooks_have_names_and_captures_have_none(void **state)
{
    (void)state;
    assert_null(syn_hook_name(SYN_HOOK_NONE));
    assert_string_equal(syn_hook_name(SYN_HOOK_XDP), "xdp");
    assert_string_equal(syn_hook_name(SYN_HOOK_TCX), "tcx");
    assert_string_equal(syn_hook_name(SYN_HOOK_CGROUP), "cgroup");
    assert_null(syn_hook_name(SYN_HOOK_COUNT_)); /* what a torn or foreign record might say */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_walked_as_p0f_walks_them),
        cmocka_unit_test(the_walk_stops_after_24_options),
        cmocka_unit_test(a_length_beyond_the_array_is_cut),
        cmocka_unit_test(header_fields_raise_p0f_s_quirks),
        cmocka_unit_test(facts_are_taken_over),
        cmocka_unit_test(distance_is_to_the_node_and_not_into_it),
        cmocka_unit_test(hooks_have_names_and_captures_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
