/* SPDX-License-Identifier: Apache-2.0 */
/* An agent's pins: how they are made, who may touch them, who takes them over, how they go. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpffs.h"
#include "stand.h"

enum { NOBODY = 65534, LINKS = 5 };

static void assert_says(const struct diag *diag, const char *words)
{
    if (!strstr(diag->text, words))
        fail_msg("'%s' is not in: %s", words, diag->text);
}

static struct stat stat_of(const char *path)
{
    struct stat found;

    if (lstat(path, &found) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return found;
}

static void assert_access(const char *path, mode_t mode, gid_t group)
{
    struct stat found = stat_of(path);

    assert_int_equal(found.st_uid, 0);
    assert_int_equal(found.st_gid, group);
    assert_int_equal(found.st_mode & 07777, mode);
}

static void pins_are_roots_and_readable_by_the_group(void **state)
{
    struct stand stand;
    struct node_config config;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    assert_true(bpffs_holds(stand.folder));
    assert_access(stand.folder, 0750, STAND_GROUP);
    assert_access(stand_path(&stand, "lock"), 0700, 0);
    assert_access(stand_path(&stand, "v2"), 0750, STAND_GROUP);
    assert_access(stand_path(&stand, "v2/live"), 0640, STAND_GROUP);
    assert_access(stand_path(&stand, "v2/meta"), 0640, STAND_GROUP);
    assert_access(stand_path(&stand, "v2/link_track_0_0"), 0600, STAND_GROUP);
    assert_access(stand_path(&stand, "v2/prog_xdp"), 0600, STAND_GROUP);
    stand_done(&stand);
}

static void what_an_agent_left_goes_on_and_is_taken_over(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair first, between, last;
    struct capture_meta meta;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    assert_false(stand_status(&stand).took_over);
    first = stand_connect(&stand, listener);
    assert_verified(&stand, &first);
    stand_leave(&stand);
    between = stand_connect(&stand, listener);
    assert_verified(&stand, &first);
    assert_verified(&stand, &between);
    stand_start(&stand, &config);
    assert_true(stand_status(&stand).took_over);
    assert_string_equal(stand_status(&stand).set, "v2");
    last = stand_connect(&stand, listener);
    assert_verified(&stand, &first);
    assert_verified(&stand, &between);
    assert_verified(&stand, &last);
    assert_int_equal(capture_meta_read(node_get_maps(stand.node), &meta), 0);
    assert_int_equal(meta.generation, 2);
    assert_int_equal(meta.owner_pid, getpid());
    assert_int_equal(meta.state, CAPTURE_RUNNING);
    assert_int_equal(meta.hooks, 1);
    pair_done(&first);
    stand_wait_for(&stand, &first.flow, SYN_STATE_MISSING);
    pair_done(&between);
    pair_done(&last);
    close(listener);
    stand_done(&stand);
}

static void another_group_gets_the_pins(void **state)
{
    struct stand stand;
    struct node_config config;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stand_leave(&stand);
    config.group = STAND_GROUP + 1;
    stand_start(&stand, &config);
    assert_true(stand_status(&stand).took_over);
    assert_access(stand.folder, 0750, STAND_GROUP + 1);
    assert_access(stand_path(&stand, "v2"), 0750, STAND_GROUP + 1);
    assert_access(stand_path(&stand, "v2/live"), 0640, STAND_GROUP + 1);
    stand_done(&stand);
}

static void a_second_agent_is_told_of_the_first(void **state)
{
    struct stand stand;
    struct node_config config;
    struct node *second = NULL;
    struct diag diag = {.text = ""};
    char process[32];
    unsigned removed;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    (void)snprintf(process, sizeof(process), "process %d,", (int)getpid());
    assert_int_equal(node_start(&config, &second, &diag), -EBUSY);
    assert_says(&diag, process);
    diag_clear(&diag);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), -EBUSY);
    assert_says(&diag, process);
    assert_int_equal(access(stand_path(&stand, "v2/live"), F_OK), 0);
    stand_done(&stand);
}

/* --- folders that others made --- */

static void assert_refused(struct stand *stand, int error, const char *words)
{
    struct node_config config = stand_config(stand);
    struct diag diag = {.text = ""};

    assert_int_equal(stand_try_start(stand, &config, &diag), error);
    assert_null(stand->node);
    assert_says(&diag, words);
    assert_says(&diag, stand->folder);
}

