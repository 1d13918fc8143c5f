/* SPDX-License-Identifier: Apache-2.0 */
#include "layout_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

enum { LAYOUTS = 300, EACH = 9 };

static void entry_with(struct fp_entry *entry, unsigned layout, unsigned line)
{
    *entry = (struct fp_entry){.line = line};
    entry->pattern.layout_length = (uint8_t)(layout % 3 + 1);
    memset(entry->pattern.layout, (int)(layout / 3), entry->pattern.layout_length);
}

static void entries_are_found_by_layout_in_their_order(void **state)
{
    static struct fp_entry entries[EACH][LAYOUTS];
    struct layout_index index = {0};
    const struct fp_entry *const *found = NULL;

    (void)state;
    for (unsigned line = 0; line < EACH; line++)
        for (unsigned layout = 0; layout < LAYOUTS; layout++) {
            entry_with(&entries[line][layout], layout, line);
            assert_int_equal(layout_index_add(&index, &entries[line][layout]), 0);
        }
    for (unsigned layout = 0; layout < LAYOUTS; layout++) {
        const struct signature_pattern *pattern = &entries[0][layout].pattern;

        assert_int_equal(layout_index_find(&index, pattern->layout, pattern->layout_length, &found),
                         EACH);
        for (unsigned line = 0; line < EACH; line++)
            assert_ptr_equal(found[line], &entries[line][layout]);
    }
    layout_index_done(&index);
}

static void what_was_not_added_is_not_found(void **state)
{
    struct layout_index index = {0};
    const struct fp_entry *const *found = NULL;
    struct fp_entry entry;

    (void)state;
    assert_int_equal(layout_index_find(&index, (const uint8_t *)"\x02", 1, &found), 0);
    entry_with(&entry, 8, 1); /* 2, 2, 2 */
    assert_int_equal(layout_index_add(&index, &entry), 0);
    assert_int_equal(layout_index_find(&index, (const uint8_t *)"\x02\x02", 2, &found), 0);
    assert_int_equal(layout_index_find(&index, (const uint8_t *)"", 0, &found), 0);
    assert_int_equal(layout_index_find(&index, (const uint8_t *)"\x02\x02\x02", 3, &found), 1);
    layout_index_done(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_by_layout_in_their_order),
        cmocka_unit_test(what_was_not_added_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
