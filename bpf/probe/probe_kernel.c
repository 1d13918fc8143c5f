/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "probe_parts.h"

enum { VALUE_SIZE = 128 };

/* "none [integrity] confidentiality" */
static void check_lockdown(struct probe_report *report)
{
    char modes[VALUE_SIZE];
    struct probe_check *check;
    int r = probe_read_line("/sys/kernel/security/lockdown", modes, sizeof(modes));

    if (r < 0) {
        check = probe_add(report, "lockdown", PROBE_UNKNOWN,
                          "whether the kernel is locked down cannot be known: "
                          "/sys/kernel/security/lockdown: %s",
                          strerror(-r));
        if (r == -ENOENT)
            probe_fix(check, "mount -t securityfs securityfs /sys/kernel/security");
    } else if (strstr(modes, "[confidentiality]")) {
        check = probe_add(report, "lockdown", PROBE_NO,
                          "kernel lockdown is `confidentiality`, which refuses to follow sockets");
        probe_fix(check, "boot with lockdown=integrity, or without lockdown");
    } else
        probe_add(report, "lockdown", PROBE_YES, "kernel lockdown: %s; it allows what we need",
                  modes);
}

static void check_unprivileged_bpf(struct probe_report *report)
{
    char value[VALUE_SIZE];
    int r = probe_read_line("/proc/sys/kernel/unprivileged_bpf_disabled", value, sizeof(value));

    if (r < 0)
        probe_add(report, "unprivileged_bpf_disabled", PROBE_UNKNOWN, "cannot be read: %s",
                  strerror(-r));
    else if (strcmp(value, "0") == 0)
        probe_add(
            report, "unprivileged_bpf_disabled", PROBE_YES,
            "0: anybody may load simple programs, and who reads the maps can write them by one; "
            "nothing here needs that: sysctl kernel.unprivileged_bpf_disabled=2");
    else
        probe_add(report, "unprivileged_bpf_disabled", PROBE_YES,
                  "%s: only the privileged may load programs, as it should be", value);
}

/* The server's side: it has no capability at all. */
static void check_readers(struct probe_report *report)
{
    struct probe_check *check;

    if (probe_bpf_is_allowed_without_capabilities()) {
        probe_add(report, "unprivileged_readers", PROBE_YES,
                  "bpf(2) is allowed without capabilities: the server needs none");
        return;
    }
    if (!probe_bpf_is_allowed()) {
        probe_add(report, "unprivileged_readers", PROBE_UNKNOWN,
                  "bpf(2) is refused to this process, see above");
        return;
    }
    check = probe_add(report, "unprivileged_readers", PROBE_NO,
                      "bpf(2) needs CAP_BPF on this kernel (before 5.19, with "
                      "unprivileged_bpf_disabled): the server keeps that one capability");
    probe_fix(check, "use a kernel from 5.19 on, or start the server with CAP_BPF");
}

static void check_jit(struct probe_report *report)
{
    char value[VALUE_SIZE];
    struct probe_check *check;
    int r = probe_read_line("/proc/sys/net/core/bpf_jit_enable", value, sizeof(value));

    if (r < 0)
        probe_add(report, "bpf_jit_enable", PROBE_UNKNOWN, "cannot be read from here: %s",
                  strerror(-r));
    else if (strcmp(value, "0") == 0) {
        check = probe_add(report, "bpf_jit_enable", PROBE_NO,
                          "programs are interpreted: each packet costs several times as much");
        probe_fix(check, "sysctl -w net.core.bpf_jit_enable=1");
    } else
        probe_add(report, "bpf_jit_enable", PROBE_YES, "%s: programs are compiled", value);
}

static void check_btf(struct probe_report *report)
{
    CLEANUP(closep) int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
    struct btf_header header = {0};
    struct probe_check *check;

    if (fd < 0 && errno != ENOENT) {
        probe_add(report, "btf", PROBE_UNKNOWN, "/sys/kernel/btf/vmlinux: %s", strerror(errno));
        report->has_btf = true; /* as far as is known */
        return;
    }
    report->has_btf =
        fd >= 0 && read(fd, &header, sizeof(header)) == sizeof(header) && header.magic == BTF_MAGIC;
    if (report->has_btf) {
        probe_add(report, "btf", PROBE_YES, "the kernel has type information");
        return;
    }
    check = probe_add(report, "btf", PROBE_NO,
                      "the kernel has no type information (/sys/kernel/btf/vmlinux), without which "
                      "sockets cannot be followed: SYNs are captured, but nothing proves them");
    probe_fix(check, "use a kernel built with CONFIG_DEBUG_INFO_BTF (distributions have it)");
}

void probe_kernel(struct probe_report *report)
{
    check_lockdown(report);
    check_unprivileged_bpf(report);
    check_readers(report);
    check_jit(report);
    check_btf(report);
}
