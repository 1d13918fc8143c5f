/* SPDX-License-Identifier: Apache-2.0 */
/* What a device's driver can do: the kernel's own list of XDP features, by generic netlink (the
 * family `netdev`, Linux 6.3), and the driver's name. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "cleanup.h"
#include "probe_parts.h"

/* linux/netdev.h, which Debian 12 does not have yet. */
enum {
    DEV_GET = 1,
    DEV_IFINDEX = 1,
    DEV_XDP_FEATURES = 3,
    XDP_BASIC = 1, /* the first of the features: the driver runs programs */
};

enum { MESSAGE_MAX = 8192, ATTRIBUTE_MAX = 32 };

/* One attribute, behind the headers that generic netlink wants. */
struct request {
    struct nlmsghdr header;
    struct genlmsghdr generic;
    struct nlattr attribute;
    char value[ATTRIBUTE_MAX];
};

struct reply {
    union {
        struct nlmsghdr header;
        char bytes[MESSAGE_MAX];
    } message;
    size_t length;
};

/* Returns 0, or a negative errno, also the one that the kernel answers with. */
static int ask(int fd, uint16_t family, uint8_t command, uint16_t attribute, const void *value,
               uint16_t size, struct reply *ret_reply)
{
    struct request request = {
        .header = {.nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST},
        .generic = {.cmd = command, .version = 1},
        .attribute = {.nla_type = attribute, .nla_len = (uint16_t)(NLA_HDRLEN + size)},
    };
    ssize_t length;

    memcpy(request.value, value, size);
    request.header.nlmsg_len =
        (uint32_t)(offsetof(struct request, attribute) + NLA_ALIGN(request.attribute.nla_len));
    if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
        return -errno;
    length = recv(fd, &ret_reply->message, sizeof(ret_reply->message), 0);
    if (length < 0)
        return -errno;
    ret_reply->length = (size_t)length;
    if (!NLMSG_OK(&ret_reply->message.header, (uint32_t)length))
        return -EPROTO;
    return ret_reply->message.header.nlmsg_type == NLMSG_ERROR ? -ENOENT : 0;
}

/* Copies the value of an attribute of `size` bytes. */
static bool find(const struct reply *reply, uint16_t wanted, void *ret_value, size_t size)
{
    const char *at = reply->message.bytes + NLMSG_HDRLEN + GENL_HDRLEN;
    const char *end = reply->message.bytes + reply->message.header.nlmsg_len;

    while (end - at >= NLA_HDRLEN) {
        struct nlattr attribute;

        memcpy(&attribute, at, sizeof(attribute));
        if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > end - at)
            return false;
        if ((attribute.nla_type & NLA_TYPE_MASK) == wanted &&
            attribute.nla_len >= NLA_HDRLEN + size) {
            memcpy(ret_value, at + NLA_HDRLEN, size);
            return true;
        }
        at += NLA_ALIGN(attribute.nla_len);
    }
    return false;
}

static bool find_family(int fd, struct reply *reply, uint16_t *ret_family)
{
    static const char NAME[] = "netdev";

    return ask(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, NAME, sizeof(NAME),
               reply) == 0 &&
           find(reply, CTRL_ATTR_FAMILY_ID, ret_family, sizeof(*ret_family));
}

enum probe_answer probe_driver_runs_xdp(unsigned ifindex)
{
    static const struct timeval PATIENCE = {.tv_sec = 1};
    CLEANUP(closep) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
    uint32_t number = ifindex;
    uint16_t family;
    uint64_t features;
    struct reply reply;

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &PATIENCE, sizeof(PATIENCE)) < 0 ||
        !find_family(fd, &reply, &family) ||
        ask(fd, family, DEV_GET, DEV_IFINDEX, &number, sizeof(number), &reply) < 0 ||
        !find(&reply, DEV_XDP_FEATURES, &features, sizeof(features)))
        return PROBE_UNKNOWN;
    return features & XDP_BASIC ? PROBE_YES : PROBE_NO;
}

bool probe_is_veth(int socket_fd, const char *device)
{
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {.ifr_data = (char *)&info};

    (void)snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
    return ioctl(socket_fd, SIOCETHTOOL, &request) == 0 && strcmp(info.driver, "veth") == 0;
}
