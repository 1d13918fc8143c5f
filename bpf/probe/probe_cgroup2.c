/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cgroup2.h"
#include "mountinfo.h"
#include "probe_parts.h"

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
    int r = cgroup2_find(report->cgroup2_path);

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