static void a_folder_that_is_not_only_roots_is_refused(void **state)
{
    struct stand stand;

    (void)state;
    stand_make(&stand);
    assert_int_equal(mkdir(stand.folder, 0755), 0);
    assert_int_equal(chown(stand.folder, NOBODY, NOBODY), 0);
    assert_refused(&stand, -EPERM, "belongs to user 65534");
    assert_int_equal(chown(stand.folder, 0, 0), 0);
    assert_int_equal(chmod(stand.folder, 01777), 0);
    assert_refused(&stand, -EPERM, "can be written by others");
    assert_int_equal(rmdir(stand.folder), 0);
    assert_int_equal(symlink("/tmp", stand.folder), 0);
    assert_refused(&stand, -EPERM, "symbolic link");
    assert_int_equal(unlink(stand.folder), 0);
    stand_done(&stand);
}

static void nothing_is_mounted_over_files(void **state)
{
    struct stand stand;
    int fd;

    (void)state;
    stand_make(&stand);
    assert_int_equal(mkdir(stand.folder, 0755), 0);
    fd = open(stand_path(&stand, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_refused(&stand, -ENOTEMPTY, "not empty");
    assert_int_equal(unlink(stand_path(&stand, "file")), 0);
    assert_int_equal(rmdir(stand.folder), 0);
    stand_done(&stand);
}

/* Its mode is not ours to change; a folder in it is. */
static void the_hosts_own_file_system_is_left_alone(void **state)
{
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    struct stat before;
    unsigned removed;

    (void)state;
    stand_make(&stand);
    assert_int_equal(mount("none", "/sys/fs/bpf", "bpf", 0, "mode=0755"), 0);
    before = stat_of("/sys/fs/bpf");
    config = stand_config(&stand);
    config.pin_dir = "/sys/fs/bpf";
    assert_int_equal(stand_try_start(&stand, &config, &diag), -EINVAL);
    assert_says(&diag, "/sys/fs/bpf/synauthz");
    config.pin_dir = "/sys/fs/bpf/a/folder";
    stand_start_quietly(&stand, &config);
    assert_access("/sys/fs/bpf/a", 0755, 0);
    assert_access("/sys/fs/bpf/a/folder", 0750, STAND_GROUP);
    assert_access("/sys/fs/bpf/a/folder/v2/live", 0640, STAND_GROUP);
    stand_leave(&stand);
    assert_int_equal(node_cleanup(config.pin_dir, &removed, &diag), 0);
    assert_int_equal(access(config.pin_dir, F_OK), -1);
    assert_int_equal(stat_of("/sys/fs/bpf").st_mode, before.st_mode);
    assert_int_equal(rmdir("/sys/fs/bpf/a"), 0);
    assert_int_equal(umount("/sys/fs/bpf"), 0);
    stand_done(&stand);
}

static void parents_let_readers_through(void **state)
{
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    char parent[80], folder[96];
    unsigned removed;
    mode_t before;

    (void)state;
    stand_make(&stand);
    (void)snprintf(parent, sizeof(parent), "%s/a", stand.top);
    (void)snprintf(folder, sizeof(folder), "%s/b", parent);
    config = stand_config(&stand);
    config.pin_dir = folder;
    before = umask(077);
    stand_start_quietly(&stand, &config);
    (void)umask(before);
    assert_access(parent, 0755, 0);
    assert_access(folder, 0750, STAND_GROUP);
    stand_leave(&stand);
    assert_int_equal(node_cleanup(folder, &removed, &diag), 0);
    assert_int_equal(rmdir(parent), 0);
    stand_done(&stand);
}

/* A bpffs that others mounted, and a lock that somebody else made first. */
static void a_squatted_lock_is_refused(void **state)
{
    struct stand stand;

    (void)state;
    stand_make(&stand);
    assert_int_equal(mkdir(stand.folder, 0755), 0);
    assert_int_equal(mount("none", stand.folder, "bpf", 0, "mode=0755"), 0);
    assert_int_equal(mkdir(stand_path(&stand, "lock"), 0777), 0);
    assert_int_equal(chown(stand_path(&stand, "lock"), NOBODY, NOBODY), 0);
    assert_refused(&stand, -EPERM, "lock belongs to user");
    assert_int_equal(rmdir(stand_path(&stand, "lock")), 0);
    assert_int_equal(umount(stand.folder), 0);
    assert_int_equal(rmdir(stand.folder), 0);
    stand_done(&stand);
}

/* A map that another user owns is not believed: a new set is made. */
static void foreign_pins_are_not_taken_over(void **state)
{
    struct stand stand;
    struct node_config config;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stand_leave(&stand);
    assert_int_equal(chown(stand_path(&stand, "v2/live"), NOBODY, (gid_t)-1), 0);
    stand_start(&stand, &config);
    assert_false(stand_status(&stand).took_over);
    assert_string_equal(stand_status(&stand).set, "v2-1");
    assert_int_not_equal(access(stand_path(&stand, "v2"), F_OK), 0);
    stand_done(&stand);
}

/* Closes may have been missed: what the maps say is not believed either. */
static void maps_whose_trackers_ended_are_not_taken_over(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair pair;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    pair = stand_connect(&stand, listener);
    stand_leave(&stand);
    for (int i = 0; i < 4; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "v2/link_track_%d_%d", i / 2, i % 2);
        assert_int_equal(unlink(stand_path(&stand, name)), 0);
    }
    stand_start(&stand, &config);
    assert_string_equal(stand_status(&stand).set, "v2-1");
    stand_wait_for(&stand, &pair.flow, SYN_STATE_MISSING);
    pair_done(&pair);
    close(listener);
    stand_done(&stand);
}

/* --- how it goes --- */

static uint32_t id_of_pinned_link(const char *path)
{
    struct bpf_link_info info = {0};
    uint32_t length = sizeof(info);
    int fd = bpf_obj_get(path);

    assert_true(fd >= 0);
    assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
    close(fd);
    return info.id;
}

static void cleanup_is_complete_and_may_be_repeated(void **state)
{
    static const char *const PINS[LINKS] = {"v2/link_track_0_0", "v2/link_track_0_1",
                                            "v2/link_track_1_0", "v2/link_track_1_1", NULL};
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    uint32_t ids[LINKS - 1];
    unsigned removed = 1;

    (void)state;
    stand_make(&stand);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    assert_int_equal(removed, 0);
    config = stand_config(&stand);
    stand_start(&stand, &config);
    for (int i = 0; PINS[i]; i++)
        ids[i] = id_of_pinned_link(stand_path(&stand, PINS[i]));
    stand_leave(&stand);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    assert_in_range(removed, MAP_COUNT_ - 1 + LINKS, 100);
    assert_int_not_equal(access(stand.folder, F_OK), 0);
    for (int i = 0; PINS[i]; i++)
        for (int waited = 0; bpf_link_get_fd_by_id(ids[i]) != -ENOENT; waited++) {
            assert_in_range(waited, 0, 1000);
            sleep_ms(1);
        }
    netns_run(&stand.stage.server, "! ip link show near | grep -q xdp");
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    assert_int_equal(removed, 0);
    stand_done(&stand);
}

/* Readers are told first: they do not answer from maps that nobody keeps true. */
static void after_cleanup_nothing_is_known(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair pair;
    struct diag diag = {.text = ""};
    unsigned removed;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    pair = stand_connect(&stand, listener);
    assert_verified(&stand, &pair);
    stand_leave(&stand);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    stand_wait_for(&stand, &pair.flow, SYN_STATE_UNAVAILABLE);
    pair_done(&pair);
    close(listener);
    stand_done(&stand);
}

/* A bpffs that was there before stays, and what others pinned in it. */
static void cleanup_leaves_what_is_not_ours(void **state)
{
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    unsigned removed;
    int map;

    (void)state;
    stand_make(&stand);
    assert_int_equal(mkdir(stand.folder, 0755), 0);
    assert_int_equal(mount("none", stand.folder, "bpf", 0, "mode=0755"), 0);
    config = stand_config(&stand);
    stand_start(&stand, &config);
    map = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);
    assert_int_equal(bpf_obj_pin(map, stand_path(&stand, "foreign")), 0);
    close(map);
    stand_leave(&stand);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    assert_int_equal(access(stand_path(&stand, "foreign"), F_OK), 0);
    assert_int_not_equal(access(stand_path(&stand, "v2"), F_OK), 0);
    assert_int_equal(unlink(stand_path(&stand, "foreign")), 0);
    assert_int_equal(umount(stand.folder), 0);
    assert_int_equal(rmdir(stand.folder), 0);
    stand_done(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_are_roots_and_readable_by_the_group),
        cmocka_unit_test(what_an_agent_left_goes_on_and_is_taken_over),
        cmocka_unit_test(another_group_gets_the_pins),
        cmocka_unit_test(a_second_agent_is_told_of_the_first),
        cmocka_unit_test(a_folder_that_is_not_only_roots_is_refused),
        cmocka_unit_test(nothing_is_mounted_over_files),
        cmocka_unit_test(the_hosts_own_file_system_is_left_alone),
        cmocka_unit_test(parents_let_readers_through),
        cmocka_unit_test(a_squatted_lock_is_refused),
        cmocka_unit_test(foreign_pins_are_not_taken_over),
        cmocka_unit_test(maps_whose_trackers_ended_are_not_taken_over),
        cmocka_unit_test(cleanup_is_complete_and_may_be_repeated),
        cmocka_unit_test(after_cleanup_nothing_is_known),
        cmocka_unit_test(cleanup_leaves_what_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
