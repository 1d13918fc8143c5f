/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "objects.h"
#include "probe_parts.h"

/* linux/bpf.h has it from 6.6 on. */
enum { TCX_INGRESS = 46, LOOPBACK = 1, SMALLEST = 64 };

struct programs {
    int xdp, tcx, cgroup;
};

static void close_programs(const struct programs *programs)
{
    closep(&programs->xdp);
    closep(&programs->tcx);
    closep(&programs->cgroup);
}

/* --- loading -----------------------------------------------------------------------------------
 */

/* Of a refusal, what is the host's doing, and what is for want of our own privileges? */
static void add_refusal(struct probe_report *report, const char *id, int error,
                        const struct diag *diag, struct probe_try *ret_try)
{
    char missing[MISSING_TEXT_MAX];
    struct probe_check *check;

    probe_missing_capabilities(report, missing);
    if (missing[0] && (error == -EPERM || error == -EACCES)) {
        *ret_try = (struct probe_try){.ok = PROBE_UNKNOWN};
        check = probe_add(report, id, PROBE_UNKNOWN, "cannot be tried without %s", missing);
        probe_fix(check, "run doctor as root");
        return;
    }
    *ret_try = (struct probe_try){.ok = PROBE_NO, .error = error};
    check = probe_add(report, id, PROBE_NO, "%s",
                      error == -E2BIG ? "the kernel's verifier finds the program too complex"
                      : diag->text[0] ? diag->text
                                      : strerror(-error));
    if (error == -EPERM)
        probe_fix(check, "see the checks lockdown, seccomp, lsm and memlock");
    else if (error == -ENOMEM)
        probe_fix(check, "raise the memory limit of the control group");
    else
        probe_fix(check, "use a kernel from 5.15 on; `dmesg` may say more");
}

static int load_hook(struct probe_report *report, const char *id, enum object object,
                     const struct capture_maps *maps, struct probe_try *ret_try)
{
    struct diag diag = {.text = ""};
    int fd = objects_load_hook(object, maps, &diag);

    if (fd < 0) {
        add_refusal(report, id, fd, &diag, ret_try);
        return -1;
    }
    *ret_try = (struct probe_try){.ok = PROBE_YES};
    probe_add(report, id, PROBE_YES, "the kernel loads the program");
    return fd;
}

/* Known without any privilege where there is no type information. */
static void refuse_tracker(struct probe_report *report)
{
    report->tracking = (struct probe_try){.ok = PROBE_NO, .error = -ESRCH};
    probe_fix(probe_add(report, "load_tracking", PROBE_NO,
                        "sockets cannot be followed without the kernel's type information"),
              "use a kernel built with CONFIG_DEBUG_INFO_BTF");
}

static void load_tracker(struct probe_report *report, const struct capture_maps *maps)
{
    int programs[TRACKER_PROGRAMS];
    struct diag diag = {.text = ""};
    int r;

    if (!report->has_btf) {
        refuse_tracker(report);
        return;
    }
    r = objects_load_tracker(0, maps, programs, &diag);
    if (r < 0) {
        add_refusal(report, "load_tracking", r, &diag, &report->tracking);
        return;
    }
    for (int i = 0; i < TRACKER_PROGRAMS; i++)
        closep(&programs[i]);
    report->tracking = (struct probe_try){.ok = PROBE_YES};
    probe_add(report, "load_tracking", PROBE_YES,
              "the kernel loads the programs that follow sockets");
}

/* --- attaching, to the loopback of a network namespace of our own -------------------------------
 */

struct attempt {
    const struct programs *programs;
    int xdp, tcx, clsact; /* what attaching said */
};

static int attach_link(int program, int type, unsigned flags)
{
    LIBBPF_OPTS(bpf_link_create_opts, options, .flags = flags);
    int link = bpf_link_create(program, LOOPBACK, (enum bpf_attach_type)type, &options);

    if (link < 0)
        return link;
    (void)close(link);
    return 0;
}

