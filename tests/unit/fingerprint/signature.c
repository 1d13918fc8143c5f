/* SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "syn_text.h"

static void windows_are_multiples_of_the_first_divisor_that_fits(void **state)
{
    static const struct {
        struct window_inputs inputs;
        enum window_form form;
        uint16_t value;
    } ROWS[] = {
        {{.window = 64240, .mss = 1460, .ip_version = 4}, WINDOW_MSS, 44},
        {{.window = 0, .mss = 1460, .ip_version = 4}, WINDOW_LITERAL, 0},
        {{.window = 990, .mss = 99, .ip_version = 4}, WINDOW_LITERAL, 990},
        {{.window = 1000, .mss = 100, .ip_version = 4}, WINDOW_MSS, 10},
        {{.window = 14480, .mss = 1412, .ip_version = 4}, WINDOW_MSS, 10},
        {{.window = 14000, .mss = 1412, .ip_version = 4, .timestamps = true}, WINDOW_MSS, 10},
        {{.window = 14000, .mss = 1412, .ip_version = 4}, WINDOW_LITERAL, 14000},
        {{.window = 10080, .mss = 1400, .ip_version = 4}, WINDOW_MTU, 7},
        {{.window = 10080, .mss = 1400, .ip_version = 6}, WINDOW_MSS, 7},
        {{.window = 14280, .mss = 1000, .ip_version = 6}, WINDOW_MSS, 10},
        {{.window = 14280, .mss = 1000, .ip_version = 4}, WINDOW_LITERAL, 14280},
        {{.window = 10400, .mss = 1000, .ip_version = 6}, WINDOW_MTU, 10},
        {{.window = 10520, .mss = 1000, .header_length = 52, .ip_version = 4}, WINDOW_MTU, 10},
        {{.window = 10600, .mss = 1000, .ip_version = 6}, WINDOW_MTU, 10},
        {{.window = 10600, .mss = 1000, .ip_version = 4}, WINDOW_LITERAL, 10600},
        {{.window = 15000, .mss = 1000, .ip_version = 4}, WINDOW_MSS, 15},
        {{.window = 13500, .mss = 1000, .ip_version = 4}, WINDOW_MTU, 9},
        {{.window = 65535, .mss = 65535, .ip_version = 6}, WINDOW_MSS, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct signature_window window = signature_window_derive(&ROWS[i].inputs);

        assert_int_equal(window.form, ROWS[i].form);
        assert_int_equal(window.value, ROWS[i].value);
    }
}

static void distances_are_guessed_from_the_next_initial_ttl(void **state)
{
    static const struct {
        uint8_t ttl, distance;
        const char *text;
    } ROWS[] = {
        {0, 32, "4:0+32:"},     {32, 0, "4:32+0:"},    {33, 31, "4:33+31:"},   {64, 0, "4:64+0:"},
        {65, 63, "4:65+?:"},    {92, 36, "4:92+?:"},   {93, 35, "4:93+35:"},   {128, 0, "4:128+0:"},
        {129, 126, "4:129+?:"}, {219, 36, "4:219+?:"}, {220, 35, "4:220+35:"}, {255, 0, "4:255+0:"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn syn = {.ip_version = 4, .ttl = ROWS[i].ttl};
        struct signature signature;
        char text[SIGNATURE_TEXT_MAX];

        signature_from_syn(&syn, &signature);
        assert_int_equal(signature.distance, ROWS[i].distance);
        (void)signature_format(&signature, text);
        assert_memory_equal(text, ROWS[i].text, strlen(ROWS[i].text));
    }
}

static void the_longest_text_fits(void **state)
{
    struct syn syn = {.ip_version = 4,
                      .ttl = 255,
                      .ip_options_length = 255,
                      .mss = 65535,
                      .window = 65534,
                      .scale = 255,
                      .quirks = UINT32_MAX >> 15,
                      .eol_pad = 255,
                      .payload_length = UINT32_MAX,
                      .layout_length = SYN_LAYOUT_MAX};
    struct signature signature;
    char text[SIGNATURE_TEXT_MAX];
    size_t length;

    (void)state;
    memset(syn.layout, 255, sizeof(syn.layout));
    syn.layout[SYN_LAYOUT_MAX - 1] = TCP_OPTION_EOL;
    signature_from_syn(&syn, &signature);
    length = signature_format(&signature, text);
    assert_int_equal(length, strlen(text));
    assert_true(length < SIGNATURE_TEXT_MAX);
    assert_non_null(strstr(text, "?255,eol+255:df,id+,id-,ecn,0+,flow,seq-,ack+,ack-,uptr+,urgf+,"
                                 "pushf+,ts1-,ts2+,opt+,exws,bad:+"));
}

/* The value of a string key in a line of the oracle, without its quotes; {NULL, 0} for null. */
static struct str value_of(const char *line, const char *key)
{
    const char *found = strstr(line, key);
    const char *value = found ? found + strlen(key) : NULL;

    if (!value || *value != '"')
        return (struct str){NULL, 0};
    return (struct str){value + 1, strcspn(value + 1, "\"")};
}

