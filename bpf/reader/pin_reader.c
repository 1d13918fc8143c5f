/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_reader.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "cleanup.h"
#include "pin_names.h"
#include "set_name.h"
#include "trusted_path.h"

/* A folder, and how messages call it. */
struct folder {
    int fd; /* -1: not open */
    char path[PATH_MAX];
};

static void folder_done(struct folder *folder)
{
    closep(&folder->fd);
}

static void closedirp(DIR **folder)
{
    if (*folder)
        (void)closedir(*folder);
}

/* --- what may be believed --------------------------------------------------------------------- */

/* Could anybody but root have made or changed it?  `path` is what the message calls it. */
static int check_owner(const struct stat *status, const char *path, struct diag *diag)
{
    if (status->st_uid != 0)
        return diag_set(diag, -EPERM,
                        "%s belongs to user %u, not to root: it is not the agent's; remove it and "
                        "start the agent",
                        path, (unsigned)status->st_uid);
    if (status->st_mode & (S_IWGRP | S_IWOTH))
        return diag_set(diag, -EPERM,
                        "%s may be written by others than root (mode %04o): whatever is in it is "
                        "not believed; name a folder that the agent has made",
                        path, (unsigned)(status->st_mode & 07777));
    return 0;
}

/* Why this user was refused. `status` NULL: not even the owner can be seen. */
static int explain_refusal(const struct stat *status, const char *path, struct diag *diag)
{
    const struct group *group = status ? getgrgid(status->st_gid) : NULL;

    if (!status)
        return diag_set(diag, -EACCES,
                        "%s: a folder above it is closed to this user (many systems keep "
                        "/sys/fs/bpf for root); let the agent use its own bpffs, or mount the "
                        "folder where this user may reach it",
                        path);
    if (group)
        return diag_set(diag, -EACCES,
                        "%s may only be read by root and by members of the group %s: run with "
                        "that group, or give the agent --group",
                        path, group->gr_name);
    return diag_set(diag, -EACCES,
                    "%s may only be read by root and by members of the group %u: run with that "
                    "group, or give the agent --group",
                    path, (unsigned)status->st_gid);
}