static int attach_filter(int program)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = LOOPBACK, .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program);
    int r = bpf_tc_hook_create(&hook);

    return r < 0 ? r : bpf_tc_attach(&hook, &options);
}

static int attach_all(void *context)
{
    struct attempt *attempt = context;
    const struct programs *programs = attempt->programs;

    if (programs->xdp >= 0)
        attempt->xdp = attach_link(programs->xdp, BPF_XDP, XDP_FLAGS_SKB_MODE);
    if (programs->tcx >= 0) {
        attempt->tcx = attach_link(programs->tcx, TCX_INGRESS, 0);
        attempt->clsact = attach_filter(programs->tcx);
    }
    return 0;
}

/* Takes only CAP_NET_ADMIN, and finds out whether the kernel knows tcx at all. */
static void ask_for_tcx(struct attempt *attempt)
{
    __u32 count = 0;

    attempt->tcx = bpf_prog_query((int)if_nametoindex("lo"), (enum bpf_attach_type)TCX_INGRESS, 0,
                                  NULL, NULL, &count);
}

static void add_attempt(struct probe_report *report, const char *id, const char *what, bool ran,
                        int error, struct probe_try *try)
{
    if (try->ok != PROBE_YES)
        return; /* not even loaded */
    if (error == 0 && ran)
        probe_add(report, id, PROBE_YES, "%s works, tried on a loopback of its own", what);
    else if (error == 0)
        probe_add(report, id, PROBE_YES,
                  "%s is there; attaching was not tried, for want of "
                  "CAP_SYS_ADMIN to make a network namespace for it",
                  what);
    else if (!ran && error == -EPERM) {
        *try = (struct probe_try){.ok = PROBE_UNKNOWN};
        probe_add(report, id, PROBE_UNKNOWN, "%s cannot be tried without CAP_NET_ADMIN", what);
    } else {
        *try = (struct probe_try){.ok = PROBE_NO, .error = error};
        probe_add(report, id, PROBE_NO, "%s does not work here: %s", what,
                  error == -EINVAL ? "this kernel does not have it" : strerror(-error));
    }
}

static void attach_programs(struct probe_report *report, const struct programs *programs)
{
    struct attempt attempt = {.programs = programs};
    bool ran;

    report->hooks[NODE_HOOK_CLSACT] = report->hooks[NODE_HOOK_TCX];
    if (programs->xdp < 0 && programs->tcx < 0)
        return;
    (void)probe_in_own_network(attach_all, &attempt, &ran);
    if (!ran)
        ask_for_tcx(&attempt);
    add_attempt(report, "xdp", "XDP", ran, attempt.xdp, &report->hooks[NODE_HOOK_XDP_GENERIC]);
    add_attempt(report, "tcx", "tcx", ran, attempt.tcx, &report->hooks[NODE_HOOK_TCX]);
    add_attempt(report, "clsact", "clsact", ran, attempt.clsact, &report->hooks[NODE_HOOK_CLSACT]);
}

/* --- the control groups: asked, not touched -----------------------------------------------------
 */

/* A program that was attached to be the only one, or to be overridden, keeps links away. */
static int ask_for_cgroup(const char *path, unsigned *ret_count)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    __u32 flags = 0, count = 0;
    int r;

    if (fd < 0)
        return -errno;
    r = bpf_prog_query(fd, BPF_CGROUP_INET_INGRESS, 0, &flags, NULL, &count);
    if (r < 0)
        return r;
    *ret_count = count;
    return count > 0 && !(flags & BPF_F_ALLOW_MULTI) ? -EBUSY : 0;
}

