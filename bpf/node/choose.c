/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

const char *const NODE_HOOK_NAMES[NODE_HOOK_COUNT_] = {
    [NODE_HOOK_XDP_NATIVE] = "xdp", [NODE_HOOK_XDP_GENERIC] = "xdp-generic",
    [NODE_HOOK_TCX] = "tcx",        [NODE_HOOK_CLSACT] = "clsact",
    [NODE_HOOK_CGROUP] = "cgroup",
};

/* Kinds in the order they are tried, ended by NODE_HOOK_COUNT_.  XDP above any driver is never
 * chosen by itself: it costs more than tcx and sees no more. */
static const enum node_hook_kind ORDERS[NODE_MODE_COUNT_][NODE_HOOK_COUNT_ + 1] = {
    [NODE_AUTO] = {NODE_HOOK_XDP_NATIVE, NODE_HOOK_TCX, NODE_HOOK_CLSACT, NODE_HOOK_COUNT_},
    [NODE_XDP] = {NODE_HOOK_XDP_NATIVE, NODE_HOOK_COUNT_},
    [NODE_XDP_GENERIC] = {NODE_HOOK_XDP_GENERIC, NODE_HOOK_COUNT_},
    [NODE_TCX] = {NODE_HOOK_TCX, NODE_HOOK_CLSACT, NODE_HOOK_COUNT_},
    [NODE_CGROUP] = {NODE_HOOK_COUNT_},
};

static const char *const GOOD_REASONS[NODE_HOOK_COUNT_] = {
    [NODE_HOOK_XDP_NATIVE] = "XDP in the driver: nearest to the wire, and the cheapest",
    [NODE_HOOK_XDP_GENERIC] = "XDP above the driver, as asked for",
    [NODE_HOOK_TCX] = "tcx: sees what XDP would, beside whatever else is attached",
    [NODE_HOOK_CLSACT] = "clsact: sees what XDP would",
};

struct text {
    char *buffer;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(text->buffer + text->used, CHOOSE_WHY_MAX - text->used, format, args);
    va_end(args);
    if (length > 0)
        text->used += (size_t)length;
    if (text->used >= CHOOSE_WHY_MAX)
        text->used = CHOOSE_WHY_MAX - 1;
}

/* Frames without an Ethernet header are not parsed on a device (loopback's have one). */
static bool carries_ethernet(const struct choose_device *device)
{
    return device->type == ARPHRD_ETHER || device->type == ARPHRD_LOOPBACK;
}

static bool is_xdp(enum node_hook_kind kind)
{
    return kind == NODE_HOOK_XDP_NATIVE || kind == NODE_HOOK_XDP_GENERIC;
}

static void add_refusal(struct text *text, enum node_hook_kind kind, int error)
{
    if (kind == NODE_HOOK_XDP_NATIVE && error == -EOPNOTSUPP)
        add(text, "the driver runs no XDP");
    else if (is_xdp(kind) && (error == -EBUSY || error == -EEXIST))
        add(text, "XDP is taken by another program");
    else if (kind == NODE_HOOK_TCX && error == -EINVAL)
        add(text, "the kernel has no tcx (it came with Linux 6.6)");
    else
        add(text, "%s: %s", NODE_HOOK_NAMES[kind], strerror(-error));
}

/* Can `kind` be used, for all that is known?  If not, says why behind what `text` holds. */
static bool is_possible(enum node_hook_kind kind, const struct choose_host *host,
                        const struct choose_device *device, struct text *text)
{
    int error = host->refused[kind] ? host->refused[kind] : device->refused[kind];

    if (!error && !(is_xdp(kind) && device->foreign_xdp))
        return true;
    if (text->used > 0)
        add(text, "; ");
    if (is_xdp(kind) && device->foreign_xdp)
        add(text, "XDP is taken by program %u%s%s%s", device->foreign_xdp,
            device->foreign_name ? " (" : "", device->foreign_name ? device->foreign_name : "",
            device->foreign_name ? ")" : "");
    else
        add_refusal(text, kind, error);
    return false;
}

/* "eth*" may stand for nothing today; "eth0" was meant to be there. */
static bool is_named(const struct choose_device *device)
{
    return !strpbrk(device->name, "*?[");
}

/* Without the device's own hook its connections are still seen by the control groups.  A device
 * that was named and is not there is missed all the same. */
