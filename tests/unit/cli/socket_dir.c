/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { GROUP = 65532, STRANGER = 65531 };

/* A folder of this test's own, and a path in it; everything below it goes in the teardown. */
struct site {
    char folder[32], path[64], entry[80]; /* a name in the path */
};

static int make_site(void **state)
{
    static struct site made;

    (void)strcpy(made.folder, "/tmp/socket-dir-XXXXXX");
    if (!mkdtemp(made.folder))
        return -1;
    (void)snprintf(made.path, sizeof(made.path), "%s/s", made.folder);
    (void)snprintf(made.entry, sizeof(made.entry), "%s/entry", made.path);
    *state = &made;
    return 0;
}

static int remove_site(void **state)
{
    struct site *site = *state;

    (void)unlink(site->entry);
    if (unlink(site->path) < 0)
        (void)rmdir(site->path);
    return rmdir(site->folder);
}

static void assert_prepared(const struct site *site, gid_t group)
{
    struct stat st;

    assert_int_equal(lstat(site->path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 01775);
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

/* --- one that is there already --- */

static void make_folder(const struct site *site, mode_t mode, gid_t group)
{
    assert_int_equal(mkdir(site->path, 0700), 0);
    assert_int_equal(chown(site->path, 0, group), 0);
    assert_int_equal(chmod(site->path, mode), 0);
}

static void make_entry(const struct site *site, mode_t kind)
{
    assert_int_equal(mknod(site->entry, kind | 0600, 0), 0);
}

static void assert_mode(const struct site *site, mode_t mode, gid_t group)
{
    struct stat st;

    assert_int_equal(lstat(site->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_gid, group);
}

static void one_with_sockets_only_is_changed(void **state)
{
    static const mode_t MODES[] = {0700, 0755, 0775, 01775};
    struct site *site = *state;

    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        make_folder(site, MODES[i], GROUP + 1);
        make_entry(site, S_IFSOCK);
        assert_int_equal(socket_dir_prepare(site->path, GROUP, NULL), 0);
        assert_prepared(site, GROUP);
        assert_int_equal(unlink(site->entry), 0);
        assert_int_equal(rmdir(site->path), 0);
    }
}

/* `age_s` below 0: young for as long as this test may take. */
static int make_socket(const struct site *site, bool listens, time_t age_s)
{
    const struct timespec times[2] = {{.tv_sec = time(NULL) - age_s},
                                      {.tv_sec = time(NULL) - age_s}};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)strcpy(address.sun_path, site->entry);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    if (listens)
        assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(utimensat(AT_FDCWD, site->entry, times, AT_SYMLINK_NOFOLLOW), 0);
    return fd;
}

/* A server of another user could not replace it. */
static void sockets_that_a_server_left_are_removed_those_of_one_that_runs_stay(void **state)
{
    static const struct {
        bool listens;
        time_t age_s;
        bool stays;
    } ROWS[] = {{false, 60, false}, {false, -60, true}, {true, 60, true}, {true, -60, true}};
    struct site *site = *state;

    make_folder(site, 0755, 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        int fd = make_socket(site, ROWS[i].listens, ROWS[i].age_s);

        assert_int_equal(socket_dir_prepare(site->path, GROUP, NULL), 0);
        assert_int_equal(access(site->entry, F_OK), ROWS[i].stays ? 0 : -1);
        (void)close(fd);
        (void)unlink(site->entry);
    }
}

static void one_in_use_that_keeps_the_group_out_is_refused_and_left(void **state)
{
    static const mode_t MODES[] = {0700, 0755, 0750, 01775, 02775};
    struct site *site = *state;

    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        struct diag diag = {0};

        make_folder(site, MODES[i], GROUP + 1);
        make_entry(site, S_IFREG);
        assert_int_equal(socket_dir_prepare(site->path, GROUP, &diag), -EEXIST);
        assert_non_null(strstr(diag.text, "`entry`"));
        assert_mode(site, MODES[i], GROUP + 1);
        assert_int_equal(unlink(site->entry), 0);
        assert_int_equal(rmdir(site->path), 0);
    }
}

static void one_in_use_that_suits_stays_as_it_is(void **state)
{
    static const mode_t MODES[] = {0770, 0775, 01770, 02775};
    struct site *site = *state;

    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        make_folder(site, MODES[i], GROUP);
        make_entry(site, S_IFREG);
        assert_int_equal(socket_dir_prepare(site->path, GROUP, NULL), 0);
        assert_mode(site, MODES[i], GROUP);
        assert_int_equal(unlink(site->entry), 0);
        assert_int_equal(rmdir(site->path), 0);
    }
}

/* /tmp is such a one. */
static void one_that_everybody_may_write_to_is_refused_and_left(void **state)
{
    static const mode_t MODES[] = {01777, 0777};
    struct site *site = *state;

    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        struct diag diag = {0};

        make_folder(site, MODES[i], GROUP);
        assert_int_equal(socket_dir_prepare(site->path, GROUP, &diag), -EEXIST);
        assert_non_null(strstr(diag.text, "everybody may write"));
        assert_mode(site, MODES[i], GROUP);
        assert_int_equal(rmdir(site->path), 0);
    }
}

static void one_below_a_folder_of_somebody_else_is_refused(void **state)
{
    struct site *site = *state;
    struct diag diag = {0};

    assert_int_equal(chown(site->folder, STRANGER, 0), 0);
    assert_int_equal(socket_dir_prepare(site->path, GROUP, &diag), -EPERM);
    assert_non_null(strstr(diag.text, "--socket-dir"));
    assert_non_null(strstr(diag.text, "belongs to user 65531"));
    assert_int_not_equal(access(site->path, F_OK), 0);
}

static void it_is_beside_the_pin_folder(void **state)
{
    static const struct {
        const char *path, *pin_dir;
        int result;
    } ROWS[] = {
        {"/run/synauthz/socket", "/run/synauthz/bpf", 0},
        {"/run/a/b", "/run/a/bb", 0},
        {"/run/x", "/srv/x", 0},
        {"/run/a", "/run/a", -EINVAL},
        {"/run/a/", "/run//a/.", -EINVAL},
        {"/run/a", "/run/a/bpf", -EINVAL},
        {"/run/a//", "/run/./a/b/c", -EINVAL},
        {"/run/a/bpf/socket", "/run/a/bpf", -EINVAL},
        {"/", "/run/a", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};

        assert_int_equal(socket_dir_check(ROWS[i].path, ROWS[i].pin_dir, &diag), ROWS[i].result);
        assert_true((ROWS[i].result < 0) == (strstr(diag.text, "beside each other") != NULL));
    }
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
        TEST(one_with_sockets_only_is_changed),
        TEST(sockets_that_a_server_left_are_removed_those_of_one_that_runs_stay),
        TEST(one_in_use_that_keeps_the_group_out_is_refused_and_left),
        TEST(one_in_use_that_suits_stays_as_it_is),
        TEST(one_that_everybody_may_write_to_is_refused_and_left),
        TEST(one_below_a_folder_of_somebody_else_is_refused),
        cmocka_unit_test(it_is_beside_the_pin_folder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
