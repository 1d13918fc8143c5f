/* SPDX-License-Identifier: Apache-2.0 */
#include "trusted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup.h"

enum { STRANGER = 65531, PATH_SIZE = 128 };

/* top/a/b, all root's and 0755; removed in the teardown, whatever else is in them. */
struct site {
    char top[32], a[40], b[48];
};

static int make_site(void **state)
{
    static struct site site;

    (void)strcpy(site.top, "/tmp/trusted-path-XXXXXX");
    if (!mkdtemp(site.top) || chmod(site.top, 0755) < 0)
        return -1;
    (void)snprintf(site.a, sizeof(site.a), "%s/a", site.top);
    (void)snprintf(site.b, sizeof(site.b), "%s/b", site.a);
    *state = &site;
    return mkdir(site.a, 0755) < 0 || mkdir(site.b, 0755) < 0 ? -1 : 0;
}

static int remove_site(void **state)
{
    const struct site *site = *state;
    char command[64];

    (void)snprintf(command, sizeof(command), "rm -r %s", site->top);
    return system(command);
}

static bool is_same(int fd, const char *path)
{
    struct stat held, named;

    assert_int_equal(fstat(fd, &held), 0);
    assert_int_equal(stat(path, &named), 0);
    return held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static void assert_refused(const char *path, int error, const char *words, const char *where)
{
    struct trusted_path place = {.parent = -7};
    struct diag diag = {.text = ""};

    assert_int_equal(trusted_path_find(path, &place, &diag), error);
    assert_int_equal(place.parent, -7);
    if (!strstr(diag.text, words) || !strstr(diag.text, where))
        fail_msg("`%s` does not say `%s` of %s", diag.text, words, where);
}

static void the_way_leads_to_the_folder_above_however_it_is_written(void **state)
{
    static const char *const ENDS[] = {"a/b", "a/b/", "a//b", "./a/./b", "a/b/.", "/a/b//./"};
    const struct site *site = *state;

    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++) {
        CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
        CLEANUP(closep) int fd = -1;
        char path[PATH_SIZE];

        (void)snprintf(path, sizeof(path), "%s/%s", site->top, ENDS[i]);
        assert_int_equal(trusted_path_find(path, &place, NULL), 0);
        assert_string_equal(place.name, "b");
        assert_true(is_same(place.parent, site->a));
        fd = trusted_path_open(&place);
        assert_true(fd >= 0);
        assert_true(is_same(fd, site->b));
    }
}

static void a_folder_of_the_root_folder_has_it_above(void **state)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};

    (void)state;
    assert_int_equal(trusted_path_find("/no-such-folder-there", &place, NULL), 0);
    assert_true(is_same(place.parent, "/"));
    assert_int_equal(trusted_path_open(&place), -ENOENT);
}

static void what_is_no_path_of_a_folder_is_refused(void **state)
{
    static const char *const PATHS[] = {"", "a/b", "./a", "/", "//", "/.", "/tmp/../a", "/tmp/.."};

    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++)
        assert_refused(PATHS[i], -EINVAL, "absolute path", PATHS[i]);
}

static void a_name_that_is_too_long_is_refused(void **state)
{
    char path[NAME_MAX + 8] = "/";

    (void)state;
    memset(path + 1, 'a', NAME_MAX + 1);
    assert_refused(path, -ENAMETOOLONG, "too long", path);
}

/* Wherever on the way it is; the last folder itself is for trusted_check(). */
static void a_folder_on_the_way_that_is_not_root_s_is_refused(void **state)
{
    const struct site *site = *state;
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    const char *const folders[] = {site->top, site->a};

    assert_int_equal(geteuid(), 0); /* as tests/run does */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(chown(folders[i], STRANGER, 0), 0);
        assert_refused(site->b, -EPERM, "belongs to user 65531", folders[i]);
        assert_int_equal(chown(folders[i], 0, 0), 0);
    }
    assert_int_equal(chown(site->b, STRANGER, 0), 0);
    assert_int_equal(trusted_path_find(site->b, &place, NULL), 0);
    assert_int_equal(trusted_check(place.parent, place.name, "it", NULL), -EPERM);
}

static void one_that_others_may_write_to_is_refused_unless_sticky(void **state)
{
    static const mode_t MODES[] = {0775, 0757, 0777, 02775};
    const struct site *site = *state;

    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
        char mode[16];

        (void)snprintf(mode, sizeof(mode), "mode %04o", (unsigned)MODES[i]);
        assert_int_equal(chmod(site->a, MODES[i]), 0);
        assert_refused(site->b, -EPERM, mode, site->a);
        assert_int_equal(chmod(site->a, MODES[i] | 01000), 0);
        assert_int_equal(trusted_path_find(site->b, &place, NULL), 0);
    }
}

