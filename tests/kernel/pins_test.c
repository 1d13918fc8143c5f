/* SPDX-License-Identifier: Apache-2.0 */
/* Pin folders that others have a hand in: what an agent does there, and what it leaves alone. */
#include "pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "map_set.h"
#include "node.h"
#include "pinned.h"
#include "set_owner.h"

enum { STRANGER = 65531, PATH_SIZE = 320, MANY = 5000 };

/* A map of somebody else's. */
static void pin_foreign(const char *path)
{
    CLEANUP(closep) int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);

    assert_true(fd >= 0);
    if (bpf_obj_pin(fd, path) < 0)
        fail_msg("cannot pin %s: %s", path, strerror(errno));
}

static bool is_there(const char *path)
{
    struct stat found;

    return lstat(path, &found) == 0;
}

static struct pins open_pins(const struct pin_folder *folder)
{
    struct diag diag = {.text = ""};
    struct pins pins;

    if (pins_open(folder->path, PINNED_GROUP, &pins, &diag) < 0)
        fail_msg("%s", diag.text);
    return pins;
}

static void assert_refused(const char *path, int error, const char *words)
{
    struct diag diag = {.text = ""};
    unsigned removed = 7;
    struct pins pins;

    assert_int_equal(pins_open(path, PINNED_GROUP, &pins, &diag), error);
    if (!strstr(diag.text, words))
        fail_msg("`%s` does not say `%s`", diag.text, words);
    diag_clear(&diag);
    assert_int_equal(node_cleanup(path, &removed, &diag), error);
    if (!strstr(diag.text, words))
        fail_msg("`%s` does not say `%s`", diag.text, words);
    assert_int_equal(removed, 0);
}

static unsigned clean_up(const char *path)
{
    struct diag diag = {.text = ""};
    unsigned removed;

    if (node_cleanup(path, &removed, &diag) < 0)
        fail_msg("%s", diag.text);
    return removed;
}

/* How many pins pinned_set_pin() makes: the maps that there are, and a link. */
static unsigned pins_of(const struct pinned_set *set)
{
    unsigned pins = 1;

    for (int map = 0; map < MAP_COUNT_; map++)
        pins += set->maps.fd[map] >= 0;
    return pins;
}

/* --- the way there ---------------------------------------------------------------------------- */

static const char *above(const struct pin_folder *folder)
{
    static char path[PINNED_PATH_MAX / 2];

    assert_true(strlen(folder->path) < sizeof(path));
    (void)snprintf(path, sizeof(path), "%.*s", (int)(strrchr(folder->path, '/') - folder->path),
                   folder->path);
    return path;
}

static void a_way_that_somebody_else_could_change_is_refused(void **state)
{
    struct pin_folder folder;

    (void)state;
    pin_folder_make(&folder);
    assert_int_equal(chown(above(&folder), STRANGER, 0), 0);
    assert_refused(folder.path, -EPERM, "belongs to user 65531");
    assert_int_equal(chown(above(&folder), 0, 0), 0);
    assert_int_equal(chmod(above(&folder), 0775), 0);
    assert_refused(folder.path, -EPERM, "written by others");
    assert_false(is_there(pin_folder_at(&folder, "lock")));
    pin_folder_remove(&folder);
}

static void a_link_is_refused_as_any_part_of_the_way(void **state)
{
    struct pin_folder folder;

    (void)state;
    pin_folder_make(&folder);
    assert_int_equal(symlink(folder.path, "/tmp/last"), 0);
    assert_refused("/tmp/last", -EPERM, "symbolic link");
    assert_int_equal(symlink(above(&folder), "/tmp/first"), 0);
    assert_refused("/tmp/first/bpf", -EPERM, "symbolic link");
    pin_folder_remove(&folder);
}

/* Once opened, pins are those of the folder that it was, whatever has its name. */
static void nothing_else_is_touched_when_the_name_leads_elsewhere(void **state)
{
    char moved[PATH_SIZE], victim[PATH_SIZE];
    struct pin_folder folder;
    struct pinned_set set;
    struct pins pins;
    unsigned removed = 0;
    int fd;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    pins = open_pins(&folder);
    (void)snprintf(moved, sizeof(moved), "%s.moved", above(&folder));
    (void)snprintf(victim, sizeof(victim), "%s/bpf/v2/precious", above(&folder));
    assert_int_equal(rename(above(&folder), moved), 0);
    assert_int_equal(mkdir(above(&folder), 0755), 0);
    assert_int_equal(mkdir(folder.path, 0755), 0);
    assert_int_equal(mkdir(pin_folder_at(&folder, "v2"), 0755), 0);
    fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);

    assert_false(pins_are_ours(&pins));
    assert_int_equal(pins_put(&pins, "v2", "again", set.maps.fd[MAP_META], PIN_MAP), 0);
    assert_true(pins_has(&pins, "v2", "again"));
    assert_int_equal(pins_remove_set(&pins, "v2", &removed), 0);
    assert_int_equal(removed, pins_of(&set) + 1);
    assert_true(is_there(victim));
    assert_false(is_there(pin_folder_at(&folder, "v2/again")));
    assert_false(pins_has(&pins, NULL, "v2"));

    pins_close(&pins);
    pinned_set_close(&set);
    assert_int_equal(unlink(victim), 0);
    (void)strcat(moved, "/bpf");
    assert_int_equal(umount(moved), 0);
    assert_int_equal(umount("/tmp"), 0);
}

