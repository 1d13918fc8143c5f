/* SPDX-License-Identifier: Apache-2.0 */
#include "percent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct {
    struct str in;
    const char *form, *uri, *plain;
} ROWS[] = {
    {STR_INIT(""), "", "", ""},
    {STR_INIT("aZ09-._*"), "aZ09-._*", "aZ09-._*", "aZ09-._*"},
    {STR_INIT("a b"), "a%20b", "a%20b", "a_b"},
    {STR_INIT("~"), "%7E", "~", "_"},
    {STR_INIT(":/?#[]@!$&'()+,;="), "%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2B%2C%3B%3D",
     ":/?#[]@!$&'()+,;=", "_________________"},
    {STR_INIT("%2f"), "%252f", "%2f", "_2f"},
    {STR_INIT("\x00\r\n\x7f\x80\xff"), "%00%0D%0A%7F%80%FF", "%00%0D%0A%7F%80%FF", "______"},
    {STR_INIT("\"<>\\^`{|}"), "%22%3C%3E%5C%5E%60%7B%7C%7D", "%22%3C%3E%5C%5E%60%7B%7C%7D",
     "_________"},
};

enum { ROW_COUNT = sizeof(ROWS) / sizeof(ROWS[0]) };

static void assert_encoded(struct str in, enum percent_kept kept, const char *wanted)
{
    char buffer[64];
    size_t length = percent_encoded_length(in, kept);

    assert_int_equal(length, strlen(wanted));
    percent_encode(in, kept, buffer);
    assert_memory_equal(buffer, wanted, length);
}

static void bytes_that_a_place_does_not_allow_are_escaped(void **state)
{
    char buffer[64];

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        assert_encoded(ROWS[i].in, PERCENT_KEEP_FORM, ROWS[i].form);
        assert_encoded(ROWS[i].in, PERCENT_KEEP_URI, ROWS[i].uri);
        percent_replace(ROWS[i].in, PERCENT_KEEP_FORM, buffer);
        assert_memory_equal(buffer, ROWS[i].plain, ROWS[i].in.len);
    }
}

static void decoding_undoes_it(void **state)
{
    char buffer[64];

    (void)state;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        size_t length = percent_decode(str_from(ROWS[i].form), buffer, sizeof(buffer));

        assert_true(str_eq((struct str){buffer, length}, ROWS[i].in));
    }
}

static void keys_are_read_as_applications_read_them(void **state)
{
    static const struct {
        const char *in, *out;
    } KEYS[] = {
        {"a+b", "a b"}, {"%6F%73", "os"}, {"%6f", "o"},   {"%", "%"},
        {"%6", "%6"},   {"%6g", "%6g"},   {"%%6f", "%o"}, {"a%2", "a%2"},
    };
    char buffer[8];

    (void)state;
    for (size_t i = 0; i < sizeof(KEYS) / sizeof(KEYS[0]); i++) {
        size_t length = percent_decode(str_from(KEYS[i].in), buffer, sizeof(buffer));

        assert_true(str_eq((struct str){buffer, length}, str_from(KEYS[i].out)));
    }
    assert_int_equal(percent_decode(STR("12345678"), buffer, sizeof(buffer)), 8);
    assert_int_equal(percent_decode(STR("123456789"), buffer, sizeof(buffer)), SIZE_MAX);
    assert_int_equal(percent_decode(STR("%311111111"), buffer, sizeof(buffer)), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_that_a_place_does_not_allow_are_escaped),
        cmocka_unit_test(decoding_undoes_it),
        cmocka_unit_test(keys_are_read_as_applications_read_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
