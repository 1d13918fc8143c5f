/* SPDX-License-Identifier: Apache-2.0 */
#include "mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void lines_of_the_kernel_are_read(void **state)
{
    static const struct {
        const char *line;
        struct mount mount;
    } ROWS[] = {
        {"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
         {41, "/", "/sys/fs/cgroup/unified", "cgroup2", "cgroup2"}},
        {"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n",
         {36, "/mnt1", "/mnt2", "ext3", "/dev/root"}},
        {"36 35 98:0 / /a shared:7 master:1 propagate_from:2 - bpf none rw",
         {36, "/", "/a", "bpf", "none"}},
        {"1 2 0:3 /.. /host rw - cgroup2 c rw", {1, "/..", "/host", "cgroup2", "c"}},
        {"1 2 0:3 / /a\\040b\\134c rw - bpf x rw", {1, "/", "/a b\\c", "bpf", "x"}},
        {"1 2 0:3 / /a\\04 rw - bpf x rw", {1, "/", "/a\\04", "bpf", "x"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct mount mount = {.root = ""};

        assert_true(mountinfo_parse(ROWS[i].line, &mount));
        assert_int_equal(mount.id, ROWS[i].mount.id);
        assert_string_equal(mount.root, ROWS[i].mount.root);
        assert_string_equal(mount.path, ROWS[i].mount.path);
        assert_string_equal(mount.type, ROWS[i].mount.type);
        assert_string_equal(mount.source, ROWS[i].mount.source);
    }
}

static void other_lines_are_not(void **state)
{
    static const char *const ROWS[] = {
        "",
        "\n",
        "1 2 0:3 /",
        "x 2 0:3 / /a rw - bpf x rw",
        "1 2 0:3 / /a rw",
        "1 2 0:3 / /a rw shared:1",
        "1 2 0:3 / /a rw -",
        "1 2 0:3 / /a rw - ",
        "1 2 0:3  /a rw - bpf x rw",
        "1 2 0:3 / /a rw - a-type-whose-name-is-longer-than-the-kernel-has x rw",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct mount mount = {.path = "as before"};

        assert_false(mountinfo_parse(ROWS[i], &mount));
        assert_string_equal(mount.path, "as before");
    }
}

static void a_path_that_does_not_fit_is_left_out_not_cut(void **state)
{
    char line[2 * MOUNT_PATH_MAX] = "1 2 0:3 / /";
    struct mount mount;

    (void)state;
    memset(line + strlen(line), 'a', MOUNT_PATH_MAX - 1);
    strcat(line, " rw - bpf x rw");
    assert_false(mountinfo_parse(line, &mount));
}

static void the_view_that_reaches_higher_has_the_greater_number(void **state)
{
    static const struct {
        const char *root;
        int height;
    } ROWS[] = {
        {"/", 0},         {"/..", 1}, {"/../../..", 3}, {"/kubepods", -1}, {"/kubepods/pod1", -2},
        {"/../other", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct mount mount = {.type = "cgroup2"};

        strcpy(mount.root, ROWS[i].root);
        assert_int_equal(mountinfo_height(&mount), ROWS[i].height);
    }
}

static int count_root(const struct mount *mount, void *context)
{
    unsigned *count = context;

    *count += strcmp(mount->path, "/") == 0;
    return 0;
}

static int stop(const struct mount *mount, void *context)
{
    unsigned *count = context;

    (void)mount;
    (*count)++;
    return 7;
}

static void the_mounts_of_this_process_are_visited_until_one_is_enough(void **state)
{
    unsigned roots = 0, visited = 0;

    (void)state;
    assert_int_equal(mountinfo_each(count_root, &roots), 0);
    assert_true(roots >= 1);
    assert_int_equal(mountinfo_each(stop, &visited), 7);
    assert_int_equal(visited, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_the_kernel_are_read),
        cmocka_unit_test(other_lines_are_not),
        cmocka_unit_test(a_path_that_does_not_fit_is_left_out_not_cut),
        cmocka_unit_test(the_view_that_reaches_higher_has_the_greater_number),
        cmocka_unit_test(the_mounts_of_this_process_are_visited_until_one_is_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
