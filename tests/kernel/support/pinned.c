/* SPDX-License-Identifier: Apache-2.0 */
#include "pinned.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "flow_key.h"
#include "record.h"

enum { ENTRIES = 64, PATHS = 4, COOKIE = 1000, META_MAPPED = 4096 };

void pin_folder_make(struct pin_folder *ret_folder)
{
    char template[] = "/tmp/synauthz-pins-XXXXXX";

    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("none", "/tmp", "tmpfs", 0, "mode=1777"), 0);
    assert_non_null(mkdtemp(template));
    assert_int_equal(chmod(template, 0755), 0);
    (void)snprintf(ret_folder->path, sizeof(ret_folder->path), "%s/bpf", template);
    assert_int_equal(mkdir(ret_folder->path, 0755), 0);
    assert_int_equal(mount("none", ret_folder->path, "bpf", 0, "mode=0750"), 0);
    assert_int_equal(chown(ret_folder->path, 0, PINNED_GROUP), 0);
}

void pin_folder_remove(struct pin_folder *folder)
{
    assert_int_equal(umount(folder->path), 0);
    assert_int_equal(umount("/tmp"), 0);
}

const char *pin_folder_at(const struct pin_folder *folder, const char *format, ...)
{
    static char paths[PATHS][PINNED_PATH_MAX * 2];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    int length = snprintf(path, sizeof(paths[0]), "%s/", folder->path);
    va_list args;

    va_start(args, format);
    (void)vsnprintf(path + length, sizeof(paths[0]) - (size_t)length, format, args);
    va_end(args);
    return path;
}

static int make(enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries,
                uint32_t flags)
{
    LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
    int fd = bpf_map_create(type, NULL, key, value, entries, &options);

    if (fd < 0)
        fail_msg("cannot make a map: %s", strerror(-fd));
    return fd;
}

static void make_maps(struct capture_maps *ret_maps)
{
    const uint32_t key = sizeof(struct tuple_key);
    int *fd = ret_maps->fd;

    capture_maps_init(ret_maps);
    fd[MAP_PENDING] = make(BPF_MAP_TYPE_LRU_HASH, sizeof(struct pending_key),
                           sizeof(struct syn_record), ENTRIES, 0);
    fd[MAP_LIVE] = make(BPF_MAP_TYPE_HASH, key, sizeof(struct live_entry), ENTRIES, 0);
    fd[MAP_ALIAS] = make(BPF_MAP_TYPE_HASH, key, sizeof(struct alias_entry), ENTRIES, 0);
    fd[MAP_CAPTURED] = make(BPF_MAP_TYPE_LRU_HASH, key, sizeof(struct captured_entry), ENTRIES, 0);
    fd[MAP_PORTS] = make(BPF_MAP_TYPE_ARRAY, 4, sizeof(uint64_t), PORTS_WORDS, 0);
    fd[MAP_PREFIXES] =
        make(BPF_MAP_TYPE_LPM_TRIE, sizeof(struct prefix_key), 1, ENTRIES, BPF_F_NO_PREALLOC);
    fd[MAP_CONFIG] = make(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct capture_config), 1, 0);
    fd[MAP_META] = make(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct capture_meta), 1, BPF_F_MMAPABLE);
    fd[MAP_COUNTERS] =
        make(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(struct capture_counters), COUNTERS_SIZE, 0);
    fd[MAP_WATCH] = make(BPF_MAP_TYPE_ARRAY, 4, sizeof(struct watch_lease), 1, 0);
    fd[MAP_EVENTS] = make(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0);
}

void pinned_set_make(struct pinned_set *ret_set)
{
    const struct capture_config config = {.enabled = 1, .tracked = 1, .captured_ms = 60000};
    const uint64_t all = UINT64_MAX;
    const int *fd = ret_set->maps.fd;

    make_maps(&ret_set->maps);
    for (uint32_t i = 0; i < PORTS_WORDS; i++)
        assert_int_equal(bpf_map_update_elem(fd[MAP_PORTS], &i, &all, BPF_ANY), 0);
    assert_int_equal(bpf_map_update_elem(fd[MAP_CONFIG], &(uint32_t){0}, &config, BPF_ANY), 0);
    ret_set->meta = mmap(NULL, META_MAPPED, PROT_READ | PROT_WRITE, MAP_SHARED, fd[MAP_META], 0);
    assert_true(ret_set->meta != MAP_FAILED);
    assert_int_equal(capture_meta_describe(&ret_set->maps, ret_set->meta), 0);
    ret_set->meta->tracked = 1;
    ret_set->meta->state = CAPTURE_RUNNING;
    pinned_set_beat(ret_set);
}

static void pin(int fd, const char *path)
{
    if (bpf_obj_pin(fd, path) < 0)
        fail_msg("cannot pin %s: %s", path, strerror(errno));
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(chown(path, 0, PINNED_GROUP), 0);
}

void pinned_set_pin(const struct pinned_set *set, const struct pin_folder *folder, const char *name)
{
    assert_int_equal(mkdir(pin_folder_at(folder, "unfinished"), 0750), 0);
    assert_int_equal(chown(pin_folder_at(folder, "unfinished"), 0, PINNED_GROUP), 0);
    for (int map = 0; map < MAP_COUNT_; map++)
        if (set->maps.fd[map] >= 0)
            pin(set->maps.fd[map], pin_folder_at(folder, "unfinished/%s", CAPTURE_MAP_NAMES[map]));
    pin(set->maps.fd[MAP_META], pin_folder_at(folder, "unfinished/link_track_0"));
    assert_int_equal(rename(pin_folder_at(folder, "unfinished"), pin_folder_at(folder, "%s", name)),
                     0);
}

void pinned_set_close(struct pinned_set *set)
{
    assert_int_equal(munmap(set->meta, META_MAPPED), 0);
    capture_maps_close(&set->maps);
}

void pinned_set_remove(const struct pin_folder *folder, const char *name)
{
    const struct dirent *entry;
    DIR *entries = opendir(pin_folder_at(folder, "%s", name));

    assert_non_null(entries);
    while ((entry = readdir(entries)))
        if (entry->d_name[0] != '.')
            assert_int_equal(unlink(pin_folder_at(folder, "%s/%s", name, entry->d_name)), 0);
    (void)closedir(entries);
    assert_int_equal(rmdir(pin_folder_at(folder, "%s", name)), 0);
}

void pinned_set_beat(const struct pinned_set *set)
{
    *(volatile __u64 *)&set->meta->heartbeat_ns = boot_time_ns();
}

void pinned_set_put(const struct pinned_set *set, const struct flow *flow, uint32_t isn)
{
    struct live_entry entry = {
        .version_begin = COOKIE,
        .key = tuple_key_from_flow(flow),
        .claim.owner = COOKIE,
        .syn = {.isn = isn,
                .ip_version = 4,
                .ttl = 64,
                .wire_destination_port_be = htons(flow->destination.port)},
        .has_syn = 1,
        .version_end = COOKIE,
    };

    memcpy(entry.syn.wire_destination, entry.key.destination, sizeof(entry.key.destination));
    assert_int_equal(bpf_map_update_elem(set->maps.fd[MAP_LIVE], &entry.key, &entry, BPF_ANY), 0);
}
