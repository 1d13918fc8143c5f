/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fnmatch.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "probe_parts.h"

#define OUR_XDP_PROGRAM "capture_xdp"

static void free_names(struct if_nameindex **names)
{
    if (*names)
        if_freenameindex(*names);
}

static struct ifreq request_for(const char *name)
{
    struct ifreq request = {.ifr_flags = 0};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
    return request;
}

static bool is_up(int socket_fd, const char *name)
{
    struct ifreq request = request_for(name);

    return ioctl(socket_fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP);
}

static unsigned short type_of(int socket_fd, const char *name)
{
    struct ifreq request = request_for(name);

    return ioctl(socket_fd, SIOCGIFHWADDR, &request) == 0 ? request.ifr_hwaddr.sa_family
                                                          : ARPHRD_VOID;
}

/* Whose program it is takes CAP_SYS_ADMIN to see.  One of ours that no agent has pinned here is a
 * server's, and in the way like any other. */
static void name_program(const struct probe_report *report, struct probe_device *device)
{
    CLEANUP(closep) int fd = bpf_prog_get_fd_by_id(device->xdp_id);
    struct bpf_prog_info info = {.type = 0};
    __u32 size = sizeof(info);

    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
        return;
    (void)snprintf(device->xdp_name, sizeof(device->xdp_name), "%s", info.name);
    device->ours = strcmp(info.name, OUR_XDP_PROGRAM) == 0 && report->running &&
                           (report->running_hooks >> SYN_HOOK_XDP & 1)
                       ? PROBE_YES
                       : PROBE_NO;
}

static void look_at_xdp(const struct probe_report *report, struct probe_device *device)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    if (bpf_xdp_query((int)device->ifindex, 0, &query) < 0)
        return;
    device->xdp_id = query.prog_id       ? query.prog_id
                     : query.drv_prog_id ? query.drv_prog_id
                                         : query.skb_prog_id;
    if (device->xdp_id)
        name_program(report, device);
}

static void add_device(struct probe_report *report, int socket_fd, const char *name,
                       unsigned ifindex)
{
    struct probe_device *device;

    if (report->device_count == PROBE_DEVICES_MAX) {
        report->devices_left_out++;
        return;
    }
    device = &report->devices[report->device_count++];
    *device = (struct probe_device){.ifindex = ifindex};
    (void)snprintf(device->name, sizeof(device->name), "%s", name);
    if (!ifindex)
        return;
    device->type = type_of(socket_fd, name);
    device->native = probe_driver_runs_xdp(ifindex);
    device->is_veth = probe_is_veth(socket_fd, name);
    look_at_xdp(report, device);
}

static void add_matching(struct probe_report *report, int socket_fd,
                         const struct if_nameindex *names, const char *pattern)
{
    bool found = false;

    for (const struct if_nameindex *one = names; one && one->if_index; one++) {
        if (fnmatch(pattern, one->if_name, 0) != 0)
            continue;
        found = true;
        add_device(report, socket_fd, one->if_name, one->if_index);
    }
    if (!found)
        add_device(report, socket_fd, pattern, 0);
}

static void add_those_in_use(struct probe_report *report, int socket_fd,
                             const struct if_nameindex *names)
{
    for (const struct if_nameindex *one = names; one && one->if_index; one++)
        if (type_of(socket_fd, one->if_name) != ARPHRD_LOOPBACK && is_up(socket_fd, one->if_name))
            add_device(report, socket_fd, one->if_name, one->if_index);
}

static void add_free_device(struct probe_report *report, const char *id,
                            const struct probe_device *device)
{
    if (device->native == PROBE_NO)
        probe_add(report, id, PROBE_YES, "its driver runs no XDP; tcx works on any device");
    else if (device->is_veth)
        probe_add(report, id, PROBE_YES,
                  "XDP is free, but this is a veth, where it costs most of the throughput of bulk "
                  "transfers; --capture tcx costs none");
    else if (device->native == PROBE_YES)
        probe_add(report, id, PROBE_YES, "XDP is free, and its driver runs it");
    else
        probe_add(report, id, PROBE_YES,
                  "XDP is free; whether its driver runs it only attaching shows (Linux 6.3 tells)");
}

static void check_device(struct probe_report *report, const struct probe_device *device)
{
    char id[PROBE_ID_MAX];

    (void)snprintf(id, sizeof(id), "device:%s", device->name);
    if (!device->ifindex)
        probe_fix(probe_add(report, id, PROBE_NO,
                            "there is no such device in this network "
                            "namespace"),
                  "`ip link` lists those that there are; the agent attaches when one appears");
    else if (device->type != ARPHRD_ETHER && device->type != ARPHRD_LOOPBACK)
        probe_fix(probe_add(report, id, PROBE_NO,
                            "its packets have no Ethernet header (link type "
                            "%u), so its own hooks see no SYN",
                            device->type),
                  "capture in the control groups (--capture auto or cgroup)");
    else if (!device->xdp_id)
        add_free_device(report, id, device);
    else if (device->ours == PROBE_YES)
        probe_add(report, id, PROBE_YES, "XDP has a capture program already (id %u)",
                  device->xdp_id);
    else if (device->ours == PROBE_UNKNOWN)
        probe_add(report, id, PROBE_UNKNOWN,
                  "XDP is taken by program %u; whose it is cannot be "
                  "seen without CAP_SYS_ADMIN",
                  device->xdp_id);
    else
        probe_fix(probe_add(report, id, PROBE_NO, "XDP is taken by program %u (%s)", device->xdp_id,
                            device->xdp_name),
                  "let it be and use tcx there (--capture auto does), or stop its owner; `ip link "
                  "set dev %s xdp off` detaches it",
                  device->name);
}

void probe_devices(struct probe_report *report, const struct probe_config *config)
{
    CLEANUP(closep) int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CLEANUP(free_names) struct if_nameindex *names = if_nameindex();

    if (config->interface_count == 0)
        add_those_in_use(report, socket_fd, names);
    for (size_t i = 0; i < config->interface_count; i++)
        add_matching(report, socket_fd, names, config->interfaces[i]);
    for (size_t i = 0; i < report->device_count; i++)
        check_device(report, &report->devices[i]);
}