static void ask_cgroups(struct probe_report *report)
{
    struct probe_try *try = &report->hooks[NODE_HOOK_CGROUP];
    unsigned count = 0;
    int r;

    if (try->ok != PROBE_YES || !report->cgroup2_path[0])
        return;
    r = ask_for_cgroup(report->cgroup2_path, &count);
    if (r == 0)
        probe_add(report, "attach_cgroup", PROBE_YES,
                  "a link can be made to %s, beside %u other program%s", report->cgroup2_path,
                  count, count == 1 ? "" : "s");
    else if (r == -EPERM || r == -EACCES)
        probe_add(report, "attach_cgroup", PROBE_UNKNOWN, "%s cannot be asked: %s",
                  report->cgroup2_path, strerror(-r));
    else {
        *try = (struct probe_try){.ok = PROBE_NO, .error = r};
        probe_fix(probe_add(report, "attach_cgroup", PROBE_NO,
                            "%s: a program is attached there that allows no other beside it",
                            report->cgroup2_path),
                  "`bpftool cgroup show %s` names it; its owner must attach it with ALLOW_MULTI, "
                  "or use --cgroup for parts of the tree below it",
                  report->cgroup2_path);
    }
}

/* --- all of it ----------------------------------------------------------------------------------
 */

/* Now it is known whether the limit counts for maps. */
static void judge_locked_memory(struct probe_report *report, int error)
{
    struct probe_check *check = probe_find(report, "memlock");
    char missing[MISSING_TEXT_MAX];

    probe_missing_capabilities(report, missing);
    if (!check || check->ok != PROBE_UNKNOWN)
        return;
    if (error == 0) {
        check->ok = PROBE_YES;
        (void)snprintf(check->why, sizeof(check->why),
                       "maps could be made, with whatever may be locked");
    } else if (error == -EPERM && !missing[0] && probe_bpf_is_allowed()) {
        check->ok = PROBE_NO;
        probe_fix(check, "ulimit -l unlimited, or LimitMEMLOCK=infinity in the unit");
    }
}

static void load_programs(struct probe_report *report, const struct capture_maps *maps,
                          struct programs *programs)
{
    struct probe_try *hooks = report->hooks;

    programs->xdp = load_hook(report, "load_xdp", OBJECT_XDP, maps, &hooks[NODE_HOOK_XDP_GENERIC]);
    programs->tcx = load_hook(report, "load_tcx", OBJECT_TCX, maps, &hooks[NODE_HOOK_TCX]);
    programs->cgroup =
        load_hook(report, "load_cgroup", OBJECT_CGROUP, maps, &hooks[NODE_HOOK_CGROUP]);
    load_tracker(report, maps);
}

/* Not even maps could be made. */
static void refuse_all(struct probe_report *report, int error, const struct diag *diag)
{
    struct probe_try *hooks = report->hooks;

    add_refusal(report, "load_xdp", error, diag, &hooks[NODE_HOOK_XDP_GENERIC]);
    add_refusal(report, "load_tcx", error, diag, &hooks[NODE_HOOK_TCX]);
    add_refusal(report, "load_cgroup", error, diag, &hooks[NODE_HOOK_CGROUP]);
    if (report->has_btf)
        add_refusal(report, "load_tracking", error, diag, &report->tracking);
    else
        refuse_tracker(report);
    hooks[NODE_HOOK_CLSACT] = hooks[NODE_HOOK_TCX];
}

void probe_programs(struct probe_report *report)
{
    static const struct map_sizes SIZES = {SMALLEST, SMALLEST, SMALLEST};
    CLEANUP(close_programs) struct programs programs = {-1, -1, -1};
    CLEANUP(capture_maps_close) struct capture_maps maps;
    struct diag diag = {.text = ""};
    int r;

    capture_maps_init(&maps);
    r = objects_make_maps(&SIZES, &maps, &diag);
    judge_locked_memory(report, r);
    if (r == 0) {
        load_programs(report, &maps, &programs);
        attach_programs(report, &programs);
        ask_cgroups(report);
    } else
        refuse_all(report, r, &diag);
    report->hooks[NODE_HOOK_XDP_NATIVE] = report->hooks[NODE_HOOK_XDP_GENERIC];
}