static size_t bytes_of(struct str hex, uint8_t *bytes, size_t size)
{
    assert_true(hex.len / 2 <= size);
    for (size_t i = 0; i < hex.len / 2; i++) {
        const char pair[] = {hex.ptr[2 * i], hex.ptr[2 * i + 1], '\0'};

        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return hex.len / 2;
}

static void check_recorded(const char *line)
{
    struct str wanted = value_of(line, "\"raw_sig\":");
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record record;
    struct syn syn;
    struct signature signature;
    char text[SIGNATURE_TEXT_MAX];
    uint8_t frame[2048];
    size_t size = bytes_of(value_of(line, "\"frame\":"), frame, sizeof(frame));
    enum parse_result result = parse_syn_ethernet(frame, frame + size, &packet);

    if (!wanted.ptr) {
        assert_true(result != PARSE_SYN || packet.seen == SYN_SEEN_IPV6_EXTENSION);
        return;
    }
    assert_int_equal(result, PARSE_SYN);
    parse_fill(&packet, &key, &record);
    syn_from_record(&record, &syn);
    signature_from_syn(&syn, &signature);
    assert_int_equal(signature_format(&signature, text), wanted.len);
    assert_memory_equal(text, wanted.ptr, wanted.len);
}

static void each_recorded_frame_has_the_signature_that_p0f_gave_it(void **state)
{
    CLEANUP(fclosep) FILE *oracle = fopen(TEST_DATA "/p0f/oracle.jsonl", "re");
    CLEANUP(freep) char *line = NULL;
    size_t size = 0, lines = 0;

    (void)state;
    assert_non_null(oracle);
    for (; getline(&line, &size, oracle) > 0; lines++)
        check_recorded(line);
    assert_int_equal(lines, 441);
}

static void a_signature_s_own_text_is_a_pattern_for_it(void **state)
{
    static const char *const TEXTS[] = {
        "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0",
        "6:64+0:0:1440:mss*45,7:mss,sok,ts,nop,ws:flow:0",
        "4:60+4:12:0:512,0:::+",
        "4:64+0:0:1460:65535,6:mss,nop,ws,nop,nop,ts,sok,eol+1:df:0",
        "4:250+5:0:1400:mtu*10,0:mss,?34:id-,bad:0",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct syn syn = syn_from_text(TEXTS[i]);
        struct signature_pattern pattern;
        struct signature signature;
        char text[SIGNATURE_TEXT_MAX];

        signature_from_syn(&syn, &signature);
        (void)signature_format(&signature, text);
        assert_string_equal(text, TEXTS[i]);
        assert_int_equal(signature_pattern_parse(str_from(text), &pattern, NULL, NULL), 0);
        assert_true(signature_pattern_matches(&pattern, &signature));
    }
}

static void policies_match_strictly(void **state)
{
    static const char SYN[] = "4:54+10:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0";
    static const char SYN6[] = "6:64+0:0:1440:64800,7:mss,sok,ts,nop,ws:flow:0";
    static const struct {
        const char *syn, *pattern;
        bool matches;
    } ROWS[] = {
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", true},
        {SYN, "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:*", true},
        {SYN, "*:64:0:*:%1024,*:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "*:64:0:*:%2920,*:mss,sok,ts,nop,ws:df,id+:0", true},
        {SYN, "*:64:0:*:64240,*:mss,sok,ts,nop,ws:df,id+:0", true},
        {SYN, "*:64:0:*:64241,*:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "*:64:0:*:mtu*44,*:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "6:64:0:1460:mss*44,7:mss,sok,ts,nop,ws::0", false}, /* p0f: does not look */
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+,ecn:0", false},
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df:0", false},
        {SYN, "4:53:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", false}, /* p0f: fuzzy */
        {SYN, "4:89:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", true},  /* 35 hops */
        {SYN, "4:90:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "4:255-:00:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", true},
        {SYN, "4:53-:00:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "4:64:4:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "4:64:0:1459:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "4:64:0:1460:mss*44,6:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,nop:df,id+:0", false},
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,ws,nop:df,id+:0", false},
        {SYN, "4:64:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:+", false},
        {SYN, "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,flow:0", true},  /* flow is not IPv4's */
        {SYN6, "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+,flow:0", true}, /* nor df IPv6's */
        {SYN6, "*:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0", false},
        {SYN6, "4:64:0:*:*,*:mss,sok,ts,nop,ws:df,id+:0", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct syn syn = syn_from_text(ROWS[i].syn);
        struct signature_pattern pattern;
        struct signature signature;

        print_message("%s\n", ROWS[i].pattern);
        signature_from_syn(&syn, &signature);
        assert_int_equal(signature_pattern_parse(str_from(ROWS[i].pattern), &pattern, NULL, NULL),
                         0);
        assert_int_equal(signature_pattern_matches(&pattern, &signature), ROWS[i].matches);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_multiples_of_the_first_divisor_that_fits),
        cmocka_unit_test(distances_are_guessed_from_the_next_initial_ttl),
        cmocka_unit_test(the_longest_text_fits),
        cmocka_unit_test(each_recorded_frame_has_the_signature_that_p0f_gave_it),
        cmocka_unit_test(a_signature_s_own_text_is_a_pattern_for_it),
        cmocka_unit_test(policies_match_strictly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