static void a_set_that_is_a_link_is_not_followed(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    unsigned removed = 0;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "elsewhere");
    pins = open_pins(&folder);
    assert_int_equal(symlink(pin_folder_at(&folder, "elsewhere"), pin_folder_at(&folder, "v2")), 0);
    assert_false(set_is_ours(&pins, "v2"));
    assert_true(pins_remove_set(&pins, "v2", &removed) < 0);
    assert_true(pins_get(&pins, "v2", "meta") < 0);
    assert_true(pins_make_set(&pins, "v2") < 0);
    assert_int_equal(removed, 0);
    assert_true(is_there(pin_folder_at(&folder, "elsewhere/meta")));
    pins_close(&pins);
    pinned_set_remove(&folder, "elsewhere");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

/* --- whose it is ------------------------------------------------------------------------------ */

static void a_set_is_known_by_its_meta(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2-7");
    pins = open_pins(&folder);
    assert_true(set_is_ours(&pins, "v2-7"));

    pinned_set_pin(&set, &folder, "other");
    assert_false(set_is_ours(&pins, "other"));
    assert_false(set_is_ours(&pins, "v3"));

    assert_int_equal(mkdir(pin_folder_at(&folder, "v1"), 0750), 0);
    assert_true(set_is_ours(&pins, "v1")); /* empty */
    assert_int_equal(chmod(pin_folder_at(&folder, "v1"), 0755), 0);
    assert_false(set_is_ours(&pins, "v1"));
    pin_foreign(pin_folder_at(&folder, "v1/meta"));
    assert_false(set_is_ours(&pins, "v1"));
    assert_int_equal(unlink(pin_folder_at(&folder, "v1/meta")), 0);
    assert_int_equal(bpf_obj_pin(set.maps.fd[MAP_META], pin_folder_at(&folder, "v1/meta")), 0);
    assert_true(set_is_ours(&pins, "v1"));
    set.meta->magic ^= 1;
    assert_false(set_is_ours(&pins, "v1"));
    set.meta->magic ^= 1;
    assert_int_equal(chmod(pin_folder_at(&folder, "v1"), 0770), 0);
    assert_false(set_is_ours(&pins, "v1"));
    assert_int_equal(chmod(pin_folder_at(&folder, "v1"), 0750), 0);
    assert_int_equal(chown(pin_folder_at(&folder, "v1/meta"), STRANGER, 0), 0);
    assert_false(set_is_ours(&pins, "v1"));

    pins_close(&pins);
    pinned_set_remove(&folder, "v1");
    pinned_set_remove(&folder, "v2-7");
    pinned_set_remove(&folder, "other");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void what_others_pinned_stays_and_its_names_are_not_used(void **state)
{
    CLEANUP(map_sets_done) struct map_sets sets = {0};
    struct pin_folder folder;
    struct pinned_set set;
    struct set_name next;
    struct pins pins;
    char names[64];

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(mkdir(pin_folder_at(&folder, "v1"), 0755), 0);
    assert_int_equal(mkdir(pin_folder_at(&folder, "v2-1"), 0755), 0);
    pin_foreign(pin_folder_at(&folder, "v1/foo"));
    pin_foreign(pin_folder_at(&folder, "v2-1/bar"));
    pin_foreign(pin_folder_at(&folder, "alone"));

    pins = open_pins(&folder);
    assert_int_equal(map_sets_open(&pins, &sets), 0);
    assert_int_equal(sets.count, 1);
    assert_int_equal(sets.taken_count, 2);
    next = map_sets_next_name(&sets);
    assert_int_equal(next.layout, 2);
    assert_int_equal(next.number, 2);
    assert_int_equal(pins_list_foreign(&pins, true, names, sizeof(names)), 2);
    assert_non_null(strstr(names, "v2-1"));
    assert_null(strstr(names, "alone"));
    assert_int_equal(pins_list_foreign(&pins, false, names, sizeof(names)), 3);
    assert_non_null(strstr(names, "alone"));
    assert_int_equal(pins_list_foreign(&pins, false, names, 10), 3);
    assert_non_null(strstr(names, "..."));
    pins_close(&pins);

    assert_int_equal(clean_up(folder.path), pins_of(&set));
    assert_false(is_there(pin_folder_at(&folder, "v2")));
    assert_false(is_there(pin_folder_at(&folder, "lock")));
    assert_true(is_there(pin_folder_at(&folder, "v1/foo")));
    assert_true(is_there(pin_folder_at(&folder, "v2-1/bar")));
    assert_true(is_there(pin_folder_at(&folder, "alone")));
    pinned_set_remove(&folder, "v1");
    pinned_set_remove(&folder, "v2-1");
    assert_int_equal(unlink(pin_folder_at(&folder, "alone")), 0);
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void an_unfinished_set_of_somebody_else_is_in_the_way(void **state)
{
    struct diag diag = {.text = ""};
    struct pin_folder folder;
    struct pinned_set set;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    assert_int_equal(mkdir(pin_folder_at(&folder, PINS_UNFINISHED), 0755), 0);
    pin_foreign(pin_folder_at(&folder, PINS_UNFINISHED "/foo"));
    assert_int_equal(pins_open(folder.path, PINNED_GROUP, &pins, &diag), -EEXIST);
    assert_non_null(strstr(diag.text, PINS_UNFINISHED));
    assert_true(is_there(pin_folder_at(&folder, PINS_UNFINISHED "/foo")));
    assert_int_equal(clean_up(folder.path), 0);
    assert_true(is_there(pin_folder_at(&folder, PINS_UNFINISHED "/foo")));

    /* one that was killed on the way */
    assert_int_equal(unlink(pin_folder_at(&folder, PINS_UNFINISHED "/foo")), 0);
    assert_int_equal(bpf_obj_pin(set.maps.fd[MAP_META],
                                 pin_folder_at(&folder, PINS_UNFINISHED "/" PINS_FRESH "meta")),
                     0);
    assert_int_equal(clean_up(folder.path), 1);
    assert_false(is_there(pin_folder_at(&folder, PINS_UNFINISHED)));
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

/* --- the root of a file system ---------------------------------------------------------------- */

static void assert_root(const struct pin_folder *folder, mode_t mode, gid_t group)
{
    struct stat found;

    assert_int_equal(stat(folder->path, &found), 0);
    assert_int_equal(found.st_mode & 07777, mode);
    assert_int_equal(found.st_gid, group);
}

static void the_mode_of_a_shared_root_is_not_changed(void **state)
{
    static const struct {
        mode_t mode;
        gid_t group;
        bool suits;
    } ROWS[] = {
        {0750, PINNED_GROUP, true},  {01755, 0, true}, {0700, 0, false}, {0750, 0, false},
        {0705, PINNED_GROUP, false},
    };
    struct diag diag = {.text = ""};
    struct pin_folder folder;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_int_equal(chown(folder.path, 0, ROWS[i].group), 0);
        assert_int_equal(chmod(folder.path, ROWS[i].mode), 0);
        if (ROWS[i].suits) {
            pins = open_pins(&folder);
            pins_close(&pins);
        } else {
            assert_int_equal(pins_open(folder.path, PINNED_GROUP, &pins, &diag), -EINVAL);
        }
        assert_root(&folder, ROWS[i].mode, ROWS[i].group);
    }
    assert_non_null(strstr(diag.text, "others use as well"));
    pin_folder_remove(&folder);
}

/* Nothing is mounted over it either, where the host has none. */
static void the_host_s_is_refused_mounted_or_not(void **state)
{
    struct diag diag = {.text = ""};
    struct pin_folder folder;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    while (umount2("/sys/fs/bpf", MNT_DETACH) == 0)
        ;
    assert_false(bpffs_holds("/sys/fs/bpf"));
    assert_int_equal(pins_open("/sys/fs/bpf", PINNED_GROUP, &pins, &diag), -EINVAL);
    assert_non_null(strstr(diag.text, "/sys/fs/bpf/synauthz"));
    assert_false(bpffs_holds("/sys/fs/bpf"));
    assert_int_equal(mount("none", "/sys/fs/bpf", "bpf", 0, "mode=0755"), 0);
    assert_int_equal(pins_open("/sys/fs/bpf", PINNED_GROUP, &pins, &diag), -EINVAL);
    assert_int_equal(umount("/sys/fs/bpf"), 0);
    pin_folder_remove(&folder);
}

/* Also where it is mounted again elsewhere, as into a container. */
static void a_folder_in_it_is_an_agent_s(void **state)
{
    struct pin_folder folder, inner;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    (void)snprintf(inner.path, sizeof(inner.path), "%s/bound", above(&folder));
    assert_int_equal(mkdir(inner.path, 0755), 0);
    assert_int_equal(mkdir(pin_folder_at(&folder, "agent"), 0755), 0);
    assert_int_equal(mount(pin_folder_at(&folder, "agent"), inner.path, NULL, MS_BIND, NULL), 0);
    pins = open_pins(&inner);
    assert_root(&inner, 0750, PINNED_GROUP);
    pins_close(&pins);
    assert_int_equal(clean_up(inner.path), 0);
    assert_true(is_there(pin_folder_at(&folder, "agent"))); /* somebody mounted it */
    assert_int_equal(umount(inner.path), 0);
    assert_int_equal(clean_up(pin_folder_at(&folder, "agent")), 0);
    assert_false(is_there(pin_folder_at(&folder, "agent")));
    pin_folder_remove(&folder);
}

/* --- the end of it ---------------------------------------------------------------------------- */

/* However the path is written. */
static void what_an_agent_mounted_is_unmounted(void **state)
{
    static const char *const ENDS[] = {"own", "own/", "/own", "./own/."};
    struct pin_folder folder;
    struct pins pins;

    (void)state;
    pin_folder_make(&folder);
    for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++) {
        struct pin_folder own;
        char path[PATH_SIZE];

        (void)snprintf(own.path, sizeof(own.path), "%s/own", above(&folder));
        (void)snprintf(path, sizeof(path), "%s/%s", above(&folder), ENDS[i]);
        pins = open_pins(&own);
        assert_root(&own, 0750, PINNED_GROUP);
        pins_close(&pins);
        assert_int_equal(clean_up(path), 0);
        assert_false(is_there(own.path));
    }
    pin_folder_remove(&folder);
}

/* Somebody's folder in a set stays, and the set's with it; all pins go. */
static void a_folder_in_a_set_does_not_keep_the_pins(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    pinned_set_pin(&set, &folder, "v2-1");
    assert_int_equal(mkdir(pin_folder_at(&folder, "v2/a"), 0755), 0);
    pin_foreign(pin_folder_at(&folder, "v2/a/foo"));
    assert_int_equal(clean_up(folder.path), 2 * pins_of(&set));
    assert_true(is_there(pin_folder_at(&folder, "v2/a/foo")));
    assert_int_equal(rmdir(pin_folder_at(&folder, "v2/a")), -1);
    assert_int_equal(unlink(pin_folder_at(&folder, "v2/a/foo")), 0);
    assert_int_equal(rmdir(pin_folder_at(&folder, "v2/a")), 0);
    assert_int_equal(rmdir(pin_folder_at(&folder, "v2")), 0);
    assert_false(is_there(pin_folder_at(&folder, "v2-1")));
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void there_may_be_any_number_of_pins(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    struct pins pins;
    char names[16];

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(mkdir(pin_folder_at(&folder, "other%u", i), 0755), 0);
        assert_int_equal(bpf_obj_pin(set.maps.fd[MAP_META], pin_folder_at(&folder, "v2/copy%u", i)),
                         0);
    }
    pins = open_pins(&folder);
    assert_int_equal(pins_list_foreign(&pins, false, names, sizeof(names)), MANY);
    pins_close(&pins);
    assert_int_equal(clean_up(folder.path), MANY + pins_of(&set));
    assert_false(is_there(pin_folder_at(&folder, "v2")));
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(rmdir(pin_folder_at(&folder, "other%u", i)), 0);
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_way_that_somebody_else_could_change_is_refused),
        cmocka_unit_test(a_link_is_refused_as_any_part_of_the_way),
        cmocka_unit_test(nothing_else_is_touched_when_the_name_leads_elsewhere),
        cmocka_unit_test(a_set_that_is_a_link_is_not_followed),
        cmocka_unit_test(a_set_is_known_by_its_meta),
        cmocka_unit_test(what_others_pinned_stays_and_its_names_are_not_used),
        cmocka_unit_test(an_unfinished_set_of_somebody_else_is_in_the_way),
        cmocka_unit_test(the_mode_of_a_shared_root_is_not_changed),
        cmocka_unit_test(the_host_s_is_refused_mounted_or_not),
        cmocka_unit_test(a_folder_in_it_is_an_agent_s),
        cmocka_unit_test(what_an_agent_mounted_is_unmounted),
        cmocka_unit_test(a_folder_in_a_set_does_not_keep_the_pins),
        cmocka_unit_test(there_may_be_any_number_of_pins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
