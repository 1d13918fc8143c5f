/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "pbreader.h"

static void each_wire_type_is_read(void **state)
{
    /* 1: varint 300, 2: fixed64, 3: "ab", 15: fixed32, 16: a tag of two bytes */
    struct str message = STR("\x08\xac\x02"
                             "\x11\x01\x02\x03\x04\x05\x06\x07\x08"
                             "\x1a\x02"
                             "ab"
                             "\x7d\x0d\x0c\x0b\x0a"
                             "\x80\x01\x01");
    struct pb_field field;

    (void)state;
    assert_int_equal(pb_next_field(&message, &field), 1);
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 300);
    assert_false(field.is_bytes);
    assert_int_equal(pb_next_field(&message, &field), 1);
    assert_int_equal(field.value, 0x0807060504030201);
    assert_int_equal(pb_next_field(&message, &field), 1);
    assert_int_equal(field.number, 3);
    assert_true(field.is_bytes);
    assert_true(str_eq(field.bytes, STR("ab")));
    assert_int_equal(pb_next_field(&message, &field), 1);
    assert_int_equal(field.number, 15);
    assert_int_equal(field.value, 0x0a0b0c0d);
    assert_int_equal(pb_next_field(&message, &field), 1);
    assert_int_equal(field.number, 16);
    assert_int_equal(pb_next_field(&message, &field), 0);
    assert_int_equal(pb_next_field(&message, &field), 0);
}

static void what_is_no_protobuf_is_refused(void **state)
{
    static const struct str BAD[] = {
        STR_INIT("\x08"),     /* a number is missing */
        STR_INIT("\x08\x80"), /* and here it does not end */
        STR_INIT("\x0a\x02"
                 "a"),                                            /* bytes behind the end */
        STR_INIT("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* 2^64-1 of them */
        STR_INIT("\x00\x00"),                                     /* field 0 */
        STR_INIT("\x0b"),                                         /* a group */
        STR_INIT("\x0e"),                                         /* wire type 6 */
        STR_INIT("\x09\x01"),                                     /* half a fixed64 */
        STR_INIT("\x0d\x01"),                                     /* half a fixed32 */
        STR_INIT("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), /* a tag of 11 bytes */
        STR_INIT("\x80\x80\x80\x80\x80\x01\x01"),                 /* field number 2^32 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct str message = BAD[i];
        struct pb_field field = {.number = 77};

        assert_int_equal(pb_next_field(&message, &field), -EBADMSG);
        assert_int_equal(field.number, 77); /* untouched */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wire_type_is_read),
        cmocka_unit_test(what_is_no_protobuf_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