static int explain_folder(int error, int at, const char *name, const char *path, struct diag *diag)
{
    struct stat status;

    switch (error) {
    case ENOENT:
        return diag_set(diag, -ENOENT,
                        "%s is not there: no agent has run (synauthz agent), or it pins elsewhere "
                        "(--pin-dir)",
                        path);
    case EACCES:
        return explain_refusal(fstatat(at, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ? NULL : &status,
                               path, diag);
    case ELOOP:
    case ENOTDIR:
        return diag_set(diag, -EPERM,
                        "%s is not a folder: name the folder itself, links are not followed", path);
    default:
        return diag_set(diag, -error, "%s: %s", path, strerror(error));
    }
}

/* Opens `name` in `at`; `path` is copied for messages.  On failure the folder stays closed. */
static int open_folder(int at, const char *name, const char *path, struct folder *ret_folder,
                       struct diag *diag)
{
    CLEANUP(closep)
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statfs system;
    struct stat status;
    int r;

    if (fd < 0)
        return explain_folder(errno, at, name, path, diag);
    if (fstatfs(fd, &system) < 0 || fstat(fd, &status) < 0)
        return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
    if (system.f_type != BPF_FS_MAGIC)
        return diag_set(diag, -ENOENT,
                        "%s is no bpffs: no agent has run, or what it mounted there cannot be seen "
                        "from here (another mount namespace)",
                        path);
    r = check_owner(&status, path, diag);
    if (r < 0)
        return r;
    (void)snprintf(ret_folder->path, sizeof(ret_folder->path), "%s", path);
    ret_folder->fd = take_fd(&fd);
    return 0;
}

/* --- one pin ---------------------------------------------------------------------------------- */

static int explain_pin(int error, const struct stat *status, const char *path, struct diag *diag)
{
    switch (error) {
    case EACCES:
        return explain_refusal(status, path, diag);
    case EPERM:
        return diag_set(diag, -EPERM,
                        "%s: the kernel refuses bpf() to this process.  Before Linux 5.19 it takes "
                        "CAP_BPF; in a container the seccomp profile may refuse it, too (those of "
                        "most runtimes allow it once BPF is among the container's capabilities)",
                        path);
    case ENOENT:
        return diag_set(diag, -ENOENT, "%s cannot be opened through /proc: is it mounted?", path);
    default:
        return diag_set(diag, -error, "%s: %s", path, strerror(error));
    }
}

/* `flags` are those of BPF_OBJ_GET.  The way through /proc leads to the folder that was checked,
 * whatever has become of its name. */
static int open_pin(const struct folder *set, const char *name, uint32_t flags, int *ret_fd,
                    struct diag *diag)
{
    LIBBPF_OPTS(bpf_obj_get_opts, options, .file_flags = flags);
    char path[PATH_MAX + NAME_MAX + 2], by_fd[FOLDER_ENTRY_MAX];
    struct stat status;
    int fd, r;

    (void)snprintf(path, sizeof(path), "%s/%s", set->path, name);
    if (fstatat(set->fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return diag_set(diag, -errno, "%s: %s; this set of maps is not complete", path,
                        strerror(errno));
    r = check_owner(&status, path, diag);
    if (r < 0)
        return r;
    if (!S_ISREG(status.st_mode))
        return diag_set(diag, -EPERM, "%s is no pin but something else", path);
    if (!folder_entry_path(set->fd, name, by_fd))
        return diag_set(diag, -ENAMETOOLONG, "%s: the name is too long", path);
    fd = bpf_obj_get_opts(by_fd, &options);
    if (fd < 0)
        return explain_pin(-fd, &status, path, diag);
    *ret_fd = fd;
    return 0;
}

/* What a map has to be, so that what we read from it fits where we put it. */
static const struct shape {
    uint32_t type, key_size, value_size;
} SHAPES[MAP_COUNT_] = {
    [MAP_LIVE] = {BPF_MAP_TYPE_HASH, sizeof(struct tuple_key), sizeof(struct live_entry)},
    [MAP_ALIAS] = {BPF_MAP_TYPE_HASH, sizeof(struct tuple_key), sizeof(struct alias_entry)},
    [MAP_CAPTURED] = {BPF_MAP_TYPE_LRU_HASH, sizeof(struct tuple_key),
                      sizeof(struct captured_entry)},
    [MAP_PORTS] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(uint64_t)},
    [MAP_PREFIXES] = {BPF_MAP_TYPE_LPM_TRIE, sizeof(struct prefix_key), sizeof(uint8_t)},
    [MAP_CONFIG] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct capture_config)},
    [MAP_META] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct capture_meta)},
    [MAP_COUNTERS] = {BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(uint32_t), sizeof(struct capture_counters)},
    [MAP_WATCH] = {BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct watch_lease)},
    [MAP_EVENTS] = {BPF_MAP_TYPE_RINGBUF, 0, 0},
};

static int get_info(int map_fd, struct bpf_map_info *ret_info)
{
    uint32_t length = sizeof(*ret_info);

    *ret_info = (struct bpf_map_info){0};
    return bpf_obj_get_info_by_fd(map_fd, ret_info, &length) < 0 ? -errno : 0;
}

static bool has_shape(int map_fd, const struct shape *shape)
{
    struct bpf_map_info info;

    return get_info(map_fd, &info) == 0 && info.type == shape->type &&
           info.key_size == shape->key_size && info.value_size == shape->value_size;
}

unsigned pin_reader_map_id(int map_fd)
{
    struct bpf_map_info info;

    return get_info(map_fd, &info) < 0 ? 0 : info.id;
}

static int open_map(const struct folder *set, enum capture_map map, uint32_t flags,
                    struct capture_maps *maps, struct diag *diag)
{
    int r = open_pin(set, CAPTURE_MAP_NAMES[map], flags, &maps->fd[map], diag);

    if (r == 0 && !has_shape(maps->fd[map], &SHAPES[map]))
        r = diag_set(diag, -EPROTO,
                     "%s/%s has another layout than this program reads: agent and server are of "
                     "different versions",
                     set->path, CAPTURE_MAP_NAMES[map]);
    return r;
}

