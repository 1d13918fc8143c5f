/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of node.h share. */
#ifndef NODE_PRIVATE_H
#define NODE_PRIVATE_H

#include "choose.h"
#include "devices.h"
#include "hook_pin.h"
#include "hooks.h"
#include "map_set.h"
#include "node.h"
#include "node_settings.h"
#include "objects.h"
#include "pins.h"

/* A site that SYNs are, or should be, seen at. */
struct site {
    struct hook_place at; /* ifindex 0 and cgroup_id 0: it is not there */
    bool is_cgroup;
    char target[256]; /* name of the device or pattern, path of the control group */
    struct hook_link link;
    bool attached;
    bool was_there;                /* attached by an agent before us */
    bool wanted;                   /* by the settings as they are now */
    bool missing;                  /* not attached, and nothing stands in for it */
    int refused[NODE_HOOK_COUNT_]; /* what attaching said the last time: a negative errno */
    char why[CHOOSE_WHY_MAX];
};

struct sites {
    struct site *items;
    size_t count;
};

enum { UNPINNED_MAX = 2 * BPFFS_PATH_MAX + 256 };

struct node {
    struct node_settings settings;
    struct pins pins;
    char set[SET_NAME_MAX]; /* the folder that our pins are in */
    struct capture_maps maps;
    struct capture_meta meta; /* as it shall be; full_ns is the tracker's, and not known here */
    uint64_t written_ns;      /* when the heartbeat was (CLOCK_BOOTTIME) */
    uint64_t before_until_ns; /* until when (CLOCK_BOOTTIME) pending_before is of use; 0: it is not
                                 there */
    uint64_t keep_until_ns;   /* until when promoted SYNs stay pending (record.h, keep_pending); 0:
                                 they   do not */
    bool took_over;
    bool runs;                   /* node_run() has succeeded */
    char unpinned[UNPINNED_MAX]; /* why not all is pinned; empty: all is */

    bool tracked;
    char why_untracked[CHOOSE_WHY_MAX];
    int trackers[TRACKERS][TRACKER_PROGRAMS]; /* links */

    int programs[OBJECT_COUNT_]; /* of hooks, and the keeper; -1: not loaded */
    struct choose_host host;
    struct sites sites;
    struct node_hook *shown; /* the sites, as node_get_status() shows them */
    int events;

    uint64_t attach_failures, device_losses, repairs, carried, not_carried, map_bytes, memory_limit;
};

/* All functions that return int return 0 or a negative errno; with a message where there is a
 * `diag`. */

/* --- node_set.c: which maps --- */

/* Take over one of `sets`, or make a new one, which is not published yet (node->set is
 * PINS_UNFINISHED): with maps of the one that it will replace where they need not change. */
int node_choose_set(struct node *node, const struct map_sets *sets, struct diag *diag);

/* Is what is live in the set's maps in ours, too, because they are the same? */
bool node_shares_live(const struct node *node, const struct map_set *set);

/* Take live connections along where they are in other maps than ours. */
int node_carry(struct node *node, const struct map_set *from, struct diag *diag);

/* Give the set that was made its name: readers take it from now on. */
int node_publish(struct node *node, const struct map_sets *sets, struct diag *diag);

/* Readers leave each set whose live connections are not in our maps, too, before these are not kept
 * true any more. */
void node_end_others(const struct node *node, const struct map_sets *sets);

/* Unpin every set but ours. */
void node_remove_others(struct node *node, const struct map_sets *sets);

/* Write node->meta, but for full_ns. */
int node_write_meta(const struct node *node);

/* From now on only programs write what is known of SYNs and connections. */
int node_seal_evidence(const struct node *node, struct diag *diag);

/* Write the filters and what else programs are told. */
int node_write_settings(const struct node *node, struct diag *diag);

/* Handshakes that began before the maps were replaced have ended: forget their SYNs. */
void node_forget_before(struct node *node);

/* --- node_track.c: following sockets --- */

/* Can it be done here?  Sets node->tracked and, if not, why; fails only for want of a capability or
 * of memory. */
int node_decide_tracking(struct node *node, struct diag *diag);

/* Trackers for the present maps, before those that run are let go.  Nothing to do untracked. */
int node_attach_trackers(struct node *node, struct diag *diag);
void node_close_trackers(struct node *node);

/* --- node_hooks.c: programs at sites --- */

int node_load_programs(struct node *node, struct diag *diag);

/* Make the hooks that are pinned in `set` ours, with the programs that they have; those of devices
 * in another network namespace are detached. */
int node_adopt_hooks(struct node *node, const char *set);

/* Give all hooks our programs, which replace those that are pinned in `old_set`. */
void node_renew_hooks(struct node *node, const char *old_set);

/* Take note of what is there no more: devices that have gone, hooks that somebody took off. */
void node_check_hooks(struct node *node);

/* Attach at a site, by the best hook that works. */
void node_attach_site(struct node *node, struct site *site, unsigned short device_type);

/* Detach and unpin. */
void node_detach_site(struct node *node, struct site *site);

/* Those that were not there before us. */
void node_detach_new(struct node *node);

void node_close_programs(struct node *node);
void node_close_hooks(struct node *node);

/* Is the kind one that the mode asks for? */
bool node_allows(const struct node *node, enum node_hook_kind kind);

/* --- node_sites.c: node_reconcile() --- */

/* The first site that is there and could not be attached to, in a mode that says which hook it
 * must be. */
int node_find_refusal(const struct node *node, struct diag *diag);

/* Keep meta.state, hooks and hooks_missing true. */
void node_tell_state(struct node *node);

/* --- node_cleanup.c --- */

/* Sets a message that names the agent whose folder this is.  Returns -EBUSY. */
int node_say_busy(const char *pin_dir, struct diag *diag);

/* Before anything is taken from readers of a set: tell them that it has ended, and wait until all
 * have taken note.  A set without a keeper has never had readers, or has lost what they read.
 * Returns 0 or a negative
 * errno. */
int node_end_set(const struct pins *pins, const char *set);
void node_wait_for_readers(void);

/* --- node_pins.c: what outlives the agent --- */

int node_pin_all(struct node *node);

/* What was wiped meanwhile; adds to node->repairs. */
int node_pin_missing(struct node *node, struct diag *diag);

/* The same; says what is new, and notes in node->unpinned why it cannot be done. */
void node_mend_pins(struct node *node);

int node_pin_hook(struct node *node, const struct site *site);
void node_unpin_hook(struct node *node, const struct hook_place *site);

/* Name of the pin of a hook's program. */
const char *node_program_pin(enum object object);

#endif
