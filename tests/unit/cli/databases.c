/* SPDX-License-Identifier: Apache-2.0 */
#include "databases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "memory_file.h"

enum { FILES = 2 };

static const char GOOD[] = "[mtu]\nlabel = Ethernet\nsig = 1500\n";
static const char BAD[] = "[mtu]\nlabel = Ethernet\nsig = many\n";

static void databases_are_loaded_in_order_or_not_at_all(void **state)
{
    const struct memory_file good_file = memory_file_with(GOOD, sizeof(GOOD) - 1);
    const struct memory_file bad_file = memory_file_with(BAD, sizeof(BAD) - 1);
    const char *good = good_file.path, *bad = bad_file.path;
    const struct {
        const char *paths[FILES];
        size_t path_count;
        enum exit_status status;
        size_t count;
    } ROWS[] = {
        {{NULL}, 0, STATUS_OK, 0},
        {{"none"}, 1, STATUS_OK, 0},
        {{good}, 1, STATUS_OK, 1},
        {{good, good}, 2, STATUS_OK, 2},
        {{"none", good}, 2, STATUS_USAGE, 0},
        {{good, "none"}, 2, STATUS_USAGE, 0},
        {{bad}, 1, STATUS_INVALID, 0},
        {{good, bad}, 2, STATUS_INVALID, 1},
        {{"/nothing/is/here"}, 1, STATUS_FAILURE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const char *items[FILES] = {ROWS[i].paths[0], ROWS[i].paths[1]};
        const struct text_list paths = {items, ROWS[i].path_count};
        struct databases databases;
        struct diag diag = {0};

        assert_int_equal(databases_load(&paths, &databases, &diag), ROWS[i].status);
        assert_int_equal(databases.count, ROWS[i].count);
        assert_true((diag.text[0] == '\0') == (ROWS[i].status == STATUS_OK));
        databases_done(&databases);
        assert_null(databases.items);
    }
    memory_file_done(&good_file);
    memory_file_done(&bad_file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(databases_are_loaded_in_order_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
