/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "probe_parts.h"

enum { LINE_SIZE = 256 };

#define INITIAL_USER_NAMESPACE "user:[4026531837]" /* linux/proc_ns.h: PROC_USER_INIT_INO */

static uint64_t effective_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return 0;
    return (uint64_t)data[1].effective << 32 | data[0].effective;
}

bool probe_has_capability(const struct probe_report *report, unsigned number)
{
    return report->capabilities >> number & 1;
}

void probe_missing_capabilities(const struct probe_report *report, char ret_text[MISSING_TEXT_MAX])
{
    static const struct {
        unsigned number;
        const char *name;
    } NEEDED[] = {
        {CAP_BPF, "CAP_BPF"}, {CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_PERFMON, "CAP_PERFMON"}};
    enum { COUNT = sizeof(NEEDED) / sizeof(NEEDED[0]) };
    const char *names[COUNT];
    size_t count = 0, used = 0;

    for (size_t i = 0; i < COUNT; i++)
        if (!probe_has_capability(report, NEEDED[i].number))
            names[count++] = NEEDED[i].name;
    ret_text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(ret_text + used, MISSING_TEXT_MAX - used, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " and "
                                                  : ", ",
                                 names[i]);
}

/* Those of another user namespace than the first count for nothing here. */
static bool in_first_user_namespace(void)
{
    char target[64];
    ssize_t length = readlink("/proc/self/ns/user", target, sizeof(target) - 1);

    if (length < 0)
        return true; /* no namespaces of users */
    target[length] = '\0';
    return strcmp(target, INITIAL_USER_NAMESPACE) == 0;
}

static void check_capabilities(struct probe_report *report)
{
    char missing[MISSING_TEXT_MAX];
    struct probe_check *check;

    report->capabilities = in_first_user_namespace() ? effective_capabilities() : 0;
    probe_missing_capabilities(report, missing);
    if (!missing[0]) {
        probe_add(report, "capabilities", PROBE_YES,
                  "this process has CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
        return;
    }
    if (!in_first_user_namespace()) {
        check = probe_add(report, "capabilities", PROBE_NO,
                          "this process is in a user namespace, whose capabilities are none for "
                          "the kernel's BPF");
        probe_fix(check, "run the agent in the host's user namespace");
        return;
    }
    check = probe_add(report, "capabilities", PROBE_NO, "this process lacks %s", missing);
    probe_fix(check, "run as root, or add %s to what the container or the unit may have", missing);
}

/* The number after `label` in /proc/self/status, or -1. */
static int status_number(const char *label)
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/self/status", "re");
    char line[LINE_SIZE];
    size_t length = strlen(label);

    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, label, length) == 0)
            return (int)strtol(line + length, NULL, 10);
    return -1;
}

/* Without CAP_BPF the kernel itself may be the one who says no. */
static void check_seccomp(struct probe_report *report)
{
    bool allowed = probe_bpf_is_allowed();
    bool privileged = probe_has_capability(report, CAP_BPF);
    int mode = status_number("Seccomp:");
    struct probe_check *check;

    if (mode == 0)
        probe_add(report, "seccomp", PROBE_YES, "no system call of this process is filtered");
    else if (allowed)
        probe_add(report, "seccomp", PROBE_YES, "system calls are filtered, bpf(2) passes");
    else if (mode > 0 && privileged) {
        check = probe_add(report, "seccomp", PROBE_NO,
                          "a seccomp filter refuses bpf(2) (or a security module does)");
        probe_fix(check, "use the runtime's default profile (it allows bpf(2) with CAP_BPF), or a "
                         "profile that lets bpf(2) and perf_event_open(2) pass");
    } else
        probe_add(report, "seccomp", PROBE_UNKNOWN,
                  "bpf(2) is refused; without CAP_BPF it cannot be known by whom");
}

static void check_label(struct probe_report *report, const char *label)
{
    struct probe_check *check;
    bool enforced = strstr(label, "(enforce)") || strstr(label, "(kill)");

    if (!label[0] || strncmp(label, "unconfined", strlen("unconfined")) == 0 ||
        strcmp(label, "kernel") == 0) {
        probe_add(report, "lsm", PROBE_YES, "no security module confines this process");
        return;
    }
    check = probe_add(report, "lsm", PROBE_UNKNOWN,
                      "a security module has labelled this process `%s`; if it refuses something, "
                      "the checks below say so",
                      label);
    if (enforced)
        probe_fix(check, "if mounting or pinning fails: keep the pins at /run/synauthz/bpf, which "
                         "the usual profile of containers does not forbid, or set appArmorProfile "
                         "to Unconfined");
}

static void check_security_module(struct probe_report *report)
{
    char label[LINE_SIZE];
    int r = probe_read_line("/proc/self/attr/apparmor/current", label, sizeof(label));

    if (r == -ENOENT)
        r = probe_read_line("/proc/self/attr/current", label, sizeof(label));
    if (r == -EINVAL || r == -ENOENT || r == -EIO)
        label[0] = '\0'; /* no security module that labels */
    else if (r < 0) {
        probe_add(report, "lsm", PROBE_UNKNOWN, "the label of this process cannot be read: %s",
                  strerror(-r));
        return;
    }
    check_label(report, label);
}

/* Whether this kernel counts maps against it is only seen by making one: see probe_programs(). */
static void check_locked_memory(struct probe_report *report)
{
    struct rlimit limit = {0};

    if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
        probe_add(report, "memlock", PROBE_UNKNOWN, "%s", strerror(errno));
    else if (limit.rlim_cur == RLIM_INFINITY)
        probe_add(report, "memlock", PROBE_YES, "locked memory is not limited");
    else
        probe_add(report, "memlock", PROBE_UNKNOWN,
                  "%llu bytes may be locked; only kernels before 5.11 count maps against it",
                  (unsigned long long)limit.rlim_cur);
}

void probe_process(struct probe_report *report)
{
    check_capabilities(report);
    check_seccomp(report);
    check_security_module(report);
    check_locked_memory(report);
}