/* --- one set ---------------------------------------------------------------------------------- */

static int check_meta(const struct capture_meta *meta, const struct folder *set, struct diag *diag)
{
    if (meta->magic != META_MAGIC || meta->reader_layout != READER_LAYOUT)
        return diag_set(diag, -EPROTO,
                        "%s has layout %u for readers, this program reads layout %u: agent and "
                        "server are of different versions",
                        set->path, meta->reader_layout, (unsigned)READER_LAYOUT);
    if (capture_meta_is_usable(meta))
        return 0;
    if (meta->state == CAPTURE_STARTING)
        return diag_set(diag, -ENOENT, "%s is still being set up by an agent", set->path);
    return diag_set(diag, -ESTALE,
                    "capture has ended in %s (synauthz cleanup, or another boot): start the agent",
                    set->path);
}

static int open_meta(const struct folder *set, struct capture_maps *maps, struct diag *diag)
{
    struct capture_meta meta;
    int r = open_map(set, MAP_META, BPF_F_RDONLY, maps, diag);

    if (r < 0)
        return r;
    r = capture_meta_read(maps, &meta);
    if (r < 0)
        return diag_set(diag, r, "%s/%s: %s", set->path, CAPTURE_MAP_NAMES[MAP_META], strerror(-r));
    return check_meta(&meta, set, diag);
}

/* What is to be opened of a set, besides its meta. */
struct wish {
    const struct wished_map {
        enum capture_map map;
        uint32_t flags; /* of BPF_OBJ_GET */
    } * maps;
    size_t count;
};

/* On failure the caller closes what was opened. */
static int open_set(const struct folder *set, const struct wish *wish, struct capture_maps *maps,
                    struct diag *diag)
{
    int r = open_meta(set, maps, diag);

    for (size_t i = 0; r == 0 && i < wish->count; i++)
        r = open_map(set, wish->maps[i].map, wish->maps[i].flags, maps, diag);
    return r;
}

/* --- which set -------------------------------------------------------------------------------- */

/* Goes on to the newest set that is older than `*set`.  Returns 1, or 0 without one, or a negative
 * errno. */
static int find_older(const struct folder *dir, struct set_name *set)
{
    CLEANUP(closedirp) DIR *entries = NULL;
    CLEANUP(closep) int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct set_name before = *set;
    const struct dirent *entry;
    struct set_name name;
    int found = 0;

    entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries)
        return -errno;
    (void)take_fd(&fd); /* closedir() closes it */
    while ((entry = readdir(entries)))
        if (set_name_parse(entry->d_name, &name) && set_name_compare(name, before) < 0 &&
            (!found || set_name_compare(name, *set) > 0)) {
            *set = name;
            found = 1;
        }
    return found;
}

/* A set that was found: its folder, and what was opened of it. */
struct found {
    struct folder set;
    struct capture_maps maps;
};

static void found_done(struct found *found)
{
    folder_done(&found->set);
    capture_maps_close(&found->maps);
}

static int try_set(const struct folder *dir, const struct set_name *name, const struct wish *wish,
                   struct found *found, struct diag *diag)
{
    char text[SET_NAME_MAX], path[PATH_MAX];
    int length, r;

    set_name_format(*name, text);
    length = snprintf(path, sizeof(path), "%s/%s", dir->path, text);
    if (length < 0 || (size_t)length >= sizeof(path))
        return diag_set(diag, -ENAMETOOLONG, "%s: the path is too long", dir->path);
    r = open_folder(dir->fd, text, path, &found->set, diag);
    return r < 0 ? r : open_set(&found->set, wish, &found->maps, diag);
}

/* The folder of all sets.  What is missing or closed above it is no other case than that it is so
 * itself. */
static int open_pin_dir(const char *pin_dir, struct folder *ret_folder, struct diag *diag)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    struct diag why = {.text = ""};
    int r = trusted_path_find(pin_dir, &place, &why);

    if (r == 0)
        return open_folder(place.parent, place.name, pin_dir, ret_folder, diag);
    if (r == -ENOENT || r == -EACCES)
        return explain_folder(-r, AT_FDCWD, pin_dir, pin_dir, diag);
    return diag_set(diag, r, "%s", why.text);
}

