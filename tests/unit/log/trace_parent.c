/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_parent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TRACE "0af7651916cd43dd8448eb211c80319c"
#define SPAN  "b7ad6b7169203331"

static void what_the_specification_allows_is_read(void **state)
{
    static const char *const GOOD[] = {
        "00-" TRACE "-" SPAN "-01",
        "cc-" TRACE "-" SPAN "-01",           /* a later version */
        "cc-" TRACE "-" SPAN "-01-what-else", /* with more in it */
        "01-" TRACE "-" SPAN "-01-",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        struct trace_parent parent;

        assert_true(trace_parent_parse(str_from(GOOD[i]), &parent));
        assert_true(str_eq(parent.trace_id, STR(TRACE)));
        assert_true(str_eq(parent.span_id, STR(SPAN)));
        assert_true(str_eq(parent.flags, STR("01")));
    }
}

static void what_it_says_to_ignore_is_ignored(void **state)
{
    static const char *const BAD[] = {
        "",
        "00",
        "00-" TRACE "-" SPAN "-0",
        "00-" TRACE "-" SPAN "-01-more",
        "00-" TRACE "-" SPAN "-01,00-" TRACE "-" SPAN "-01", /* two headers, joined */
        "cc-" TRACE "-" SPAN "-01.more",
        "ff-" TRACE "-" SPAN "-01",
        "0x-" TRACE "-" SPAN "-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-" TRACE "-b7ad6b716920333g-01",
        "00-" TRACE "-" SPAN "-0g",
        "00_" TRACE "-" SPAN "-01",
        "00-" TRACE "_" SPAN "-01",
        "00-" TRACE "-" SPAN "_01",
        " 0-" TRACE "-" SPAN "-01",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct trace_parent parent;

        if (trace_parent_parse(str_from(BAD[i]), &parent))
            fail_msg("read: %s", BAD[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_specification_allows_is_read),
        cmocka_unit_test(what_it_says_to_ignore_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
