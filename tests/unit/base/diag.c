/* SPDX-License-Identifier: Apache-2.0 */
#include "diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

static void the_first_message_wins(void **state)
{
    struct diag diag = {0};

    (void)state;
    assert_int_equal(diag_set(&diag, -EINVAL, "the %s", "cause"), -EINVAL);
    assert_int_equal(diag_set_at(&diag, -EIO, (struct place){1, 2}, "what follows"), -EIO);
    assert_string_equal(diag.text, "the cause");
    assert_int_equal(diag.place.line, 0);
    diag_clear(&diag);
    assert_int_equal(diag_set(&diag, -EIO, "another"), -EIO);
    assert_string_equal(diag.text, "another");
}

static void nobody_has_to_ask(void **state)
{
    (void)state;
    assert_int_equal(diag_set(NULL, -EINVAL, "text"), -EINVAL);
    assert_int_equal(diag_set_at(NULL, -EINVAL, (struct place){1, 1}, "text"), -EINVAL);
    diag_set_file(NULL, "file");
}

static void it_is_written_with_as_much_of_the_place_as_is_known(void **state)
{
    static const struct {
        const char *file;
        struct place place;
        const char *wanted;
    } ROWS[] = {
        {NULL, {0, 0}, "text"},
        {"a.yaml", {0, 0}, "a.yaml: text"},
        {"a.yaml", {3, 4}, "a.yaml:3:4: text"},
        {NULL, {3, 4}, "3:4: text"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};
        char text[64], cut[5];

        if (ROWS[i].file)
            diag_set_file(&diag, ROWS[i].file);
        (void)diag_set_at(&diag, -EINVAL, ROWS[i].place, "text");
        diag_format(&diag, text, sizeof(text));
        assert_string_equal(text, ROWS[i].wanted);
        diag_format(&diag, cut, sizeof(cut));
        assert_memory_equal(cut, ROWS[i].wanted, 4);
        assert_int_equal(cut[4], '\0');
    }
}

static void control_characters_do_not_reach_a_terminal(void **state)
{
    struct diag diag = {0};

    (void)state;
    diag_set_file(&diag, "a\033[31m\n");
    (void)diag_set(&diag, -EINVAL, "%s", "x\r\n\x7fy\xc3\xa9");
    assert_string_equal(diag.file, "a?[31m?");
    assert_string_equal(diag.text, "x???y\xc3\xa9");
}

static void a_file_name_that_is_too_long_keeps_its_end(void **state)
{
    struct diag diag = {0};
    char name[DIAG_FILE_MAX * 2];

    (void)state;
    memset(name, 'a', sizeof(name));
    memcpy(name + sizeof(name) - 8, "end.pol", 8);
    diag_set_file(&diag, name);
    assert_int_equal(strlen(diag.file), DIAG_FILE_MAX - 1);
    assert_string_equal(diag.file + DIAG_FILE_MAX - 8, "end.pol");
}

static void the_nearest_word_is_offered_if_it_is_near(void **state)
{
    static const char *const WORDS[] = {"when", "then", "default", "databases"};

    (void)state;
    assert_string_equal(diag_nearest(STR("defualt"), WORDS, 4), "default");
    assert_string_equal(diag_nearest(STR("database"), WORDS, 4), "databases");
    assert_string_equal(diag_nearest(STR("when"), WORDS, 4), "when");
    assert_null(diag_nearest(STR("xyz"), WORDS, 4));
    assert_null(diag_nearest(STR("when"), WORDS, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_message_wins),
        cmocka_unit_test(nobody_has_to_ask),
        cmocka_unit_test(it_is_written_with_as_much_of_the_place_as_is_known),
        cmocka_unit_test(control_characters_do_not_reach_a_terminal),
        cmocka_unit_test(a_file_name_that_is_too_long_keeps_its_end),
        cmocka_unit_test(the_nearest_word_is_offered_if_it_is_near),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