static void settle_for_none(enum node_mode mode, const struct choose_host *host,
                            const struct choose_device *device, struct choice *choice)
{
    struct choice cgroups = {.some = false};

    if (mode == NODE_AUTO)
        choose_for_cgroups(mode, host, &cgroups);
    choice->missing = !cgroups.some || (!device->ifindex && is_named(device));
    if (cgroups.some) {
        struct text text = {choice->why, strlen(choice->why)};

        add(&text, "; the control groups see its connections");
    }
}

static void explain_hook(struct choice *choice, const char *obstacles)
{
    if (obstacles[0])
        (void)snprintf(choice->why, CHOOSE_WHY_MAX, "%s, because %.*s",
                       NODE_HOOK_NAMES[choice->kind], CHOOSE_WHY_MAX / 2, obstacles);
    else
        (void)snprintf(choice->why, CHOOSE_WHY_MAX, "%s", GOOD_REASONS[choice->kind]);
}

static void choose_among(const enum node_hook_kind *kinds, const struct choose_host *host,
                         const struct choose_device *device, struct choice *choice)
{
    char obstacles[CHOOSE_WHY_MAX] = "";
    struct text text = {obstacles, 0};

    for (; *kinds != NODE_HOOK_COUNT_; kinds++) {
        if (!is_possible(*kinds, host, device, &text))
            continue;
        choice->some = true;
        choice->kind = *kinds;
        explain_hook(choice, obstacles);
        return;
    }
    (void)snprintf(choice->why, CHOOSE_WHY_MAX, "%s", obstacles);
}

void choose_for_device(enum node_mode mode, const struct choose_host *host,
                       const struct choose_device *device, struct choice *ret_choice)
{
    struct choice choice = {.some = false};

    if (mode == NODE_CGROUP)
        (void)snprintf(choice.why, CHOOSE_WHY_MAX, "only control groups were asked for");
    else if (!device->ifindex)
        (void)snprintf(choice.why, CHOOSE_WHY_MAX, "there is no such device here");
    else if (!carries_ethernet(device))
        (void)snprintf(choice.why, CHOOSE_WHY_MAX,
                       "its packets have no Ethernet header, which the hooks of devices look for");
    else
        choose_among(ORDERS[mode], host, device, &choice);
    if (!choice.some && mode != NODE_CGROUP)
        settle_for_none(mode, host, device, &choice);
    *ret_choice = choice;
}

static bool wants_cgroups(enum node_mode mode)
{
    return mode == NODE_AUTO || mode == NODE_CGROUP;
}

void choose_for_cgroups(enum node_mode mode, const struct choose_host *host,
                        struct choice *ret_choice)
{
    struct choice choice = {.some = false, .kind = NODE_HOOK_CGROUP};
    int error = host->refused[NODE_HOOK_CGROUP];

    if (!wants_cgroups(mode))
        (void)snprintf(choice.why, CHOOSE_WHY_MAX, "only devices were asked for");
    else if (!host->has_cgroup2)
        (void)snprintf(choice.why, CHOOSE_WHY_MAX,
                       "no cgroup2 is mounted where this process can see it");
    else if (error)
        (void)snprintf(choice.why, CHOOSE_WHY_MAX, "cgroup: %s", strerror(-error));
    else
        choice.some = true;

    if (choice.some)
        (void)snprintf(choice.why, CHOOSE_WHY_MAX,
                       "control groups: see what reaches sockets behind NAT, in pods and on "
                       "loopback, which no device does");
    choice.missing =
        !choice.some && (mode == NODE_CGROUP || (mode == NODE_AUTO && !host->has_interfaces));
    *ret_choice = choice;
}

bool choose_tracking(int refused, bool has_btf, bool turned_off, char ret_why[CHOOSE_WHY_MAX])
{
    if (turned_off)
        (void)snprintf(ret_why, CHOOSE_WHY_MAX, "following sockets is turned off");
    else if (!refused)
        (void)snprintf(ret_why, CHOOSE_WHY_MAX,
                       "the kernel lets us follow sockets, which prove whose SYN it was");
    else if (!has_btf)
        (void)snprintf(ret_why, CHOOSE_WHY_MAX,
                       "sockets cannot be followed: this kernel has no type information "
                       "(/sys/kernel/btf/vmlinux, CONFIG_DEBUG_INFO_BTF)");
    else
        (void)snprintf(ret_why, CHOOSE_WHY_MAX,
                       "sockets cannot be followed: the kernel refused the tracker (%s)",
                       strerror(-refused));
    return !turned_off && !refused;
}
