/* SPDX-License-Identifier: Apache-2.0 */
/* The node's trackers.  A BTF tracepoint's link cannot be given another program: the new one is
 * attached first, and what happens meanwhile is handled by both, which is the same as by one. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "load_error.h"
#include "node_private.h"

struct trackers {
    int links[TRACKERS][TRACKER_PROGRAMS];
};

static void trackers_close(struct trackers *trackers)
{
    for (unsigned i = 0; i < TRACKERS * TRACKER_PROGRAMS; i++)
        closep(&trackers->links[i / TRACKER_PROGRAMS][i % TRACKER_PROGRAMS]);
    memset(trackers, -1, sizeof(*trackers));
}

/* The link holds the program. */
static int attach_copy(unsigned copy, const struct capture_maps *maps, int links[TRACKER_PROGRAMS],
                       struct diag *diag)
{
    int programs[TRACKER_PROGRAMS];
    int r = objects_load_tracker(copy, maps, programs, diag);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < TRACKER_PROGRAMS; i++) {
        CLEANUP(closep) int program = programs[i];

        links[i] = r < 0 ? -1 : bpf_raw_tracepoint_open(NULL, program);
        if (r == 0 && links[i] < 0)
            r = diag_set(diag, -errno, "cannot attach to the kernel's socket events: %s",
                         strerror(errno));
    }
    return r;
}

static int attach_all(const struct capture_maps *maps, struct trackers *ret_trackers,
                      struct diag *diag)
{
    CLEANUP(trackers_close) struct trackers trackers;
    int r = 0;

    memset(&trackers, -1, sizeof(trackers));
    for (unsigned copy = 0; r == 0 && copy < TRACKERS; copy++)
        r = attach_copy(copy, maps, trackers.links[copy], diag);
    if (r < 0)
        return r;
    *ret_trackers = trackers;
    memset(&trackers, -1, sizeof(trackers));
    return 0;
}

/* One copy, with maps of one entry each, which all go at once. */
static int try_tracking(struct diag *diag)
{
    static const struct map_sizes SMALLEST = {1, 1, 1};
    CLEANUP(capture_maps_close) struct capture_maps maps;
    CLEANUP(trackers_close) struct trackers trackers;
    int r;

    memset(&trackers, -1, sizeof(trackers));
    capture_maps_init(&maps);
    r = objects_make_maps(&SMALLEST, &maps, diag);
    return r < 0 ? r : attach_copy(0, &maps, trackers.links[0], diag);
}

int node_decide_tracking(struct node *node, struct diag *diag)
{
    bool has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    bool turned_off = node->settings.config.no_tracking;
    struct diag refusal = {.text = ""};
    int refused = turned_off || !has_btf ? 0 : try_tracking(&refusal);

    if ((refused == -EPERM || refused == -EACCES) && load_error_lacks_capabilities())
        return diag_set(diag, refused, "%s", refusal.text);
    if (refused == -ENOMEM)
        return diag_set(diag, refused, "%s", refusal.text);
    if (!turned_off && !has_btf)
        refused = -ENOENT;
    node->tracked = choose_tracking(refused, has_btf, turned_off, node->why_untracked);
    if (node->tracked)
        node->why_untracked[0] = '\0';
    return 0;
}

int node_attach_trackers(struct node *node, struct diag *diag)
{
    struct trackers fresh = {0};
    int r;

    if (!node->tracked)
        return 0;
    r = attach_all(&node->maps, &fresh, diag);
    if (r < 0)
        return r;
    node_close_trackers(node);
    memcpy(node->trackers, fresh.links, sizeof(node->trackers));
    return 0;
}

void node_close_trackers(struct node *node)
{
    struct trackers held;

    memcpy(held.links, node->trackers, sizeof(held.links));
    trackers_close(&held);
    memset(node->trackers, -1, sizeof(node->trackers));
}
