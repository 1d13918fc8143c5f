/* SPDX-License-Identifier: Apache-2.0 */
#include "record_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decision_record.h"

static void each_key_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (unsigned key = 0; key < RECORD_KEY_COUNT_; key++) {
        const struct str name = record_key_name((enum record_key)key);

        assert_int_equal(RECORD_FIELDS[key].length, strlen(RECORD_FIELDS[key].written));
        assert_true(name.len > 0 && str_find_char(name, '"') < 0 && str_find_char(name, ':') < 0);
        for (unsigned other = 0; other < key; other++)
            assert_false(str_eq(name, record_key_name((enum record_key)other)));
    }
    assert_true(str_eq(record_key_name(RECORD_TIME), STR("time")));
    assert_true(str_eq(record_key_name(RECORD_CUT), STR("synauthz.cut")));
}

/* What decision_record_write() relies on instead of looking for the end of its buffer. */
static void the_longest_line_fits(void **state)
{
    enum { NUMBER_MAX = 32, QUOTES = 2 };
    size_t longest = sizeof("}\n") + RECORD_WRITTEN_MAX;

    (void)state;
    for (unsigned key = 0; key < RECORD_KEY_COUNT_; key++) {
        const struct record_field *field = &RECORD_FIELDS[key];

        assert_true((field->max > 0) == (field->type == RECORD_TEXT));
        longest += field->length + (field->type == RECORD_TEXT ? field->max + QUOTES : NUMBER_MAX);
    }
    longest += RECORD_HEADERS_MAX * (sizeof(",\"" RECORD_HEADER_PREFIX "\":[\"\"]") +
                                     RECORD_HEADER_NAME_MAX + RECORD_HEADER_VALUE_MAX);
    assert_true(longest <= RECORD_LINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_key_has_a_name_of_its_own),
        cmocka_unit_test(the_longest_line_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
