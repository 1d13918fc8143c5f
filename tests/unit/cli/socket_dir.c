/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_dir.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

enum { GROUP = 65532, STRANGER = 65531 };

/* A folder of this test's own, and a path in it; everything below it goes in the teardown. */
struct site {
    char folder[32], path[64];
};

static int make_site(void **state)
{
    static struct site made;

    (void)strcpy(made.folder, "/tmp/socket-dir-XXXXXX");
    if (!mkdtemp(made.folder))
        return -1;
    (void)snprintf(made.path, sizeof(made.path), "%s/s", made.folder);
    *state = &made;
    return 0;
}

static int remove_site(void **state)
{
    struct site *site = *state;

    if (unlink(site->path) < 0)
        (void)rmdir(site->path);
    return rmdir(site->folder);
}

static void assert_prepared(const struct site *site, gid_t group)
{
    struct stat st;

    assert_int_equal(lstat(site->path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0775);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(st.st_gid, group);
}

static void a_folder_that_is_missing_is_made_whatever_the_umask(void **state)
{
    struct site *site = *state;
    mode_t before = umask(0077);

    assert_int_equal(socket_dir_prepare(site->path, getegid(), NULL), 0);
    (void)umask(before);
    assert_prepared(site, getegid());
}

static void a_folder_as_kubernetes_makes_it_gets_group_and_mode(void **state)
{
    struct site *site = *state;
    gid_t group = geteuid() == 0 ? GROUP : getegid();

    assert_int_equal(mkdir(site->path, 0755), 0);
    assert_int_equal(socket_dir_prepare(site->path, group, NULL), 0);
    assert_prepared(site, group);
    assert_int_equal(socket_dir_prepare(site->path, group, NULL), 0);
    assert_prepared(site, group);
}

static void nothing_above_it_is_made(void **state)
{
    struct site *site = *state;
    char deeper[80];
    struct diag diag = {0};

    (void)snprintf(deeper, sizeof(deeper), "%s/deeper", site->path);
    assert_int_equal(socket_dir_prepare(deeper, getegid(), &diag), -ENOENT);
    assert_non_null(strstr(diag.text, "--socket-dir"));
    assert_non_null(strstr(diag.text, "cannot make it"));
}

static void a_file_is_no_folder(void **state)
{
    struct site *site = *state;
    FILE *file = fopen(site->path, "w");

    assert_non_null(file);
    (void)fclose(file);
    assert_int_equal(socket_dir_prepare(site->path, getegid(), NULL), -ENOTDIR);
}

static void a_link_is_not_followed(void **state)
{
    struct site *site = *state;

    assert_int_equal(symlink("/tmp", site->path), 0);
    assert_int_equal(socket_dir_prepare(site->path, getegid(), NULL), -ENOTDIR);
}

static void a_folder_of_somebody_else_is_refused(void **state)
{
    struct site *site = *state;
    struct diag diag = {0};

    assert_int_equal(geteuid(), 0); /* as tests/run does */
    assert_int_equal(mkdir(site->path, 0755), 0);
    assert_int_equal(chown(site->path, STRANGER, GROUP), 0);
    assert_int_equal(socket_dir_prepare(site->path, GROUP, &diag), -EPERM);
    assert_non_null(strstr(diag.text, "belongs to user 65531"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_site, remove_site)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_folder_that_is_missing_is_made_whatever_the_umask),
        TEST(a_folder_as_kubernetes_makes_it_gets_group_and_mode),
        TEST(nothing_above_it_is_made),
        TEST(a_file_is_no_folder),
        TEST(a_link_is_not_followed),
        TEST(a_folder_of_somebody_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
