/* SPDX-License-Identifier: Apache-2.0 */
/* Which sites there should be a hook at, and what becomes of those where there should not. */
#include <errno.h>
#include <fnmatch.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "cgroup2.h"
#include "node_private.h"
#include "oplog.h"

/* The devices that there are now. */
struct present {
    struct device *devices;
    size_t count;
};

static void present_done(struct present *present)
{
    free(present->devices);
}

static unsigned short type_of(const struct present *present, unsigned ifindex)
{
    for (size_t i = 0; i < present->count; i++)
        if (present->devices[i].ifindex == ifindex)
            return present->devices[i].type;
    return 0;
}

/* --- what is wanted --------------------------------------------------------------------------- */

/* Of sites that are not there the name decides.  A hook of a kind that is not wanted any more is
 * another site, so that the new one can be attached before it goes. */
static bool is_same(const struct node *node, const struct site *a, const struct site *b)
{
    if (a->is_cgroup != b->is_cgroup || (a->attached && !node_allows(node, a->at.kind)))
        return false;
    if (a->at.ifindex != b->at.ifindex || a->at.cgroup_id != b->at.cgroup_id)
        return false;
    return a->at.ifindex || a->at.cgroup_id || strcmp(a->target, b->target) == 0;
}

/* Has the path of an attached control group come to mean another one? */
static bool is_replaced(const struct site *site, const struct site *wanted)
{
    return site->is_cgroup && site->attached && wanted->at.cgroup_id &&
           site->at.cgroup_id != wanted->at.cgroup_id && strcmp(site->target, wanted->target) == 0;
}

static void say_replaced(const struct sites *sites, const struct site *wanted)
{
    for (size_t i = 0; i < sites->count; i++)
        if (is_replaced(&sites->items[i], wanted)) {
            oplog_info("%s: this is another control group now, and is captured instead",
                       wanted->target);
            return;
        }
}

static void want(struct node *node, const struct site *wanted)
{
    struct sites *sites = &node->sites;
    struct site *more;

    for (size_t i = 0; i < sites->count; i++) {
        struct site *site = &sites->items[i];

        if (!is_same(node, site, wanted))
            continue;
        site->wanted = true;
        (void)snprintf(site->target, sizeof(site->target), "%s", wanted->target);
        return;
    }
    more = reallocarray(sites->items, sites->count + 1, sizeof(*sites->items));
    if (!more)
        return; /* the next time, perhaps */
    sites->items = more;
    say_replaced(sites, wanted);
    more[sites->count++] = *wanted;
}

static void want_device(struct node *node, const char *name, unsigned ifindex)
{
    struct site site = {.at.ifindex = ifindex, .wanted = true, .link.fd = -1};

    (void)snprintf(site.target, sizeof(site.target), "%s", name);
    want(node, &site);
}

/* A word that no device has stays in sight. */
static void want_devices(struct node *node, const struct present *present)
{
    const struct node_config *config = &node->settings.config;

    for (size_t i = 0; i < config->interface_count; i++) {
        bool found = false;

        for (size_t j = 0; j < present->count; j++) {
            const struct device *device = &present->devices[j];

            if (fnmatch(config->interfaces[i], device->name, 0) != 0)
                continue;
            found = true;
            want_device(node, device->name, device->ifindex);
        }
        if (!found)
            want_device(node, config->interfaces[i], 0);
    }
}

/* 0 when there is no such folder of a cgroup2. */
static uint64_t cgroup_id_of(const char *path)
{
    struct statfs fs;
    struct stat found;

    if (statfs(path, &fs) < 0 || fs.f_type != (__typeof__(fs.f_type))CGROUP2_SUPER_MAGIC ||
        stat(path, &found) < 0)
        return 0;
    return found.st_ino;
}

static void want_cgroup(struct node *node, const char *path)
{
    struct site site = {
        .at = {.kind = NODE_HOOK_CGROUP, .cgroup_id = cgroup_id_of(path)},
        .is_cgroup = true,
        .wanted = true,
        .link.fd = -1,
    };

    (void)snprintf(site.target, sizeof(site.target), "%s", path);
    want(node, &site);
}

