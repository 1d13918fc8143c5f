/* SPDX-License-Identifier: Apache-2.0 */
/* Which set a reader opens, what it may do with it, and what it does not believe. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "pin_reader.h"
#include "pinned.h"
#include "record.h"

static unsigned id_of(const struct pinned_set *set)
{
    return pin_reader_map_id(set->maps.fd[MAP_META]);
}

/* What pin_reader_open() answers; the maps are closed again. */
static int try_open(const char *pin_dir, unsigned *ret_id, struct diag *diag)
{
    struct capture_maps maps;
    int r;

    capture_maps_init(&maps);
    *diag = (struct diag){0};
    r = pin_reader_open(pin_dir, &maps, diag);
    *ret_id = pin_reader_map_id(maps.fd[MAP_META]);
    assert_true((r < 0) == (diag->text[0] != '\0'));
    capture_maps_close(&maps);
    return r;
}

static void assert_opens(const struct pin_folder *folder, const struct pinned_set *set)
{
    struct diag diag;
    struct pin_sight sight;
    unsigned id;

    if (try_open(folder->path, &id, &diag) < 0)
        fail_msg("%s", diag.text);
    assert_int_equal(id, id_of(set));
    assert_int_equal(pin_reader_look(folder->path, &sight, NULL), 0);
    assert_int_equal(sight.id, id);
}

/* Both ways of looking fail alike, and the message says `words`. */
static void assert_refused(const char *pin_dir, int error, const char *words)
{
    struct pin_sight sight;
    struct diag diag;
    unsigned id;

    assert_int_equal(try_open(pin_dir, &id, &diag), error);
    assert_int_equal(pin_reader_look(pin_dir, &sight, NULL), error);
    if (!strstr(diag.text, words))
        fail_msg("`%s` does not say `%s`", diag.text, words);
}

static void the_newest_set_is_the_one(void **state)
{
    static const char *const NAMES[] = {"v1", "v2", "v2-1", "v2-9", "v2-10", "v3", "v10"};
    enum { COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };
    struct pinned_set sets[COUNT];
    struct pin_folder folder;

    (void)state;
    pin_folder_make(&folder);
    for (size_t i = 0; i < COUNT; i++) {
        pinned_set_make(&sets[i]);
        pinned_set_pin(&sets[i], &folder, NAMES[i]);
        assert_opens(&folder, &sets[i]);
    }
    for (size_t i = COUNT; i-- > 1;) {
        pinned_set_remove(&folder, NAMES[i]);
        assert_opens(&folder, &sets[i - 1]);
    }
    pinned_set_remove(&folder, NAMES[0]);
    for (size_t i = 0; i < COUNT; i++)
        pinned_set_close(&sets[i]);
    pin_folder_remove(&folder);
}

static void other_names_are_no_sets(void **state)
{
    static const char *const NAMES[] = {"unfinished", "v",    "v02",   "v2-", "v2-0",      "v2-01",
                                        "v2-1-1",     "v2_1", "v2-x",  "v2 ", "V3",        "2",
                                        "w2",         "v-1",  "v2-1a", "vv3", "lock-watch"};
    struct pin_folder folder;
    struct pinned_set set;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        pinned_set_pin(&set, &folder, NAMES[i]);
        assert_refused(folder.path, -ENOENT, "nothing is pinned");
        pinned_set_remove(&folder, NAMES[i]);
    }
    pinned_set_pin(&set, &folder, "v2");
    assert_opens(&folder, &set);
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

/* A newer set that is not ours, or not in use, leaves the older one. */
static void sets_that_are_not_in_use_are_passed_over(void **state)
{
    struct pinned_set old, new;
    struct pin_folder folder;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&old);
    pinned_set_make(&new);
    pinned_set_pin(&new, &folder, "v2-1");

    new.meta->state = CAPTURE_DEGRADED;
    assert_opens(&folder, &new);
    new.meta->state = CAPTURE_STARTING;
    assert_refused(folder.path, -ENOENT, "set up");
    new.meta->state = CAPTURE_ENDED;
    assert_refused(folder.path, -ESTALE, "ended");
    new.meta->state = CAPTURE_RUNNING;
    new.meta->boot_id[0] ^= 1;
    assert_refused(folder.path, -ESTALE, "another boot");
    new.meta->boot_id[0] ^= 1;
    new.meta->magic ^= 1;
    assert_refused(folder.path, -EPROTO, "versions");
    new.meta->magic ^= 1;
    new.meta->reader_layout++;
    assert_refused(folder.path, -EPROTO, "layout");

    pinned_set_pin(&old, &folder, "v2");
    assert_opens(&folder, &old);
    new.meta->reader_layout--;
    assert_opens(&folder, &new);
    pinned_set_remove(&folder, "v2");
    pinned_set_remove(&folder, "v2-1");
    pinned_set_close(&old);
    pinned_set_close(&new);
    pin_folder_remove(&folder);
}

