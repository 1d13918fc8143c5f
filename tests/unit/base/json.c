/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static void assert_printed(struct str text, const char *wanted)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);

    assert_non_null(out);
    json_print_string(out, text);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(printed, wanted);
    free(printed);
}

static void what_json_forbids_in_a_string_is_escaped(void **state)
{
    (void)state;
    assert_printed(STR(""), "\"\"");
    assert_printed((struct str){NULL, 0}, "\"\"");
    assert_printed(STR("Linux 3.x"), "\"Linux 3.x\"");
    assert_printed(STR("a\"b\\c/"), "\"a\\\"b\\\\c/\"");
    assert_printed(STR("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    assert_printed(STR("\0\x1f\x7f\033"), "\"\\u0000\\u001f\\u007f\\u001b\"");
}

static void utf8_stays_and_all_else_is_replaced(void **state)
{
    static const struct {
        struct str text;
        const char *wanted;
    } ROWS[] = {
        {STR_INIT("\xc3\xa9"), "\"\xc3\xa9\""},
        {STR_INIT("\xe2\x82\xac"), "\"\xe2\x82\xac\""},
        {STR_INIT("\xf0\x9f\x90\xa7"), "\"\xf0\x9f\x90\xa7\""},
        {STR_INIT("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\""},
        {STR_INIT("\xe9"), "\"\\ufffd\""}, /* Latin-1 */
        {STR_INIT("\xc3"), "\"\\ufffd\""}, /* cut off */
        {STR_INIT("\xe2\x82"), "\"\\ufffd\\ufffd\""},
        {STR_INIT("\xc3z"), "\"\\ufffdz\""},
        {STR_INIT("\x80"), "\"\\ufffd\""},            /* continuation alone */
        {STR_INIT("\xc0\xaf"), "\"\\ufffd\\ufffd\""}, /* longer than needed */
        {STR_INIT("\xe0\x9f\xbf"), "\"\\ufffd\\ufffd\\ufffd\""},
        {STR_INIT("\xf0\x8f\xbf\xbf"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {STR_INIT("\xed\xa0\x80"), "\"\\ufffd\\ufffd\\ufffd\""},            /* a surrogate */
        {STR_INIT("\xf4\x90\x80\x80"), "\"\\ufffd\\ufffd\\ufffd\\ufffd\""}, /* beyond Unicode */
        {STR_INIT("\xff"), "\"\\ufffd\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++)
        assert_printed(ROWS[i].text, ROWS[i].wanted);
}

static void each_byte_is_taken_once(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        char *text = malloc(1); /* AddressSanitizer sees a read behind it */
        char piece[JSON_PIECE_MAX];
        struct str rest = {text, 1};

        text[0] = (char)byte;
        assert_in_range(json_take_character(&rest, piece), 1, JSON_PIECE_MAX);
        assert_int_equal(rest.len, 0);
        free(text);
    }
}

static void times_and_absent_texts(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    json_print_time(out, 951868800);
    json_print_time(out, 0);
    json_print_text_or_null(out, "a\"b");
    json_print_text_or_null(out, "");
    json_print_text_or_null(out, NULL);
    (void)fclose(out);
    assert_string_equal(text, "\"2000-03-01T00:00:00Z\"\"1970-01-01T00:00:00Z\"\"a\\\"b\"nullnull");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_and_absent_texts),
        cmocka_unit_test(what_json_forbids_in_a_string_is_escaped),
        cmocka_unit_test(utf8_stays_and_all_else_is_replaced),
        cmocka_unit_test(each_byte_is_taken_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