/* The newest set that can be opened; if there is none, the newest one's reason counts. `found` is
 * closed at the start. */
static int find_set(const char *pin_dir, const struct wish *wish, struct found *found,
                    struct diag *diag)
{
    CLEANUP(folder_done) struct folder dir = {.fd = -1};
    struct set_name name = {UINT_MAX, UINT_MAX}; /* newer than all */
    struct diag why = {0};
    int first = 0, r = open_pin_dir(pin_dir, &dir, diag);

    if (r < 0)
        return r;
    while ((r = find_older(&dir, &name)) > 0) {
        r = try_set(&dir, &name, wish, found, &why);
        if (r == 0)
            return 0;
        found_done(found);
        if (!first)
            first = r;
    }
    if (r < 0)
        return diag_set(diag, r, "%s: %s", pin_dir, strerror(-r));
    if (!first)
        return diag_set(diag, -ENOENT, "nothing is pinned in %s: no agent has run (synauthz agent)",
                        pin_dir);
    return diag_set(diag, first, "%s", why.text);
}

static int open_wish(const char *pin_dir, const struct wish *wish, struct capture_maps *ret_maps,
                     struct diag *diag)
{
    CLEANUP(found_done) struct found found = {.set.fd = -1};
    int r;

    capture_maps_init(&found.maps);
    r = find_set(pin_dir, wish, &found, diag);
    if (r < 0)
        return r;
    *ret_maps = found.maps;
    capture_maps_init(&found.maps); /* the caller owns them from here */
    return 0;
}

int pin_reader_open(const char *pin_dir, struct capture_maps *ret_maps, struct diag *diag)
{
    static const struct wished_map MAPS[] = {
        {MAP_LIVE, BPF_F_RDONLY},     {MAP_ALIAS, BPF_F_RDONLY},    {MAP_CAPTURED, BPF_F_RDONLY},
        {MAP_PORTS, BPF_F_RDONLY},    {MAP_PREFIXES, BPF_F_RDONLY}, {MAP_CONFIG, BPF_F_RDONLY},
        {MAP_COUNTERS, BPF_F_RDONLY},
    };

    return open_wish(pin_dir, &(struct wish){MAPS, sizeof(MAPS) / sizeof(MAPS[0])}, ret_maps, diag);
}

int pin_reader_open_watch(const char *pin_dir, struct capture_maps *ret_maps, struct diag *diag)
{
    static const struct wished_map MAPS[] = {
        {MAP_CONFIG, BPF_F_RDONLY}, {MAP_WATCH, 0}, {MAP_EVENTS, 0}};

    return open_wish(pin_dir, &(struct wish){MAPS, sizeof(MAPS) / sizeof(MAPS[0])}, ret_maps, diag);
}

/* --- only looking ----------------------------------------------------------------------------- */

static bool is_tracker_pinned(const struct folder *set)
{
    CLEANUP(closedirp) DIR *entries = NULL;
    CLEANUP(closep) int fd = openat(set->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct dirent *entry;

    entries = fd < 0 ? NULL : fdopendir(fd);
    if (!entries)
        return false;
    (void)take_fd(&fd);
    while ((entry = readdir(entries)))
        if (strncmp(entry->d_name, PIN_TRACK_PREFIX, strlen(PIN_TRACK_PREFIX)) == 0)
            return true;
    return false;
}

uint64_t pin_clock_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail: since 2.6.32 */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int pin_reader_look(const char *pin_dir, struct pin_sight *ret_sight, struct diag *diag)
{
    CLEANUP(found_done) struct found found = {.set.fd = -1};
    uint64_t begun_ms = pin_clock_ms();
    int r;

    capture_maps_init(&found.maps);
    r = find_set(pin_dir, &(struct wish){0}, &found, diag);
    if (r < 0)
        return r;
    *ret_sight = (struct pin_sight){
        .id = pin_reader_map_id(found.maps.fd[MAP_META]),
        .tracker_is_pinned = is_tracker_pinned(&found.set),
        .begun_ms = begun_ms,
    };
    return 0;
}