static void maps_are_complete_and_of_our_shape(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    struct diag diag;
    unsigned id;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(unlink(pin_folder_at(&folder, "v2/alias")), 0);
    assert_int_equal(try_open(folder.path, &id, &diag), -ENOENT);
    assert_non_null(strstr(diag.text, "v2/alias"));
    assert_int_equal(bpf_obj_pin(set.maps.fd[MAP_LIVE], pin_folder_at(&folder, "v2/alias")), 0);
    assert_int_equal(try_open(folder.path, &id, &diag), -EPROTO);
    assert_non_null(strstr(diag.text, "v2/alias"));
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

/* --- what anybody but root could have made ---------------------------------------------------- */

static void what_is_not_root_s_is_not_believed(void **state)
{
    static const char *const PARTS[] = {"", "v2", "v2/meta", "v2/live"};
    struct pin_folder folder;
    struct pinned_set set;
    struct diag diag;
    unsigned id;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
        const char *path = pin_folder_at(&folder, "%s", PARTS[i]);
        struct stat before;

        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(chown(path, 65534, PINNED_GROUP), 0);
        assert_int_equal(try_open(folder.path, &id, &diag), -EPERM);
        assert_non_null(strstr(diag.text, "belongs to user 65534"));
        assert_int_equal(chown(path, 0, PINNED_GROUP), 0);

        for (mode_t bit = S_IWOTH; bit <= S_IWGRP; bit <<= 3) { /* 0002, 0020 */
            assert_int_equal(chmod(path, before.st_mode | bit), 0);
            assert_int_equal(try_open(folder.path, &id, &diag), -EPERM);
            assert_non_null(strstr(diag.text, "written by others"));
        }
        assert_int_equal(chmod(path, before.st_mode), 0);
        assert_opens(&folder, &set);
    }
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void links_lead_nowhere(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    struct diag diag;
    unsigned id;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(symlink(folder.path, "/tmp/link"), 0);
    assert_refused("/tmp/link", -EPERM, "not a folder");
    assert_int_equal(unlink("/tmp/link"), 0);

    assert_int_equal(symlink(pin_folder_at(&folder, "v2"), pin_folder_at(&folder, "v3")), 0);
    assert_opens(&folder, &set); /* v3 is passed over */
    assert_int_equal(unlink(pin_folder_at(&folder, "v3")), 0);

    assert_int_equal(unlink(pin_folder_at(&folder, "v2/live")), 0);
    assert_int_equal(symlink("alias", pin_folder_at(&folder, "v2/live")), 0);
    assert_int_equal(try_open(folder.path, &id, &diag), -EPERM);
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void nothing_is_explained(void **state)
{
    struct pin_folder folder;

    (void)state;
    pin_folder_make(&folder);
    assert_refused(folder.path, -ENOENT, "nothing is pinned");
    assert_refused("/tmp/absent", -ENOENT, "no agent has run");
    assert_refused("/tmp", -ENOENT, "no bpffs");
    pin_folder_remove(&folder);
}

/* --- as nobody -------------------------------------------------------------------------------- */

/* Runs `act` in a child that is uid 65534 with one group and returns what it returned. */
static int as_nobody(gid_t group, int (*act)(const struct pin_folder *folder),
                     const struct pin_folder *folder)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (setgroups(1, &group) < 0 || setresgid(65534, 65534, 65534) < 0 ||
            setresuid(65534, 65534, 65534) < 0)
            _exit(100);
        _exit(act(folder));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int read_and_try_to_write(const struct pin_folder *folder)
{
    struct capture_maps maps, writable;
    struct capture_config config;
    struct capture_meta meta;
    struct live_entry entry = {0};
    struct diag diag = {0};

    capture_maps_init(&maps);
    if (pin_reader_open(folder->path, &maps, &diag) < 0)
        return 1;
    if (bpf_map_lookup_elem(maps.fd[MAP_CONFIG], &(uint32_t){0}, &config) < 0 || !config.enabled)
        return 2;
    if (capture_meta_read(&maps, &meta) < 0 || meta.magic != META_MAGIC)
        return 3;
    if (bpf_map_update_elem(maps.fd[MAP_LIVE], &entry.key, &entry, BPF_ANY) == 0 || errno != EPERM)
        return 4;
    if (bpf_map_delete_elem(maps.fd[MAP_LIVE], &entry.key) == 0 || errno != EPERM)
        return 5;
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, maps.fd[MAP_META], 0) != MAP_FAILED)
        return 6;
    if (pin_reader_open_watch(folder->path, &writable, &diag) != -EACCES)
        return 8;
    return 0;
}