/* A sticky folder protects what is root's only. */
static void a_stranger_s_folder_in_a_sticky_one_is_refused(void **state)
{
    const struct site *site = *state;
    char deeper[PATH_SIZE];

    (void)snprintf(deeper, sizeof(deeper), "%s/c", site->b);
    assert_int_equal(chmod(site->a, 01777), 0);
    assert_int_equal(chown(site->b, STRANGER, 0), 0);
    assert_refused(deeper, -EPERM, "belongs to user 65531", site->b);
}

static void links_on_the_way_are_not_followed(void **state)
{
    const struct site *site = *state;
    char link[PATH_SIZE], path[2 * PATH_SIZE];

    (void)snprintf(link, sizeof(link), "%s/link", site->top);
    (void)snprintf(path, sizeof(path), "%s/b", link);
    assert_int_equal(symlink(site->a, link), 0);
    assert_refused(path, -EPERM, "symbolic link", link);
    assert_refused(path, -EPERM, "name the folder itself", site->a);
}

static void the_last_one_is_not_followed_either(void **state)
{
    const struct site *site = *state;
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    char link[PATH_SIZE];

    (void)snprintf(link, sizeof(link), "%s/link", site->top);
    assert_int_equal(symlink(site->a, link), 0);
    assert_int_equal(trusted_path_find(link, &place, NULL), 0);
    assert_int_equal(trusted_path_open(&place), -ENOTDIR);
    assert_int_equal(trusted_check(place.parent, place.name, "it", NULL), -EPERM);
}

static void what_is_missing_is_made_only_when_asked(void **state)
{
    const struct site *site = *state;
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    char made[PATH_SIZE], path[2 * PATH_SIZE];
    mode_t before = umask(077);
    struct stat found;

    (void)snprintf(made, sizeof(made), "%s/c", site->b);
    (void)snprintf(path, sizeof(path), "%s/d/e", made);
    assert_refused(path, -ENOENT, "No such file", made);
    assert_int_not_equal(access(made, F_OK), 0);
    assert_int_equal(trusted_path_make_parents(path, &place, NULL), 0);
    (void)umask(before);
    assert_int_equal(stat(made, &found), 0);
    assert_int_equal(found.st_mode & 07777, 0755);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_string_equal(place.name, "e");
}

/* What was walked once stays where it is, whatever becomes of its name. */
static void a_place_stays_when_its_name_is_given_to_something_else(void **state)
{
    const struct site *site = *state;
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    CLEANUP(closep) int fd = -1;
    char moved[PATH_SIZE];

    (void)snprintf(moved, sizeof(moved), "%s/moved", site->top);
    assert_int_equal(trusted_path_find(site->b, &place, NULL), 0);
    assert_int_equal(rename(site->a, moved), 0);
    assert_int_equal(symlink("/etc", site->a), 0);
    fd = trusted_path_open(&place);
    assert_true(fd >= 0);
    (void)strcat(moved, "/b");
    assert_true(is_same(fd, moved));
}

static void an_entry_has_a_path_by_its_folder_s_descriptor(void **state)
{
    const struct site *site = *state;
    CLEANUP(closep) int fd = open(site->a, O_PATH | O_CLOEXEC), entry = -1;
    char path[FOLDER_ENTRY_MAX], name[NAME_MAX + 64];

    assert_true(folder_entry_path(fd, "b", path));
    entry = open(path, O_PATH | O_CLOEXEC);
    assert_true(is_same(entry, site->b));
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_false(folder_entry_path(fd, name, path));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_site, remove_site)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_way_leads_to_the_folder_above_however_it_is_written),
        cmocka_unit_test(a_folder_of_the_root_folder_has_it_above),
        cmocka_unit_test(what_is_no_path_of_a_folder_is_refused),
        cmocka_unit_test(a_name_that_is_too_long_is_refused),
        TEST(a_folder_on_the_way_that_is_not_root_s_is_refused),
        TEST(one_that_others_may_write_to_is_refused_unless_sticky),
        TEST(a_stranger_s_folder_in_a_sticky_one_is_refused),
        TEST(links_on_the_way_are_not_followed),
        TEST(the_last_one_is_not_followed_either),
        TEST(what_is_missing_is_made_only_when_asked),
        TEST(a_place_stays_when_its_name_is_given_to_something_else),
        TEST(an_entry_has_a_path_by_its_folder_s_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
