/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "mountinfo.h"
#include "probe_parts.h"

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

int probe_cgroup2(char ret_path[256])
{
    struct search search = {.found = false};
    int r = mountinfo_each(on_mount, &search);

    if (r < 0)
        return r;
    if (!search.found)
        return -ENOENT;
    (void)snprintf(ret_path, sizeof(search.best.path), "%s", search.best.path);
    return 0;
}

/* Some controllers, memory for one, may still be in hierarchies of the first version. */
static int on_first_version(const struct mount *mount, void *context)
{
    bool *found = context;

    if (strcmp(mount->type, "cgroup") == 0)
        *found = true;
    return 0;
}

void probe_cgroups(struct probe_report *report)
{
    struct probe_check *check;
    bool hybrid = false;
    int r = probe_cgroup2(report->cgroup2_path);

    (void)mountinfo_each(on_first_version, &hybrid);
    if (r == 0) {
        probe_add(report, "cgroup2", PROBE_YES, "cgroup2 is at %s%s", report->cgroup2_path,
                  hybrid ? " (hybrid: hierarchies of the first version are mounted, too)" : "");
        return;
    }
    report->cgroup2_path[0] = '\0';
    check = probe_add(report, "cgroup2", PROBE_NO,
                      "no cgroup2 is mounted where this process can see it");
    probe_fix(check, "mount -t cgroup2 none /sys/fs/cgroup/unified; in a container, give it the "
                     "host's /sys/fs/cgroup; `ip netns exec` hides it, `nsenter --net=` does not");
}
