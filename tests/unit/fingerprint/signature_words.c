/* SPDX-License-Identifier: Apache-2.0 */
#include "signature_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void quirks_have_the_names_and_the_order_of_p0f(void **state)
{
    static const char *const NAMES[] = {"df",   "id+",  "id-",  "ecn",   "0+",    "flow",
                                        "seq-", "ack+", "ack-", "uptr+", "urgf+", "pushf+",
                                        "ts1-", "ts2+", "opt+", "exws",  "bad"};

    (void)state;
    for (unsigned bit = 0; bit < QUIRK_COUNT; bit++)
        assert_true(str_eq(signature_quirk_name(bit), str_from(NAMES[bit])));
    assert_int_equal(QUIRK_BAD_OPTIONS, 1 << (QUIRK_COUNT - 1));
}

static void options_without_a_name_have_none(void **state)
{
    (void)state;
    assert_true(str_eq(signature_option_name(TCP_OPTION_MSS), STR("mss")));
    assert_true(str_eq(signature_option_name(TCP_OPTION_TIMESTAMPS), STR("ts")));
    assert_int_equal(signature_option_name(6).len, 0);
    assert_int_equal(signature_option_name(255).len, 0);
}

static void numbers_overflow_as_p0f_s_do(void **state)
{
    static const struct {
        const char *text;
        int32_t number;
        const char *rest;
    } ROWS[] = {
        {"12:", 12, ":"},
        {"", 0, ""},
        {":", 0, ":"},
        {"2147483647", INT32_MAX, ""},
        {"2147483648", -1, ""},
        {"4294967360,", 64, ","},
        {"9223372036854775807", -1, ""},
        {"99999999999999999999999", -1, ""},
        {"-1", 0, "-1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct str rest = str_from(ROWS[i].text);

        assert_int_equal(signature_take_number(&rest), ROWS[i].number);
        assert_true(str_eq(rest, str_from(ROWS[i].rest)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quirks_have_the_names_and_the_order_of_p0f),
        cmocka_unit_test(options_without_a_name_have_none),
        cmocka_unit_test(numbers_overflow_as_p0f_s_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
