/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "capture_maps.h"
#include "cleanup.h"
#include "pin_reader.h"
#include "probe_parts.h"
#include "trusted_path.h"

#define HOST_BPFFS "/sys/fs/bpf"

static bool is_bpffs(const char *path)
{
    struct statfs system;

    return statfs(path, &system) == 0 && system.f_type == BPF_FS_MAGIC;
}

/* The host's is looked at, never used by default: neither of its usual modes suits a reader without
 * privileges. */
static void check_host_bpffs(struct probe_report *report)
{
    struct stat status;
    unsigned mode;

    if (!is_bpffs(HOST_BPFFS) || stat(HOST_BPFFS, &status) < 0) {
        probe_add(report, "bpffs", PROBE_YES,
                  "none is mounted at " HOST_BPFFS "; the agent mounts one of its own");
        return;
    }
    mode = status.st_mode & 07777;
    if (mode & S_IWOTH)
        probe_add(report, "bpffs", PROBE_YES,
                  HOST_BPFFS " is mounted with mode %04o, where anybody could make a folder before "
                             "the agent does; it uses one of its own",
                  mode);
    else if (!(mode & S_IXOTH))
        probe_add(report, "bpffs", PROBE_YES,
                  HOST_BPFFS " is mounted with mode %04o, which keeps the server out; the agent "
                             "uses one of its own, elsewhere bind-mount the pin folder",
                  mode);
    else
        probe_add(report, "bpffs", PROBE_YES, HOST_BPFFS " is mounted with mode %04o", mode);
}

static void check_absent_folder(struct probe_report *report, const char *pin_dir)
{
    if (probe_has_capability(report, CAP_SYS_ADMIN))
        probe_add(report, "pin_dir", PROBE_YES,
                  "%s is not there yet; the agent makes it and mounts a bpffs on it", pin_dir);
    else
        probe_fix(
            probe_add(report, "pin_dir", PROBE_UNKNOWN,
                      "%s is not there yet, and to mount a bpffs takes CAP_SYS_ADMIN, which "
                      "this process lacks",
                      pin_dir),
            "start the agent as root; or mount -t bpf -o mode=0750 synauthz %s (in Kubernetes: a "
            "hostPath on the node's bpffs)",
            pin_dir);
}

/* The name of a group, or its number. */
static const char *group_name(gid_t gid, char buffer[32])
{
    const struct group *group = getgrgid(gid);

    (void)snprintf(buffer, 32, "%u", (unsigned)gid);
    return group ? group->gr_name : buffer;
}

static void judge_folder(struct probe_report *report, const char *pin_dir,
                         const struct stat *status)
{
    unsigned mode = status->st_mode & 07777;
    char number[32];

    if (!S_ISDIR(status->st_mode))
        probe_fix(probe_add(report, "pin_dir", PROBE_NO, "%s is no folder", pin_dir),
                  "rm %s, or name another with --pin-dir", pin_dir);
    else if (status->st_uid != 0)
        probe_fix(probe_add(report, "pin_dir", PROBE_NO,
                            "%s belongs to user %u, not to root: nothing in it is believed",
                            pin_dir, (unsigned)status->st_uid),
                  "rm -r %s, and find out who made it", pin_dir);
    else if (mode & (S_IWGRP | S_IWOTH))
        probe_fix(probe_add(report, "pin_dir", PROBE_NO,
                            "%s may be written by others than root (mode %04o): nothing in it is "
                            "believed",
                            pin_dir, mode),
                  "synauthz cleanup; chmod 0750 %s", pin_dir);
    else if (!is_bpffs(pin_dir))
        check_absent_folder(report, pin_dir);
    else
        probe_add(report, "pin_dir", PROBE_YES, "%s is a bpffs, root's, group %s, mode %04o",
                  pin_dir, group_name(status->st_gid, number), mode);
}

static void check_folder(struct probe_report *report, const char *pin_dir)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    struct diag why = {.text = ""};
    struct stat status;

    if (trusted_path_find(pin_dir, &place, &why) == -EPERM)
        probe_add(report, "pin_dir", PROBE_NO, "%s", why.text); /* which says what to do */
    else if (lstat(pin_dir, &status) == 0)
        judge_folder(report, pin_dir, &status);
    else if (errno == ENOENT)
        check_absent_folder(report, pin_dir);
    else
        probe_add(report, "pin_dir", PROBE_UNKNOWN, "%s: %s", pin_dir, strerror(errno));
}

static const char *hook_list(uint32_t hooks, char buffer[64])
{
    static const char *const NAMES[SYN_HOOK_COUNT_] = {
        [SYN_HOOK_XDP] = "xdp", [SYN_HOOK_TCX] = "tcx", [SYN_HOOK_CGROUP] = "cgroup"};
    size_t used = 0;

    (void)snprintf(buffer, 64, "nothing");
    for (unsigned hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++)
        if (hooks >> hook & 1)
            used +=
                (size_t)snprintf(buffer + used, 64 - used, "%s%s", used ? ", " : "", NAMES[hook]);
    return buffer;
}

static void judge_set(struct probe_report *report, const struct capture_meta *meta)
{
    uint64_t heartbeat_ns = meta->heartbeat_ns, now_ns = boot_time_ns();
    double age_s = now_ns > heartbeat_ns ? (double)(now_ns - heartbeat_ns) / 1e9 : 0;
    char hooks[64], missing[64];

    report->running = true;
    report->running_tracked = meta->tracked;
    report->running_hooks = meta->hooks;
    hook_list(meta->hooks, hooks);
    hook_list(meta->hooks_missing, missing);
    if (heartbeat_ns == 0 || age_s * 1e9 > (double)HEARTBEAT_STALE_NS)
        probe_fix(probe_add(report, "capture_set", PROBE_NO,
                            "v%u captures (%s), but no agent has looked after it for %.0f s: new "
                            "devices and control groups are missed",
                            meta->layout, hooks, age_s),
                  "start the agent; it takes over what is there");
    else if (meta->state == CAPTURE_DEGRADED)
        probe_fix(probe_add(report, "capture_set", PROBE_NO,
                            "v%u captures (%s), and something that was asked for is not attached "
                            "(%s); last heartbeat %.1f s ago",
                            meta->layout, hooks, missing, age_s),
                  "see the agent's log, or /readyz of its --admin");
    else
        probe_add(report, "capture_set", PROBE_YES,
                  "v%u captures (%s), sockets are %sfollowed, generation %" PRIu64
                  ", last heartbeat %.1f s ago",
                  meta->layout, hooks, meta->tracked ? "" : "not ", (uint64_t)meta->generation,
                  age_s);
}

static void check_set(struct probe_report *report, const char *pin_dir)
{
    CLEANUP(capture_maps_close) struct capture_maps maps;
    struct capture_meta meta;
    struct diag diag = {.text = ""};
    int r;

    capture_maps_init(&maps);
    r = pin_reader_open(pin_dir, &maps, &diag);
    if (r == 0)
        r = capture_meta_read(&maps, &meta);
    if (r == 0)
        judge_set(report, &meta);
    else if (r == -ENOENT || r == -EACCES || r == -EPERM)
        probe_add(report, "capture_set", PROBE_UNKNOWN, "%s",
                  diag.text[0] ? diag.text : strerror(-r));
    else
        probe_fix(probe_add(report, "capture_set", PROBE_NO, "%s",
                            diag.text[0] ? diag.text : strerror(-r)),
                  "start the agent of this version");
}

void probe_pins(struct probe_report *report, const char *pin_dir)
{
    check_host_bpffs(report);
    check_folder(report, pin_dir);
    check_set(report, pin_dir);
}
