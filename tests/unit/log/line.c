/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "json.h"

enum { ROOM = 4096 };

static struct str escaped(char buffer[ROOM], struct str text, size_t max, bool *ret_cut)
{
    struct line line = {.at = buffer};
    const size_t length = line_escape(&line, text, max);

    assert_ptr_equal(line.at, buffer + length);
    assert_true(length <= max);
    *ret_cut = line.cut;
    return (struct str){buffer, length};
}

static void text_is_escaped(void **state)
{
    static const struct {
        struct str text, written;
    } ROWS[] = {
        {STR_INIT(""), STR_INIT("")},
        {STR_INIT("plain"), STR_INIT("plain")},
        {STR_INIT("longer than a word of eight"), STR_INIT("longer than a word of eight")},
        {STR_INIT("a\"b\\c"), STR_INIT("a\\\"b\\\\c")},
        {STR_INIT("12345678\"12345678\n"), STR_INIT("12345678\\\"12345678\\n")},
        {STR_INIT("\r\n\t\b\f\x01\x1f\x7f"), STR_INIT("\\r\\n\\t\\b\\f\\u0001\\u001f\\u007f")},
        {STR_INIT("nul\0nul"), STR_INIT("nul\\u0000nul")},
        {STR_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
         STR_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")},
        {STR_INIT("bad\xff\xc3(\xe2\x82"), STR_INIT("bad\\ufffd\\ufffd(\\ufffd\\ufffd")},
        {STR_INIT("\xed\xa0\x80"), STR_INIT("\\ufffd\\ufffd\\ufffd")}, /* a surrogate */
    };
    char buffer[ROOM];
    bool cut;

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_true(str_eq(escaped(buffer, ROWS[i].text, ROOM, &cut), ROWS[i].written));
        assert_false(cut);
    }
}

/* The quick way for eight bytes at once against the one for one, at each place in a word. */
static void each_byte_at_each_place_is_escaped_alike(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++)
        for (size_t place = 0; place < 17; place++) {
            char text[17], buffer[ROOM], wanted[ROOM];
            struct str rest = {text, sizeof(text)};
            size_t length = 0;
            bool cut;

            memset(text, 'x', sizeof(text));
            text[place] = (char)byte;
            while (rest.len)
                length += json_take_character(&rest, wanted + length);
            assert_true(str_eq(escaped(buffer, (struct str){text, sizeof(text)}, ROOM, &cut),
                               (struct str){wanted, length}));
        }
}

/* At every limit: what is written is the beginning of the whole, and ends between characters. */
static void text_is_cut_between_characters(void **state)
{
    static const struct str TEXT = STR_INIT("ab\"cdefghij\n\xe2\x82\xac\xffklmnopqrstuv\xc3\xa4");
    char whole_buffer[ROOM], buffer[ROOM];
    bool cut;
    const struct str whole = escaped(whole_buffer, TEXT, ROOM, &cut);

    (void)state;
    for (size_t max = 0; max < whole.len; max++) {
        const struct str part = escaped(buffer, TEXT, max, &cut);
        const char next = whole.ptr[part.len];

        assert_true(cut);
        assert_true(str_has_prefix(whole, part));
        assert_true(((unsigned char)next & 0xc0) != 0x80);
        assert_true(part.len + 6 > max); /* no more than the longest character is missing */
        if (part.len > 0)
            assert_true(part.ptr[part.len - 1] != '\\' ||
                        (part.len > 1 && part.ptr[part.len - 2] == '\\'));
    }
    assert_true(str_eq(escaped(buffer, TEXT, whole.len, &cut), whole));
    assert_false(cut);
}

static void text_that_is_not_there_is_null(void **state)
{
    char buffer[ROOM];
    struct line line = {.at = buffer};

    (void)state;
    line_text(&line, (struct str){NULL, 0}, 10);
    line_text(&line, STR(""), 10);
    line_text(&line, STR("x"), 10);
    assert_true(str_eq((struct str){buffer, (size_t)(line.at - buffer)}, STR("null\"\"\"x\"")));
}

static void numbers_are_decimal(void **state)
{
    static const uint64_t NUMBERS[] = {0,   1,   9,          10,         99,
                                       100, 999, UINT32_MAX, UINT64_MAX, UINT64_MAX / 10};

    (void)state;
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        char buffer[ROOM], wanted[32];
        struct line line = {.at = buffer};

        line_number(&line, NUMBERS[i]);
        (void)snprintf(wanted, sizeof(wanted), "%llu", (unsigned long long)NUMBERS[i]);
        assert_true(str_eq((struct str){buffer, (size_t)(line.at - buffer)}, str_from(wanted)));
    }
}

static void check_time(uint64_t seconds, unsigned us)
{
    const time_t unix_time = (time_t)seconds;
    char buffer[ROOM], wanted[64], day[32];
    struct line line = {.at = buffer};
    struct tm utc;

    assert_non_null(gmtime_r(&unix_time, &utc));
    (void)strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(wanted, sizeof(wanted), "\"%s.%06uZ\"", day, us);
    line_time(&line, seconds * 1000000000 + us * UINT64_C(1000) + 999);
    assert_true(str_eq((struct str){buffer, (size_t)(line.at - buffer)}, str_from(wanted)));
}

static void times_are_those_of_the_c_library(void **state)
{
    enum { DAY = 86400, DAYS = 366 * 150 };

    (void)state;
    check_time(0, 0);
    for (uint64_t day = 0; day < DAYS; day++) /* until 2120, which is behind 2100, no leap year */
        check_time(day * DAY + day * 7919 % DAY, (unsigned)(day * 104729 % 1000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(each_byte_at_each_place_is_escaped_alike),
        cmocka_unit_test(text_is_cut_between_characters),
        cmocka_unit_test(text_that_is_not_there_is_null),
        cmocka_unit_test(numbers_are_decimal),
        cmocka_unit_test(times_are_those_of_the_c_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
