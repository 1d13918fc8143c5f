/* SPDX-License-Identifier: Apache-2.0 */
#include "load_error.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

enum { WARNING_MAX = 200, LINE_SIZE = 256 };

/* libbpf's callback has no argument of ours; it is called in the thread that called libbpf. */
static _Thread_local char first_warning[WARNING_MAX];

__attribute__((format(printf, 2, 0))) static int on_message(enum libbpf_print_level level,
                                                            const char *format, va_list args)
{
    int length;

    if (level != LIBBPF_WARN || first_warning[0])
        return 0;
    length = vsnprintf(first_warning, sizeof(first_warning), format, args);
    first_warning[strcspn(first_warning, "\n")] = '\0';
    return length;
}

void load_error_listen(void)
{
    first_warning[0] = '\0';
    (void)libbpf_set_print(on_message);
}

static uint64_t effective_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return 0;
    return (uint64_t)data[1].effective << 32 | data[0].effective;
}

/* The names of the capabilities we lack, each after a blank.  CAP_SYS_ADMIN stands for all of them.
 */
static void list_missing_capabilities(char *text, size_t size)
{
    static const struct {
        unsigned number;
        const char *name;
    } NEEDED[] = {
        {CAP_BPF, "CAP_BPF"},
        {CAP_PERFMON, "CAP_PERFMON"},
        {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
    };
    uint64_t have = effective_capabilities();
    size_t used = 0;

    text[0] = '\0';
    if (have >> CAP_SYS_ADMIN & 1)
        return;
    for (size_t i = 0; i < sizeof(NEEDED) / sizeof(NEEDED[0]); i++)
        if (!(have >> NEEDED[i].number & 1))
            used += (size_t)snprintf(text + used, size - used, " %s", NEEDED[i].name);
}

bool load_error_lacks_capabilities(void)
{
    char missing[64];

    list_missing_capabilities(missing, sizeof(missing));
    return missing[0] != '\0';
}

/* The value after `label` in a file of lines, or "unknown". */
static void read_value(const char *path, const char *label, char value[LINE_SIZE])
{
    CLEANUP(fclosep) FILE *file = fopen(path, "re");
    char line[LINE_SIZE];
    size_t skip = strlen(label);

    (void)snprintf(value, LINE_SIZE, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, label, skip) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(value, LINE_SIZE, "%s", line + skip + strspn(line + skip, " \t"));
        return;
    }
}

/* Everything that makes "Operation not permitted" although the capabilities are there. */
static int not_permitted(struct diag *diag, int error)
{
    char lockdown[LINE_SIZE], seccomp[LINE_SIZE];
    struct rlimit memlock = {0};

    read_value("/sys/kernel/security/lockdown", "", lockdown);
    read_value("/proc/self/status", "Seccomp:", seccomp);
    (void)getrlimit(RLIMIT_MEMLOCK, &memlock);
    return diag_set(
        diag, error,
        "the kernel does not permit BPF here although the capabilities are there; kernel lockdown: "
        "%s (must not be [confidentiality]); seccomp: %s (must be 0, or let bpf(2) pass); locked "
        "memory limit: %lld bytes (kernels before 5.11 need it unlimited); or a security module "
        "such as AppArmor or SELinux refuses it",
        lockdown, seccomp, (long long)memlock.rlim_cur);
}

int load_error(struct diag *diag, int error)
{
    char missing[64];

    if (error == -EPERM || error == -EACCES) {
        list_missing_capabilities(missing, sizeof(missing));
        if (missing[0])
            return diag_set(
                diag, error,
                "loading the capture programs needs capabilities that this process lacks:%s; start "
                "it as root, or give it these",
                missing);
        if (error == -EPERM)
            return not_permitted(diag, error);
    }
    if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
        return diag_set(
            diag, error,
            "this kernel has no type information (/sys/kernel/btf/vmlinux), without which sockets "
            "cannot be followed; use a kernel built with CONFIG_DEBUG_INFO_BTF");
    if (error == -ENOMEM || error == -E2BIG)
        return diag_set(
            diag, error,
            "no memory for the maps; allow fewer pending SYNs or live connections, or raise the "
            "memory limit of the control group");
    return diag_set(diag, error, "the kernel refused the capture programs: %s (%s)",
                    strerror(-error), first_warning[0] ? first_warning : "libbpf gave no reason");
}

static int busy(struct diag *diag, int error, const char *interface, unsigned ifindex)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);
    uint32_t id = 0;

    if (bpf_xdp_query((int)ifindex, 0, &query) == 0)
        id = query.prog_id ? query.prog_id : query.skb_prog_id;
    return diag_set(diag, error,
                    "%s: another XDP program is attached (id %u, see `bpftool prog show id %u`); "
                    "stop its owner, "
                    "or detach it with `ip link set dev %s xdp off`",
                    interface, id, id, interface);
}

int attach_error(struct diag *diag, int error, const char *interface, unsigned ifindex)
{
    if (error == -EBUSY || error == -EEXIST)
        return busy(diag, error, interface, ifindex);
    if (error == -ENODEV || ifindex == 0)
        return diag_set(
            diag, error,
            "%s: there is no such interface in this network namespace; `ip link` lists them",
            interface);
    if (error == -EPERM || error == -EACCES)
        return load_error(diag, error);
    return diag_set(diag, error,
                    "%s: cannot attach the XDP program, neither in the driver nor generic: %s",
                    interface, strerror(-error));
}
