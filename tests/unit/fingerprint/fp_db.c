/* SPDX-License-Identifier: Apache-2.0 */
#include "fp_db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fifo.h"
#include "memory_file.h"

static int load_text(const char *text, struct fp_db **ret_db, struct diag *diag)
{
    CLEANUP(memory_file_done) struct memory_file file = memory_file_with(text, strlen(text));

    return fp_db_load(file.path, ret_db, diag);
}

static void entries_come_in_file_order(void **state)
{
    static const uint8_t MSS[] = {TCP_OPTION_MSS};
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    const struct fp_entry *const *entries = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(load_text("classes = unix\n[tcp:request]\nlabel = s:unix:A:\n"
                               "sig = *:64:0:1:*,*:mss::0\nsig = *:64:0:*:*,*:ws::0\n"
                               "label = g:unix:B:\nsig = *:64:0:2:*,*:mss::0\n",
                               &db, &diag),
                     0);
    assert_int_equal(fp_db_candidates(db, MSS, 1, &entries), 2);
    assert_int_equal(entries[0]->line, 4);
    assert_string_equal(entries[0]->label->name, "A");
    assert_int_equal(entries[1]->line, 7);
    assert_true(entries[1]->label->generic);
    assert_int_equal(fp_db_candidates(db, MSS, 0, &entries), 0);
}

static void the_first_name_of_an_mtu_stays(void **state)
{
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(load_text("[mtu]\nlabel = b\nsig = 1500\nsig = 65535\nlabel = a\nsig = 576\n"
                               "sig = 1500\nsig = 1\n",
                               &db, &diag),
                     0);
    assert_string_equal(fp_db_link(db, 1500), "b");
    assert_string_equal(fp_db_link(db, 576), "a");
    assert_string_equal(fp_db_link(db, 1), "a");
    assert_string_equal(fp_db_link(db, 65535), "b");
    assert_null(fp_db_link(db, 0));
    assert_null(fp_db_link(db, 1499));
    assert_null(fp_db_link(db, 65575));
}

static void a_file_that_cannot_be_read_is_not_an_invalid_one(void **state)
{
    CLEANUP(fifo_done) struct fifo fifo = fifo_make();
    struct fp_db *db = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(fp_db_load("/proc/self/none", &db, &diag), -ENOENT);
    assert_string_equal(diag.file, "/proc/self/none");
    diag_clear(&diag);
    assert_int_equal(fp_db_load("/", &db, &diag), -EISDIR);
    diag_clear(&diag);
    assert_int_equal(fp_db_load(fifo.path, &db, &diag), -ENXIO);
    assert_string_equal(diag.text, "is a FIFO, not a file");
    diag_clear(&diag);
    assert_int_equal(load_text("nonsense", &db, &diag), -EINVAL);
    assert_int_equal(diag.place.line, 1);
    assert_null(db);
}

static void applications_have_the_class_of_their_own(void **state)
{
    const struct fp_label app = {.class_name = "!"}, os = {.class_name = "unix"};

    (void)state;
    assert_true(fp_label_is_app(&app));
    assert_false(fp_label_is_app(&os));
}

static void freeing_nothing_is_fine(void **state)
{
    struct fp_db *db = NULL;

    (void)state;
    fp_db_freep(&db);
    assert_null(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_come_in_file_order),
        cmocka_unit_test(the_first_name_of_an_mtu_stays),
        cmocka_unit_test(a_file_that_cannot_be_read_is_not_an_invalid_one),
        cmocka_unit_test(applications_have_the_class_of_their_own),
        cmocka_unit_test(freeing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
