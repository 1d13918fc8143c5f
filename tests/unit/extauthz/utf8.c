/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "utf8.h"

#define BAD "\xef\xbf\xbd"

static void what_is_not_utf8_is_replaced(void **state)
{
    static const struct {
        struct str in, out;
    } ROWS[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("plain \x00 text"), STR_INIT("plain \x00 text")},
        {STR_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
         STR_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")},
        {STR_INIT("\xf4\x8f\xbf\xbf"), STR_INIT("\xf4\x8f\xbf\xbf")}, /* U+10FFFF */
        {STR_INIT("\xed\x9f\xbf\xee\x80\x80"),
         STR_INIT("\xed\x9f\xbf\xee\x80\x80")}, /* around surrogates */
        {STR_INIT("\xff"), STR_INIT(BAD)},
        {STR_INIT("\x80"), STR_INIT(BAD)},
        {STR_INIT("\xc0\x80"), STR_INIT(BAD BAD)}, /* overlong NUL */
        {STR_INIT("\xc1\xbf"), STR_INIT(BAD BAD)},
        {STR_INIT("\xe0\x9f\xbf"), STR_INIT(BAD BAD BAD)},         /* overlong */
        {STR_INIT("\xed\xa0\x80"), STR_INIT(BAD BAD BAD)},         /* a surrogate */
        {STR_INIT("\xf0\x8f\xbf\xbf"), STR_INIT(BAD BAD BAD BAD)}, /* overlong */
        {STR_INIT("\xf4\x90\x80\x80"), STR_INIT(BAD BAD BAD BAD)}, /* beyond U+10FFFF */
        {STR_INIT("\xf5\x80"), STR_INIT(BAD BAD)},
        {STR_INIT("\xe2\x82"), STR_INIT(BAD BAD)}, /* cut off */
        {STR_INIT("\xe2\x82"
                  "a"),
         STR_INIT(BAD BAD "a")},
        {STR_INIT("\xc3\xc3\xa4"), STR_INIT(BAD "\xc3\xa4")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char buffer[64];
        size_t length = utf8_repaired_length(ROWS[i].in);

        assert_int_equal(length, ROWS[i].out.len);
        utf8_repair(ROWS[i].in, buffer);
        assert_true(str_eq((struct str){buffer, length}, ROWS[i].out));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_not_utf8_is_replaced)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
