/* SPDX-License-Identifier: Apache-2.0 */
/* What of a node is pinned: all that shall outlive the agent. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node_private.h"
#include "oplog.h"
#include "pin_names.h"

static const char *const PROGRAM_PINS[OBJECT_COUNT_] = {
    [OBJECT_XDP] = "prog_xdp",
    [OBJECT_TCX] = "prog_tcx",
    [OBJECT_CGROUP] = "prog_cgroup",
    [OBJECT_KEEPER] = PIN_KEEPER,
};

const char *node_program_pin(enum object object)
{
    return PROGRAM_PINS[object];
}

/* Pin, or with `missing` only if nothing has the name: what was missing was wiped. */
static int put(struct node *node, const char *name, int fd, enum pin_kind kind, bool missing)
{
    int r;

    if (fd < 0 || (missing && pins_has(&node->pins, node->set, name)))
        return 0;
    r = pins_put(&node->pins, node->set, name, fd, kind);
    if (r == 0)
        node->repairs += missing;
    return r;
}

/* Only what readers look at: the rest would help somebody to forge a SYN, or to have one skipped.
 */
static enum pin_kind kind_of(enum capture_map map)
{
    switch (map) {
    case MAP_LIVE:
    case MAP_ALIAS:
    case MAP_CAPTURED:
    case MAP_PORTS:
    case MAP_PREFIXES:
    case MAP_CONFIG:
    case MAP_META:
    case MAP_COUNTERS:
        return PIN_MAP;
    default:
        return PIN_PRIVATE_MAP;
    }
}

static int put_maps(struct node *node, bool missing)
{
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        int r = put(node, CAPTURE_MAP_NAMES[map], node->maps.fd[map], kind_of(map), missing);

        if (r < 0)
            return r;
    }
    return 0;
}

static int put_trackers(struct node *node, bool missing)
{
    for (unsigned i = 0; i < TRACKERS * TRACKER_PROGRAMS; i++) {
        unsigned copy = i / TRACKER_PROGRAMS, program = i % TRACKER_PROGRAMS;
        char name[TRACKER_PIN_MAX];
        int r;

        tracker_pin_name(copy, program, name);
        r = put(node, name, node->trackers[copy][program], PIN_LINK, missing);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A program that did not load here leaves none of an earlier agent behind. */
static int put_programs(struct node *node, bool missing)
{
    for (enum object object = 0; object < OBJECT_COUNT_; object++) {
        const char *name = PROGRAM_PINS[object];
        int r = name ? put(node, name, node->programs[object], PIN_PROGRAM, missing) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* clsact has no link: the program at the device's name stands for the hook. */
static int put_hook(struct node *node, const struct site *site, bool missing)
{
    bool is_clsact = site->at.kind == NODE_HOOK_CLSACT;
    int fd = is_clsact ? node->programs[OBJECT_TCX] : site->link.fd;
    char name[HOOK_PIN_MAX];
    int r;

    hook_pin_name(&site->at, name);
    r = put(node, name, fd, is_clsact ? PIN_PROGRAM : PIN_LINK, missing);
    if (r < 0 || !is_clsact || !site->link.clsact.made_qdisc)
        return r;
    qdisc_pin_name(site->at.ifindex, name);
    return put(node, name, fd, PIN_PROGRAM, missing);
}

int node_pin_hook(struct node *node, const struct site *site)
{
    return put_hook(node, site, false);
}

static int put_hooks(struct node *node, bool missing)
{
    for (size_t i = 0; i < node->sites.count; i++) {
        const struct site *site = &node->sites.items[i];
        int r = site->attached ? put_hook(node, site, missing) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int put_all(struct node *node, bool missing)
{
    int r = put_maps(node, missing);

    if (r == 0)
        r = put_trackers(node, missing);
    if (r == 0)
        r = put_programs(node, missing);
    return r == 0 ? put_hooks(node, missing) : r;
}

int node_pin_all(struct node *node)
{
    int r = pins_make_set(&node->pins, node->set);

    if (r == 0) /* by it the next agent knows the set if this one gets no further */
        r = put(node, PINS_META, node->maps.fd[MAP_META], PIN_MAP, false);
    return r < 0 ? r : put_all(node, false);
}

/* The whole folder may be gone, with or without the file system that it was on. */
int node_pin_missing(struct node *node, struct diag *diag)
{
    int r = 0;

    if (!pins_are_ours(&node->pins)) {
        struct pins again;

        r = pins_open(node->pins.folder, node->pins.group, &again, diag);
        if (r < 0)
            return r;
        pins_close(&node->pins);
        node->pins = again;
    }
    r = pins_make_set(&node->pins, node->set);
    return r < 0 ? r : put_all(node, true);
}

/* Why pins that were removed cannot be made again, and what to do.  The agent has given up what
 * mounting takes. */
static void explain_unpinned(const struct node *node, int error, const struct diag *diag,
                             char why[UNPINNED_MAX])
{
    const char *folder = node->pins.folder;

    if (!bpffs_holds(folder))
        (void)snprintf(why, UNPINNED_MAX,
                       "%s: the BPF file system with the pins is gone; mount one (`mount -t bpf -o "
                       "mode=0750 synauthz %s`) or restart the agent, with which capture ends now",
                       folder, folder);
    else
        (void)snprintf(why, UNPINNED_MAX,
                       "%s: the pins are gone and cannot be made again: %.200s; capture ends now "
                       "with the agent",
                       folder, diag->text[0] ? diag->text : strerror(-error));
}

/* Says only what is new. */
void node_mend_pins(struct node *node)
{
    uint64_t before = node->repairs;
    char why[UNPINNED_MAX] = "";
    struct diag diag = {.text = ""};
    int r = node_pin_missing(node, &diag);

    if (r < 0)
        explain_unpinned(node, r, &diag, why);
    if (r < 0 && strcmp(why, node->unpinned) != 0)
        oplog_error("%s", why);
    else if (r == 0 && (node->repairs != before || node->unpinned[0]))
        oplog_error("%s/%s: somebody had removed pins; they are there again", node->pins.folder,
                    node->set);
    memcpy(node->unpinned, why, sizeof(why));
}

void node_unpin_hook(struct node *node, const struct hook_place *site)
{
    char name[HOOK_PIN_MAX];

    hook_pin_name(site, name);
    (void)pins_remove(&node->pins, node->set, name);
    if (site->kind != NODE_HOOK_CLSACT)
        return;
    qdisc_pin_name(site->ifindex, name);
    (void)pins_remove(&node->pins, node->set, name);
}
