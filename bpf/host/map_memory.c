/* SPDX-License-Identifier: Apache-2.0 */
#include "map_memory.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "mountinfo.h"

enum { LINE_SIZE = 1024 };

/* The number behind `label` in a file of lines; 0 without one. */
static uint64_t read_number(const char *path, const char *label)
{
    CLEANUP(fclosep) FILE *file = fopen(path, "re");
    char line[LINE_SIZE];

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, label, strlen(label)) == 0)
            return strtoull(line + strlen(label), NULL, 10); /* "max" is 0 */
    return 0;
}

static uint64_t memory_of_map(int fd)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    return read_number(path, "memlock:");
}

uint64_t map_memory_used(const struct capture_maps *maps)
{
    uint64_t bytes = 0;

    for (int map = 0; map < MAP_COUNT_; map++)
        if (maps->fd[map] >= 0)
            bytes += memory_of_map(maps->fd[map]);
    return bytes;
}

/* --- the limit -------------------------------------------------------------------------------- */

struct hierarchy {
    bool is_v2;
    char mount[MOUNT_PATH_MAX]; /* "": not mounted */
    char root[MOUNT_PATH_MAX];  /* the part of it that is mounted there */
    char path[LINE_SIZE];       /* of this process, below `mount` */
};

static int on_mount(const struct mount *mount, void *context)
{
    struct hierarchy *hierarchy = context;
    const char *name = strrchr(mount->path, '/');
    bool wanted = hierarchy->is_v2
                      ? strcmp(mount->type, "cgroup2") == 0
                      : strcmp(mount->type, "cgroup") == 0 && name && strcmp(name, "/memory") == 0;

    if (!wanted)
        return false;
    (void)snprintf(hierarchy->mount, sizeof(hierarchy->mount), "%s", mount->path);
    (void)snprintf(hierarchy->root, sizeof(hierarchy->root), "%s", mount->root);
    return true;
}

/* What of a path in the hierarchy lies below its part that is mounted: "/docker/a" of
 * "/docker/a/b", or "/.." of "/../b", where the mount comes from outside our namespace. */
static const char *below_root(const char *path, const char *root)
{
    size_t length = strlen(root);

    if (strcmp(root, "/") != 0 && strncmp(path, root, length) == 0 &&
        (path[length] == '/' || !path[length]))
        return path + length;
    return path;
}

/* Lines are NUMBER:CONTROLLERS:PATH; that of cgroup2 is "0::PATH". */
static bool find_path(struct hierarchy *hierarchy)
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/self/cgroup", "re");
    const char *controller = hierarchy->is_v2 ? "::" : ":memory:";
    char line[LINE_SIZE];

    while (file && fgets(line, sizeof(line), file)) {
        const char *found = strstr(line, controller);

        if (!found)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(hierarchy->path, sizeof(hierarchy->path), "%s",
                       below_root(found + strlen(controller), hierarchy->root));
        return true;
    }
    return false;
}

/* Version 1 says a huge number where there is no limit. */
static uint64_t limit_at(const struct hierarchy *hierarchy)
{
    char path[MOUNT_PATH_MAX + LINE_SIZE + 32];
    uint64_t limit;

    (void)snprintf(path, sizeof(path), "%s%s/%s", hierarchy->mount, hierarchy->path,
                   hierarchy->is_v2 ? "memory.max" : "memory.limit_in_bytes");
    limit = read_number(path, "");
    return limit >= UINT64_C(1) << 60 ? 0 : limit;
}

static uint64_t limit_in(bool is_v2)
{
    struct hierarchy hierarchy = {.is_v2 = is_v2};
    uint64_t least = 0;

    if (mountinfo_each(on_mount, &hierarchy) < 0 || !hierarchy.mount[0] || !find_path(&hierarchy))
        return 0;
    for (;;) {
        uint64_t limit = limit_at(&hierarchy);
        char *slash = strrchr(hierarchy.path, '/');

        if (limit && (!least || limit < least))
            least = limit;
        if (!slash)
            return least;
        *slash = '\0';
    }
}

uint64_t map_memory_limit(void)
{
    uint64_t limit = limit_in(true);

    return limit ? limit : limit_in(false);
}
