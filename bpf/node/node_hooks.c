/* SPDX-License-Identifier: Apache-2.0 */
/* The node's programs at the sites where SYNs are seen. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "node_private.h"
#include "oplog.h"

static const enum object OBJECT_OF[NODE_HOOK_COUNT_] = {
    [NODE_HOOK_XDP_NATIVE] = OBJECT_XDP, [NODE_HOOK_XDP_GENERIC] = OBJECT_XDP,
    [NODE_HOOK_TCX] = OBJECT_TCX,        [NODE_HOOK_CLSACT] = OBJECT_TCX,
    [NODE_HOOK_CGROUP] = OBJECT_CGROUP,
};

bool node_allows(const struct node *node, enum node_hook_kind kind)
{
    switch (node->settings.config.mode) {
    case NODE_AUTO:
        return kind != NODE_HOOK_XDP_GENERIC;
    case NODE_XDP:
        return kind == NODE_HOOK_XDP_NATIVE;
    case NODE_XDP_GENERIC:
        return kind == NODE_HOOK_XDP_GENERIC;
    case NODE_TCX:
        return kind == NODE_HOOK_TCX || kind == NODE_HOOK_CLSACT;
    default:
        return kind == NODE_HOOK_CGROUP;
    }
}

/* --- programs --------------------------------------------------------------------------------- */

static bool needs(const struct node *node, enum object object)
{
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        if (OBJECT_OF[kind] == object && node_allows(node, kind))
            return true;
    return false;
}

static void note_refused(struct node *node, enum object object, int error)
{
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        if (OBJECT_OF[kind] == object)
            node->host.refused[kind] = error;
}

/* One of several kinds of hook may be left out, the only one may not. */
int node_load_programs(struct node *node, struct diag *diag)
{
    unsigned loaded = 0;
    int first_error = 0;

    for (enum object object = 0; object < OBJECT_COUNT_; object++) {
        int fd;

        if (object == OBJECT_TRACK || !needs(node, object))
            continue;
        fd = objects_load_hook(object, &node->maps, diag);
        node->programs[object] = fd < 0 ? -1 : fd;
        note_refused(node, object, fd < 0 ? fd : 0);
        loaded += fd >= 0;
        if (fd < 0 && first_error == 0)
            first_error = fd;
    }
    if (loaded == 0)
        return first_error;
    if (diag)
        diag_clear(diag);
    return 0;
}

/* --- hooks of an agent before us -------------------------------------------------------------- */

struct adoption {
    struct node *node;
    const char *set;
};

static int add_site(struct node *node, const struct site *site)
{
    struct site *more =
        reallocarray(node->sites.items, node->sites.count + 1, sizeof(*node->sites.items));

    if (!more)
        return -ENOMEM;
    node->sites.items = more;
    more[node->sites.count++] = *site;
    return 0;
}

static void name_target(struct site *site)
{
    char name[IF_NAMESIZE] = "";

    if (site->is_cgroup)
        (void)snprintf(site->target, sizeof(site->target), "control group %llu",
                       (unsigned long long)site->at.cgroup_id);
    else
        (void)snprintf(site->target, sizeof(site->target), "%s",
                       if_indextoname(site->at.ifindex, name) ? name : "a device");
}

/* The site's link is the node's from now on. */
static int adopt(struct node *node, struct site *site)
{
    int r;

    if (site->at.kind == NODE_HOOK_XDP_NATIVE && hook_xdp_is_generic(site->at.ifindex))
        site->at.kind = NODE_HOOK_XDP_GENERIC;
    name_target(site);
    r = add_site(node, site);
    if (r < 0)
        hook_link_done(&site->link);
    return r;
}

/* Detached hooks, and those of devices in another network namespace, are let go.  What cannot be
 * opened is an error: without it we would attach a second time. */
static int on_pin(const char *name, void *context)
{
    const struct adoption *adoption = context;
    struct node *node = adoption->node;
    struct site site = {.attached = true, .was_there = true, .why = "attached by an agent before"};
    int r;

    if (!hook_pin_parse(name, &site.at))
        return 0;
    r = hook_pin_open(&node->pins, adoption->set, &site.at, &site.link);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    site.is_cgroup = site.at.kind == NODE_HOOK_CGROUP;
    if (hook_is_here(&site.at, &site.link))
        return adopt(node, &site);
    hook_detach(&site.at, &site.link);
    hook_link_done(&site.link);
    return pins_remove(&node->pins, adoption->set, name);
}

int node_adopt_hooks(struct node *node, const char *set)
{
    struct adoption adoption = {node, set};

    return pins_each(&node->pins, set, on_pin, &adoption);
}

/* A link that does not have the program that we think it has is replaced nonetheless: it is ours.
 */
static int renew(struct node *node, const char *old_set, struct site *site)
{
    enum object object = OBJECT_OF[site->at.kind];
    CLEANUP(closep) int old = pins_get(&node->pins, old_set, node_program_pin(object));
    int program = node->programs[object];
    int r = hook_replace(&site->at, &site->link, program, old);

    if (r < 0 && old >= 0)
        r = hook_replace(&site->at, &site->link, program, -1);
    return r;
}