static int is_refused_by_group(const struct pin_folder *folder)
{
    struct capture_maps maps;
    struct diag diag = {0};

    if (pin_reader_open(folder->path, &maps, &diag) != -EACCES)
        return 1;
    return strstr(diag.text, "group 4242") ? 0 : 2;
}

static int is_refused_by_a_folder_above(const struct pin_folder *folder)
{
    struct capture_maps maps;
    struct diag diag = {0};

    if (pin_reader_open(folder->path, &maps, &diag) != -EACCES)
        return 1;
    return strstr(diag.text, "above") ? 0 : 2;
}

static void nobody_reads_by_group_and_writes_nothing(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(as_nobody(PINNED_GROUP, read_and_try_to_write, &folder), 0);
    assert_int_equal(as_nobody(PINNED_GROUP + 1, is_refused_by_group, &folder), 0);
    assert_int_equal(chmod("/tmp", 0700), 0);
    assert_int_equal(as_nobody(PINNED_GROUP, is_refused_by_a_folder_above, &folder), 0);
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

/* --- the rest --------------------------------------------------------------------------------- */

static void watchers_open_for_writing(void **state)
{
    const struct watch_lease lease = {.until_ns = 1};
    struct capture_maps maps;
    struct pin_folder folder;
    struct pinned_set set;
    struct diag diag = {0};

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(pin_reader_open_watch(folder.path, &maps, &diag), 0);
    assert_int_equal(bpf_map_update_elem(maps.fd[MAP_WATCH], &(uint32_t){0}, &lease, BPF_ANY), 0);
    assert_true(maps.fd[MAP_EVENTS] >= 0 && maps.fd[MAP_META] >= 0);
    assert_int_equal(maps.fd[MAP_LIVE], -1);
    capture_maps_close(&maps);
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

static void the_tracker_s_link_is_seen(void **state)
{
    struct pin_folder folder;
    struct pinned_set set;
    struct pin_sight sight;

    (void)state;
    pin_folder_make(&folder);
    pinned_set_make(&set);
    pinned_set_pin(&set, &folder, "v2");
    assert_int_equal(pin_reader_look(folder.path, &sight, NULL), 0);
    assert_true(sight.tracker_is_pinned);
    assert_int_equal(unlink(pin_folder_at(&folder, "v2/link_track_0")), 0);
    assert_int_equal(bpf_obj_pin(set.maps.fd[MAP_META], pin_folder_at(&folder, "v2/link_xdp_1")),
                     0);
    assert_int_equal(pin_reader_look(folder.path, &sight, NULL), 0);
    assert_false(sight.tracker_is_pinned);
    pinned_set_remove(&folder, "v2");
    pinned_set_close(&set);
    pin_folder_remove(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_set_is_the_one),
        cmocka_unit_test(other_names_are_no_sets),
        cmocka_unit_test(sets_that_are_not_in_use_are_passed_over),
        cmocka_unit_test(maps_are_complete_and_of_our_shape),
        cmocka_unit_test(what_is_not_root_s_is_not_believed),
        cmocka_unit_test(links_lead_nowhere),
        cmocka_unit_test(nothing_is_explained),
        cmocka_unit_test(nobody_reads_by_group_and_writes_nothing),
        cmocka_unit_test(watchers_open_for_writing),
        cmocka_unit_test(the_tracker_s_link_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
