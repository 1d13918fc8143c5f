/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* In a block of its own size, so that a sanitizer sees a step beyond its end. */
static const char *read_text(const char *text, struct filter_settings *ret_settings,
                             uint32_t *ret_line)
{
    const size_t size = strlen(text);
    char *copy = malloc(size ? size : 1);
    const char *wrong;

    assert_non_null(copy);
    memcpy(copy, text, size);
    memset(ret_settings, 0, sizeof(*ret_settings));
    wrong = filter_settings_read((struct text){copy, (uint32_t)size}, ret_settings, ret_line);
    free(copy);
    return wrong;
}

static struct text text_of(const char *text)
{
    return (struct text){text, (uint32_t)strlen(text)};
}

static void everything_can_be_said(void **state)
{
    static const char PATH[] =
        "metadata\0filter_metadata\0envoy.filters.http.ext_authz\0p0f\0state";
    struct filter_settings settings;
    uint32_t line;

    (void)state;
    assert_null(read_text("# a comment\n\n  key :  p0f.state \r\nresponse-header: x-client\n"
                          "refuse: missing\nrefuse: Mac OS X\nabsent: refuse\n"
                          "redirect: https://example.org/a:b?c",
                          &settings, &line));
    assert_int_equal(settings.path_size, sizeof(PATH) - 1);
    assert_memory_equal(settings.path, PATH, sizeof(PATH) - 1);
    assert_int_equal(settings.header_size, strlen("x-client"));
    assert_memory_equal(settings.header, "x-client", settings.header_size);
    assert_int_equal(settings.url_size, strlen("https://example.org/a:b?c"));
    assert_true(filter_settings_refuse(&settings, text_of("missing")));
    assert_true(filter_settings_refuse(&settings, text_of("Mac OS X")));
    assert_true(filter_settings_refuse(&settings, (struct text){NULL, 0}));
    assert_false(filter_settings_refuse(&settings, text_of("verified")));
    assert_false(filter_settings_refuse(&settings, text_of("missin")));
}

static void absent_may_pass(void **state)
{
    struct filter_settings settings;
    uint32_t line;

    (void)state;
    assert_null(read_text("key: a\nrefuse: b\nabsent: pass", &settings, &line));
    assert_false(filter_settings_refuse(&settings, (struct text){NULL, 0}));
    assert_true(filter_settings_refuse(&settings, text_of("b")));
}

static void mistakes_are_named_with_their_line(void **state)
{
    static const struct {
        const char *text;
        uint32_t line; /* 0: the whole */
    } MISTAKES[] = {
        {"", 0},
        {"key: a", 0},
        {"response-header: x", 0},
        {"key: a\nrefuse: b", 0},
        {"key: a\nresponse-header: x\nredirect: /", 0},
        {"key", 1},
        {"key:", 1},
        {"key: ", 1},
        {": a", 1},
        {"key: .", 1},
        {"key: a.", 1},
        {"key: .a", 1},
        {"key: a..b", 1},
        {"key: a\nkey: b", 2},
        {"key: a\nresponse-header: X", 2},
        {"key: a\nresponse-header: x y", 2},
        {"key: a\nresponse-header: x\nresponse-header: y", 3},
        {"key: a\n\nabsent: maybe", 3},
        {"key: a\nabsent: pass\nabsent: pass", 3},
        {"key: a\nredirect: \x7f", 2},
        {"key: a\x01", 1},
        {"key: a\nrefuse: Fran\xc3\xa7ois", 2},
        {"key: a\nnothing: b", 2},
    };
    struct filter_settings settings;

    (void)state;
    for (size_t i = 0; i < sizeof(MISTAKES) / sizeof(MISTAKES[0]); i++) {
        uint32_t line = UINT32_MAX;

        if (!read_text(MISTAKES[i].text, &settings, &line))
            fail_msg("taken: %s", MISTAKES[i].text);
        if (line != MISTAKES[i].line)
            fail_msg("line %u of: %s", line, MISTAKES[i].text);
    }
}

/* `prefix`, then `length` times the letter, then `suffix`. */
static const char *read_long(const char *prefix, size_t length, const char *suffix)
{
    struct filter_settings settings;
    char text[2048];
    uint32_t line;
    size_t at = strlen(prefix);

    memcpy(text, prefix, at);
    memset(text + at, 'a', length);
    memcpy(text + at + length, suffix, strlen(suffix) + 1);
    return read_text(text, &settings, &line);
}

static void each_value_has_its_limit(void **state)
{
    static const char HEADER[] = "\nresponse-header: x";
    const size_t path =
        FILTER_PATH_MAX - sizeof("metadata\0filter_metadata\0envoy.filters.http.ext_authz");

    (void)state;
    assert_null(read_long("key: ", path, HEADER));
    assert_non_null(read_long("key: ", path + 1, HEADER));
    assert_null(read_long("key: a\nresponse-header: ", FILTER_HEADER_MAX, ""));
    assert_non_null(read_long("key: a\nresponse-header: ", FILTER_HEADER_MAX + 1, ""));
    assert_null(read_long("key: a\nabsent: pass\nrefuse: ", FILTER_WORD_MAX, ""));
    assert_non_null(read_long("key: a\nabsent: pass\nrefuse: ", FILTER_WORD_MAX + 1, ""));
    assert_null(read_long("key: a\nabsent: refuse\nredirect: ", FILTER_URL_MAX, ""));
    assert_non_null(read_long("key: a\nabsent: refuse\nredirect: ", FILTER_URL_MAX + 1, ""));
}

static void as_many_values_as_there_is_room_for(void **state)
{
    struct filter_settings settings;
    char text[1024] = "key: a\nabsent: pass\n";
    uint32_t line;

    (void)state;
    for (unsigned i = 0; i < FILTER_WORDS_MAX; i++)
        strcat(text, "refuse: a\n");
    assert_null(read_text(text, &settings, &line));
    strcat(text, "refuse: a\n");
    assert_non_null(read_text(text, &settings, &line));
    assert_int_equal(line, FILTER_WORDS_MAX + 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_can_be_said),
        cmocka_unit_test(absent_may_pass),
        cmocka_unit_test(mistakes_are_named_with_their_line),
        cmocka_unit_test(each_value_has_its_limit),
        cmocka_unit_test(as_many_values_as_there_is_room_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
