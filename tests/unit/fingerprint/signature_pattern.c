/* SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void what_p0f_accepts_is_accepted(void **state)
{
    static const char *const TEXTS[] = {
        "*:64:0:*:*,*:mss::0",
        "*:64:0:0:0,0:::0",
        "4:54+10:0:0:0,0:::0",
        "4:64+:0:0:0,0:::0",
        "4:255:255:65535:65535,255:::*",
        "4:64-:0:*:*,*:::+",
        "4:64:::,:::0",
        "4:64:0:*:mss*1000,*:::0",
        "4:64:0:*:mtu*1,*:::0",
        "4:64:0:*:%2,*:::0",
        "4:64:0:*:*,*:mss,:df,df,:0",
        "4:64:0:*:*,*:?0,?255::0",
        "4:64:0:*:*,*:eol+::0",
        "4:64:0:*:*,*:mss,eol+255::0",
        "4:64-0:*:*,*:::0",
        "6:64:0:*:*,*::flow,ecn:0",
        "*:64:0:*:*,*::df,flow:0",
        ("4:64:0:*:*,*:nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,"
         "nop,nop,nop,nop,nop::0"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        struct signature_pattern pattern;
        struct diag diag = {0};

        print_message("%s\n", TEXTS[i]);
        assert_int_equal(signature_pattern_parse(str_from(TEXTS[i]), &pattern, NULL, &diag), 0);
        assert_string_equal(diag.text, "");
    }
}

static void what_p0f_refuses_is_refused_where_it_goes_wrong(void **state)
{
    static const struct {
        const char *text;
        size_t offset;
        const char *says;
    } ROWS[] = {
        {"", 0, "IP version"},
        {"5:64:0:*:*,*:::0", 0, "IP version"},
        {"4", 1, "':'"},
        {"4:", 2, "initial TTL"},
        {"4:x", 2, "initial TTL"},
        {"4:0:0:*:*,*:::0", 2, "1..255"},
        {"4:256:0:*:*,*:::0", 2, "1..255"},
        {"4:64+250:0:*:*,*:::0", 5, "1..255"},
        {"4:64+?:0:*:*,*:::0", 5, "initial TTL"},
        {"4:64-:", 6, "IP options length"},
        {"4:64:256:*:*,*:::0", 5, "0..255"},
        {"4:64:*:*:*,*:::0", 5, "IP options length"},
        {"4:64:0:65536:*,*:::0", 7, "0..65535"},
        {"4:64:0:**:*,*:::0", 7, "MSS"},
        {"4:64:0:*:65536,*:::0", 9, "0..65535"},
        {"4:64:0:*:*:*:::0", 9, "window"},
        {"4:64:0:*:%1,*:::0", 10, "2..65535"},
        {"4:64:0:*:mss*0,*:::0", 13, "1..1000"},
        {"4:64:0:*:mtu*1001,*:::0", 13, "1..1000"},
        {"4:64:0:*:*,256:::0", 11, "0..255"},
        {"4:64:0:*:*,x:::0", 11, "window scale"},
        {"4:64:0:*:*,*:mms::0", 13, "TCP option"},
        {"4:64:0:*:*,*:mss;ws::0", 16, "','"},
        {"4:64:0:*:*,*:,mss::0", 13, "TCP option"},
        {"4:64:0:*:*,*:?256::0", 14, "0..255"},
        {"4:64:0:*:*,*:?x::0", 14, "?N"},
        {"4:64:0:*:*,*:eol::0", 16, "eol+N"},
        {"4:64:0:*:*,*:eol+1,mss::0", 18, "last"},
        {"4:64:0:*:*,*:eol+256::0", 17, "0..255"},
        {"4:64:0:*:*,*:mss", 16, "','"},
        {"4:64:0:*:*,*::dff:0", 16, "','"},
        {"4:64:0:*:*,*::DF:0", 14, "quirk"},
        {"4:64:0:*:*,*::df,flow:0", 17, "IPv4"},
        {"6:64:0:*:*,*::0+:0", 14, "IPv6"},
        {"6:64:0:*:*,*::id-:0", 14, "IPv6"},
        {"4:64:0:*:*,*:::", 15, "payload"},
        {"4:64:0:*:*,*:::1", 15, "payload"},
        {"4:64:0:*:*,*:::0 ", 15, "payload"},
        {"4:64:0:*:*,*:nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,nop,"
         "nop,nop,nop,nop,nop,nop::0",
         13 + 24 * 4, "24"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct signature_pattern pattern = {.ttl = 77};
        struct diag diag = {0};
        size_t offset = 4711;

        print_message("%s\n", ROWS[i].text);
        assert_int_equal(signature_pattern_parse(str_from(ROWS[i].text), &pattern, &offset, &diag),
                         -EINVAL);
        assert_int_equal(offset, ROWS[i].offset);
        assert_non_null(strstr(diag.text, ROWS[i].says));
        assert_int_equal(pattern.ttl, 77);
    }
}

static void every_field_is_taken(void **state)
{
    struct signature_pattern pattern;

    (void)state;
    assert_int_equal(signature_pattern_parse(STR("4:60+4:12:1460:mss*20,7:mss,?34,eol+2:df,bad:+"),
                                             &pattern, NULL, NULL),
                     0);
    assert_int_equal(pattern.ip_version, 4);
    assert_int_equal(pattern.ttl, 64);
    assert_int_equal(pattern.ip_options_length, 12);
    assert_int_equal(pattern.mss, 1460);
    assert_int_equal(pattern.window.form, WINDOW_MSS);
    assert_int_equal(pattern.window.value, 20);
    assert_int_equal(pattern.scale, 7);
    assert_int_equal(pattern.layout_length, 3);
    assert_memory_equal(pattern.layout, "\x02\x22\x00", 3);
    assert_int_equal(pattern.eol_pad, 2);
    assert_int_equal(pattern.quirks, QUIRK_DF | QUIRK_BAD_OPTIONS);
    assert_int_equal(pattern.payload, PAYLOAD_SOME);
    assert_false(pattern.any_mss || pattern.any_scale || pattern.random_ttl);
}

static void the_digit_that_p0f_loses_is_lost(void **state)
{
    struct signature_pattern pattern;

    (void)state;
    assert_int_equal(signature_pattern_parse(STR("4:64-:12:*:*,*:::0"), &pattern, NULL, NULL), 0);
    assert_true(pattern.random_ttl);
    assert_int_equal(pattern.ip_options_length, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_p0f_accepts_is_accepted),
        cmocka_unit_test(what_p0f_refuses_is_refused_where_it_goes_wrong),
        cmocka_unit_test(every_field_is_taken),
        cmocka_unit_test(the_digit_that_p0f_loses_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
