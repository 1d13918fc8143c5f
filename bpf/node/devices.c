/* SPDX-License-Identifier: Apache-2.0 */
#include "devices.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "cleanup.h"

static void free_names(struct if_nameindex **names)
{
    if (*names)
        if_freenameindex(*names);
}

/* A device may be gone since it was listed. */
static int read_type(int fd, struct device *device)
{
    struct ifreq request = {0};

    memcpy(request.ifr_name, device->name, sizeof(device->name));
    if (ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    device->type = request.ifr_hwaddr.sa_family;
    return 0;
}

int devices_list(struct device **ret_devices, size_t *ret_count)
{
    CLEANUP(closep) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CLEANUP(free_names) struct if_nameindex *names = if_nameindex();
    struct device *devices;
    size_t count = 0;

    if (fd < 0 || !names)
        return -errno;
    while (names[count].if_index)
        count++;
    devices = calloc(count + 1, sizeof(*devices));
    if (!devices)
        return -ENOMEM;
    *ret_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct device *device = &devices[*ret_count];

        device->ifindex = names[i].if_index;
        (void)snprintf(device->name, sizeof(device->name), "%s", names[i].if_name);
        if (read_type(fd, device) == 0)
            ++*ret_count;
    }
    *ret_devices = devices;
    return 0;
}

int devices_watch(void)
{
    const struct sockaddr_nl groups = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
    };
    CLEANUP(closep)
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

    if (fd < 0 || bind(fd, (const struct sockaddr *)&groups, sizeof(groups)) < 0)
        return -errno;
    return take_fd(&fd);
}

void devices_drain(int fd)
{
    char ignored[8192];

    while (recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT) >= 0 || errno == ENOBUFS ||
           errno == EINTR)
        ;
}