void node_renew_hooks(struct node *node, const char *old_set)
{
    for (size_t i = 0; i < node->sites.count; i++) {
        struct site *site = &node->sites.items[i];
        int r = site->attached ? renew(node, old_set, site) : 0;

        if (r == 0)
            continue;
        oplog_error("%s: cannot replace the program at %s: %s; it is attached anew", site->target,
                    NODE_HOOK_NAMES[site->at.kind], strerror(-r));
        node_detach_site(node, site);
    }
}

/* --- attaching and detaching ------------------------------------------------------------------ */

/* Returns 0 or a negative errno; what is new about it is counted. */
static int try_kind(struct node *node, struct site *site, enum node_hook_kind kind)
{
    CLEANUP(closep) int cgroup = -1;
    int r;

    site->at.kind = kind;
    if (site->is_cgroup) {
        cgroup = open(site->target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (cgroup < 0)
            return -errno;
    }
    r = hook_attach(&site->at, cgroup, node->programs[OBJECT_OF[kind]], &site->link);
    if (r < 0 && site->refused[kind] != r)
        node->attach_failures++;
    site->refused[kind] = r;
    return r;
}

static void keep(struct node *node, struct site *site)
{
    int r = node_pin_hook(node, site);

    site->attached = true;
    site->missing = false;
    if (r < 0)
        oplog_error("%s: cannot pin its hook: %s", site->target, strerror(-r));
}

static void attach_device(struct node *node, struct site *site, unsigned short type)
{
    char foreign[16] = "";
    struct choose_device device = {
        .name = site->target,
        .ifindex = site->at.ifindex,
        .type = type,
        .foreign_xdp = site->at.ifindex ? hook_find_xdp(site->at.ifindex) : 0,
        .foreign_name = foreign,
    };
    struct choice choice;

    if (device.foreign_xdp)
        hook_program_name(device.foreign_xdp, foreign);
    device.foreign_name = foreign[0] ? foreign : NULL;
    for (;;) {
        choose_for_device(node->settings.config.mode, &node->host, &device, &choice);
        (void)snprintf(site->why, sizeof(site->why), "%s", choice.why);
        site->missing = choice.missing;
        if (!choice.some)
            return;
        device.refused[choice.kind] = try_kind(node, site, choice.kind);
        if (device.refused[choice.kind] == 0)
            break;
    }
    keep(node, site);
}

/* Only a control group that nobody asked for by name may be left out. */
static void attach_cgroup(struct node *node, struct site *site)
{
    const struct node_config *config = &node->settings.config;
    struct choice choice;
    int r;

    choose_for_cgroups(config->mode, &node->host, &choice);
    (void)snprintf(site->why, sizeof(site->why), "%s", choice.why);
    site->missing = choice.missing || config->cgroup_count > 0;
    if (!choice.some)
        return;
    r = site->at.cgroup_id ? try_kind(node, site, NODE_HOOK_CGROUP) : -ENOENT;
    if (r == 0) {
        keep(node, site);
        return;
    }
    site->missing =
        config->cgroup_count > 0 || config->mode == NODE_CGROUP || config->interface_count == 0;
    (void)snprintf(site->why, sizeof(site->why), "%s",
                   r == -ENOENT ? "there is no such control group" : strerror(-r));
}

void node_attach_site(struct node *node, struct site *site, unsigned short device_type)
{
    if (site->is_cgroup)
        attach_cgroup(node, site);
    else
        attach_device(node, site, device_type);
}

void node_detach_site(struct node *node, struct site *site)
{
    if (!site->attached)
        return;
    hook_detach(&site->at, &site->link);
    hook_link_done(&site->link);
    node_unpin_hook(node, &site->at);
    site->attached = site->was_there = false;
}

void node_detach_new(struct node *node)
{
    for (size_t i = 0; i < node->sites.count; i++)
        if (!node->sites.items[i].was_there)
            node_detach_site(node, &node->sites.items[i]);
}

void node_close_programs(struct node *node)
{
    for (int object = 0; object < OBJECT_COUNT_; object++)
        closep(&node->programs[object]);
    memset(node->programs, -1, sizeof(node->programs));
}

void node_check_hooks(struct node *node)
{
    for (size_t i = 0; i < node->sites.count; i++) {
        struct site *site = &node->sites.items[i];

        if (!site->attached || hook_check(&site->at, &site->link) == HOOK_ATTACHED)
            continue;
        hook_link_done(&site->link);
        node_unpin_hook(node, &site->at);
        site->attached = false;
        if (site->wanted) {
            node->repairs++;
            oplog_error("%s: somebody has detached %s; it is attached again", site->target,
                        NODE_HOOK_NAMES[site->at.kind]);
        } else if (!site->is_cgroup) {
            node->device_losses++;
            oplog_info("%s: the device has gone", site->target);
        }
    }
}

void node_close_hooks(struct node *node)
{
    for (size_t i = 0; i < node->sites.count; i++)
        if (node->sites.items[i].attached)
            hook_link_done(&node->sites.items[i].link);
    node_close_programs(node);
    free(node->sites.items);
    node->sites = (struct sites){0};
}
