/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup2.h"

#include <errno.h>
#include <stdbool.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "mountinfo.h"

struct search {
    struct mount best;
    int height;
    bool found;
};

/* Another file system may be mounted over it. */
static bool is_reachable(const char *path)
{
    struct statfs fs;

    return statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

static int on_mount(const struct mount *mount, void *context)
{
    struct search *search = context;
    int height;

    if (strcmp(mount->type, "cgroup2") != 0 || !is_reachable(mount->path))
        return 0;
    height = mountinfo_height(mount);
    if (!search->found || height > search->height)
        *search = (struct search){.best = *mount, .height = height, .found = true};
    return 0;
}

int cgroup2_find(char ret_path[CGROUP2_PATH_MAX])
{
    struct search search = {.found = false};
    int r = mountinfo_each(on_mount, &search);

    if (r < 0)
        return r;
    if (!search.found)
        return -ENOENT;
    (void)snprintf(ret_path, CGROUP2_PATH_MAX, "%s", search.best.path);
    return 0;
}
