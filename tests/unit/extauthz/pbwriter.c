/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pbreader.h"
#include "pbwriter.h"

static void fields_come_out_in_order(void **state)
{
    char buffer[64];
    struct pbwriter writer;
    size_t mark;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    mark = pb_open(&writer);
    pb_put_text(&writer, 2, STR("b"));
    pb_put_text(&writer, 1, STR("a"));
    pb_close(&writer, 7, mark);
    pb_put_uint(&writer, 1, 300);
    assert_true(str_eq(pb_result(&writer), STR("\x08\xac\x02\x3a\x06\x0a\x01"
                                               "a\x12\x01"
                                               "b")));
}

static void numbers_survive_the_reader(void **state)
{
    static const uint64_t NUMBERS[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        char buffer[32];
        struct pbwriter writer;
        struct pb_field field;
        struct str message;

        pb_init(&writer, buffer, sizeof(buffer));
        pb_put_uint(&writer, 20000, NUMBERS[i]);
        message = pb_result(&writer);
        assert_int_equal(pb_next_field(&message, &field), 1);
        assert_int_equal(field.number, 20000);
        assert_true(field.value == NUMBERS[i]);
    }
}

static void a_double_is_eight_bytes_from_the_lowest(void **state)
{
    static const double NUMBERS[] = {0.0, -0.0, 1.0, 3.0, -2.5, 1e300};
    char buffer[16];

    (void)state;
    for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
        struct pbwriter writer;
        struct pb_field field;
        struct str message;

        pb_init(&writer, buffer, sizeof(buffer));
        pb_put_double(&writer, 2, NUMBERS[i]);
        message = pb_result(&writer);
        assert_int_equal(message.len, 9);
        assert_int_equal(pb_next_field(&message, &field), 1);
        assert_true(field.is_fixed64 && field.number == 2);
        assert_memory_equal(&field.value, &NUMBERS[i], sizeof(NUMBERS[i]));
    }
}

static void what_does_not_fit_is_no_message(void **state)
{
    const struct str whole = STR("\x12\x03"
                                 "abc");
    char buffer[8];

    (void)state;
    for (size_t size = 0; size <= sizeof(buffer); size++) {
        struct pbwriter writer;
        struct str message;

        pb_init(&writer, buffer, size);
        pb_put_bytes(&writer, 2, STR("abc"));
        message = pb_result(&writer);
        if (size >= whole.len)
            assert_true(str_eq(message, whole));
        else
            assert_null(message.ptr);
    }
}

static void nothing_is_written_behind_a_loss(void **state)
{
    char buffer[4];
    struct pbwriter writer;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    pb_put_bytes(&writer, 1, STR("too long"));
    pb_put_uint(&writer, 1, 1); /* would fit */
    assert_null(pb_result(&writer).ptr);
    assert_null(pb_reserve(&writer, 0));
}

static void text_is_made_utf8(void **state)
{
    char buffer[32];
    struct pbwriter writer;

    (void)state;
    pb_init(&writer, buffer, sizeof(buffer));
    pb_put_text(&writer, 1,
                STR("a\xff"
                    "b"));
    assert_true(str_eq(pb_result(&writer), STR("\x0a\x05"
                                               "a\xef\xbf\xbd"
                                               "b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_come_out_in_order),
        cmocka_unit_test(numbers_survive_the_reader),
        cmocka_unit_test(a_double_is_eight_bytes_from_the_lowest),
        cmocka_unit_test(what_does_not_fit_is_no_message),
        cmocka_unit_test(nothing_is_written_behind_a_loss),
        cmocka_unit_test(text_is_made_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