static void want_cgroups(struct node *node)
{
    const struct node_config *config = &node->settings.config;
    char root[CGROUP2_PATH_MAX];

    node->host.has_cgroup2 = cgroup2_find(root) == 0;
    if (config->mode != NODE_AUTO && config->mode != NODE_CGROUP)
        return;
    for (size_t i = 0; i < config->cgroup_count; i++)
        want_cgroup(node, config->cgroups[i]);
    if (config->cgroup_count == 0)
        want_cgroup(node, node->host.has_cgroup2 ? root : "cgroup2");
}

/* --- and what is not -------------------------------------------------------------------------- */

static void forget(struct sites *sites, size_t index)
{
    sites->count--;
    memmove(&sites->items[index], &sites->items[index + 1],
            (sites->count - index) * sizeof(*sites->items));
}

/* XDP has room for one program on a device, so an unwanted one goes before the wanted one comes;
 * others go after. */
static void drop_unwanted(struct node *node, bool only_xdp)
{
    for (size_t i = node->sites.count; i-- > 0;) {
        struct site *site = &node->sites.items[i];

        if (site->wanted || (only_xdp && !(site->attached && hook_is_xdp(site->at.kind))))
            continue;
        node_detach_site(node, site);
        forget(&node->sites, i);
    }
}

static void attach_missing(struct node *node, const struct present *present)
{
    for (size_t i = 0; i < node->sites.count; i++) {
        struct site *site = &node->sites.items[i];

        if (site->wanted && !site->attached)
            node_attach_site(node, site, type_of(present, site->at.ifindex));
    }
}

void node_reconcile(struct node *node)
{
    CLEANUP(present_done) struct present present = {0};
    int r = devices_list(&present.devices, &present.count);

    if (r < 0) {
        oplog_error("cannot list the network devices: %s", strerror(-r));
        return;
    }
    for (size_t i = 0; i < node->sites.count; i++)
        node->sites.items[i].wanted = false;
    node->host.has_interfaces = node->settings.config.interface_count > 0;
    want_devices(node, &present);
    want_cgroups(node);
    node_check_hooks(node);
    drop_unwanted(node, true);
    attach_missing(node, &present);
    drop_unwanted(node, false);
    node_tell_state(node);
}

/* --- what came of it -------------------------------------------------------------------------- */

/* The first thing that attaching said; a device whose XDP is taken was not even tried. */
static int refusal_of(const struct site *site)
{
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        if (site->refused[kind])
            return site->refused[kind];
    return !site->is_cgroup && hook_find_xdp(site->at.ifindex) ? -EBUSY : -EOPNOTSUPP;
}

int node_find_refusal(const struct node *node, struct diag *diag)
{
    enum node_mode mode = node->settings.config.mode;

    for (size_t i = 0; mode != NODE_AUTO && i < node->sites.count; i++) {
        const struct site *site = &node->sites.items[i];
        struct hook_place at = site->at;
        int error;

        if (site->attached || !site->missing || (!at.ifindex && !at.cgroup_id))
            continue;
        error = refusal_of(site);
        if (error == -EOPNOTSUPP)
            return diag_set(diag, error, "%s: %s", site->target, site->why);
        if (mode == NODE_XDP || mode == NODE_XDP_GENERIC)
            at.kind = NODE_HOOK_XDP_NATIVE;
        return hook_error(diag, error, &at, site->target);
    }
    return 0;
}

void node_tell_state(struct node *node)
{
    uint32_t attached = 0, missing = 0;

    for (size_t i = 0; i < node->sites.count; i++) {
        attached += node->sites.items[i].attached;
        missing += node->sites.items[i].missing;
    }
    node->meta.hooks = attached;
    node->meta.hooks_missing = missing;
    if (strcmp(node->set, PINS_UNFINISHED) != 0)
        node->meta.state = missing ? CAPTURE_DEGRADED : CAPTURE_RUNNING;
    (void)node_write_meta(node); /* if not, the next beat does */
}
