/* SPDX-License-Identifier: Apache-2.0 */
#include "os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static void families_follow_from_class_and_name(void **state)
{
    static const struct {
        const char *class_name, *name;
        enum os_family family;
    } ROWS[] = {
        {"unix", "Linux", OS_LINUX},      {"unix", "linux", OS_LINUX},
        {"unix", "Android", OS_LINUX},    {"unix", "Mac OS X", OS_APPLE},
        {"unix", "MacOS X", OS_APPLE},    {"unix", "iOS", OS_APPLE},
        {"win", "Windows", OS_WINDOWS},   {"win", "Something", OS_WINDOWS},
        {"WIN", "Something", OS_WINDOWS}, {"unix", "FreeBSD", OS_BSD},
        {"unix", "OpenBSD", OS_BSD},      {"unix", "NetBSD", OS_BSD},
        {"unix", "Solaris", OS_OTHER},    {"other", "Nintendo", OS_OTHER},
        {"unix", "Li", OS_OTHER},         {"!", "NMap", OS_TOOL},
        {"!", "Linux", OS_TOOL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct fp_label label = {.class_name = ROWS[i].class_name, .name = ROWS[i].name};

        assert_int_equal(os_family_of(&label), ROWS[i].family);
    }
    assert_int_equal(os_family_of(NULL), OS_UNKNOWN);
}

static void families_have_names(void **state)
{
    static const char *const NAMES[] = {"unknown", "linux", "apple", "windows",
                                        "bsd",     "other", "tool"};

    (void)state;
    for (int family = 0; family < OS_COUNT_; family++)
        assert_string_equal(os_family_name((enum os_family)family), NAMES[family]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_follow_from_class_and_name),
        cmocka_unit_test(families_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
