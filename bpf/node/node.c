/* SPDX-License-Identifier: Apache-2.0 */
#include "node.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cleanup.h"
#include "map_memory.h"
#include "node_private.h"
#include "oplog.h"

/* The kernel takes a link off a moment after its last pin was removed: programs of a tracker still
 * run until then, which would take SYNs away from ours if these were not kept. */
#define TRACKERS_END_NS 2000000000ull

static void node_free(struct node *node)
{
    node_close_trackers(node);
    node_close_hooks(node);
    capture_maps_close(&node->maps);
    pins_close(&node->pins);
    closep(&node->events);
    node_settings_done(&node->settings);
    free(node->shown);
    free(node);
}

/* A start that failed: what it made goes, what was there stays.  Descriptors go first, since the
 * want of these may be why it failed. */
static void node_abort(struct node *node)
{
    unsigned ignored = 0;

    node_close_trackers(node);
    node_close_programs(node);
    node_detach_new(node);
    if (node->pins.lock >= 0)
        (void)pins_remove_set(&node->pins, PINS_UNFINISHED, &ignored);
    node_free(node);
}

static void node_abortp(struct node **slot)
{
    if (*slot)
        node_abort(*slot);
}

static void node_leavep(struct node **slot)
{
    node_leave(*slot);
}

static int node_new(const struct node_config *config, struct node **ret_node, struct diag *diag)
{
    CLEANUP(node_abortp) struct node *node = calloc(1, sizeof(*node));
    int r;

    if (!node)
        return diag_set(diag, -ENOMEM, "no memory");
    node->pins.lock = node->events = -1;
    memset(node->trackers, -1, sizeof(node->trackers));
    memset(node->programs, -1, sizeof(node->programs));
    capture_maps_init(&node->maps);
    r = node_settings_copy(config, &node->settings, diag);
    if (r < 0)
        return r;
    node->events = devices_watch();
    if (node->events < 0)
        return diag_set(diag, node->events, "cannot watch the network devices: %s",
                        strerror(-node->events));
    *ret_node = TAKE_PTR(node);
    return 0;
}

static int open_pins(struct node *node, const struct node_config *config, struct diag *diag)
{
    struct diag refusal = {.text = ""};
    int r = pins_open(config->pin_dir, config->group, &node->pins, &refusal);

    if (r == -EBUSY)
        return node_say_busy(config->pin_dir, diag);
    return r < 0 ? diag_set(diag, r, "%s", refusal.text) : 0;
}

static int find_sets(struct node *node, struct map_sets *ret_sets, struct diag *diag)
{
    int r = map_sets_open(&node->pins, ret_sets);

    if (r < 0)
        return diag_set(diag, r, "%s: cannot read the pins: %s", node->pins.folder, strerror(-r));
    return 0;
}

/* Trackers of a set that the agent before removed may still be about to go. */
static void keep_settings(struct node *node)
{
    struct capture_config before;

    if (bpf_map_lookup_elem(node->maps.fd[MAP_CONFIG], &(uint32_t){0}, &before) == 0 &&
        before.keep_pending)
        node->keep_until_ns = boot_time_ns() + TRACKERS_END_NS;
}

static int adopt_hooks(struct node *node, const struct map_set *before, struct diag *diag)
{
    char set[SET_NAME_MAX];
    int r;

    set_name_format(before->name, set);
    r = node_adopt_hooks(node, set);
    if (r < 0)
        return diag_set(diag, r, "%s/%s: cannot take the hooks over that are attached: %s",
                        node->pins.folder, set, strerror(-r));
    return 0;
}

/* Hooks first, since only they can be refused: until then nothing has changed for what runs. */
static int attach(struct node *node, const struct map_set *before, struct diag *diag)
{
    int r = before ? adopt_hooks(node, before, diag) : 0;

    if (r < 0)
        return r;
    node_reconcile(node);
    r = node_find_refusal(node, diag);
    if (before && !node->took_over)
        node->keep_until_ns = UINT64_MAX;
    if (r == 0)
        r = node_write_settings(node, diag);
    return r == 0 ? node_attach_trackers(node, diag) : r;
}

static int pin_all(struct node *node, struct diag *diag)
{
    int r = node_pin_all(node);

    if (r < 0)
        return diag_set(diag, r, "%s/%s: cannot pin: %s", node->pins.folder, node->set,
                        strerror(-r));
    return 0;
}

/* From the set before, if there is one, to a new one. */
static int go_over(struct node *node, const struct map_set *before, const struct map_sets *sets,
                   struct diag *diag)
{
    char old_set[SET_NAME_MAX] = PINS_UNFINISHED;
    int r = before ? node_carry(node, before, diag) : 0;

    if (r == 0)
        r = node_seal_evidence(node, diag);
    if (r == 0)
        r = pin_all(node, diag);
    if (r == 0)
        r = node_publish(node, sets, diag);
    if (r < 0 || !before)
        return r;
    set_name_format(before->name, old_set);
    node_end_others(node, sets);
    node_renew_hooks(node, old_set);
    node_remove_others(node, sets);
    node->keep_until_ns = boot_time_ns() + TRACKERS_END_NS;
    return 0;
}

/* The set is there already: other programs for it. */
static int go_on(struct node *node, const struct map_sets *sets, struct diag *diag)
{
    int r;

    node_end_others(node, sets);
    node_renew_hooks(node, node->set);
    r = pin_all(node, diag);
    if (r == 0)
        node_remove_others(node, sets);
    return r;
}

static int open_set(struct node *node, struct map_sets *ret_sets, struct diag *diag)
{
    int r = find_sets(node, ret_sets, diag);

    if (r == 0)
        r = node_decide_tracking(node, diag);
    if (r == 0)
        r = node_choose_set(node, ret_sets, diag);
    if (r == 0)
        r = node_load_programs(node, diag);
    if (r == 0)
        keep_settings(node);
    return r;
}

static int start(struct node *node, struct diag *diag)
{
    CLEANUP(map_sets_done) struct map_sets sets = {0};
    const struct map_set *before;
    int r = open_set(node, &sets, diag);

    if (r < 0)
        return r;
    before = sets.count ? &sets.items[0] : NULL;
    r = attach(node, before, diag);
    if (r < 0)
        return r;
    return node->took_over ? go_on(node, &sets, diag) : go_over(node, before, &sets, diag);
}

static void check_memory(struct node *node)
{
    node->map_bytes = map_memory_used(&node->maps);
    node->memory_limit = map_memory_limit();
    if (node->memory_limit && node->map_bytes > node->memory_limit / 2)
        oplog_error("the maps take %llu bytes of the %llu that the control group allows; allow "
                    "fewer pending SYNs or live connections, or raise the limit",
                    (unsigned long long)node->map_bytes, (unsigned long long)node->memory_limit);
}

static void tell_alive(struct node *node)
{
    node->meta.heartbeat_ns = boot_time_ns();
    if (node_write_meta(node) == 0)
        node->written_ns = node->meta.heartbeat_ns;
}

static int run_once(struct node *node, struct diag *diag)
{
    int r = start(node, diag);

    if (r < 0)
        return r;
    node->runs = true;
    node->meta.owner_pid = (uint32_t)getpid();
    tell_alive(node);
    check_memory(node);
    node->repairs = 0;
    node_reconcile(node); /* again what could not be renewed */
    return 0;
}

/* Was an agent killed while it replaced a set?  Sets the sizes that it was going over to. */
static bool find_interrupted(const struct node *node, struct node_config *ret_config)
{
    CLEANUP(map_sets_done) struct map_sets sets = {0};
    const struct capture_meta *meta;

    if (map_sets_open(&node->pins, &sets) < 0 || sets.count < 2 ||
        !map_set_is_true(&sets.items[0]) || sets.items[0].meta.layout != SYN_LAYOUT)
        return false;
    meta = &sets.items[0].meta;
    *ret_config = node->settings.config;
    ret_config->no_tracking = !meta->tracked;
    ret_config->max_pending = meta->tracked ? meta->pending_size : meta->captured_size;
    ret_config->max_live = meta->live_size;
    return true;
}

/* As another node would that had come before this one, under the same lock. */
static int finish(const struct node *node, const struct node_config *interrupted, struct diag *diag)
{
    CLEANUP(node_leavep) struct node *other = NULL;
    int r = node_new(interrupted, &other, diag);

    if (r < 0)
        return r;
    other->pins = node->pins;
    other->pins.dir = fcntl(node->pins.dir, F_DUPFD_CLOEXEC, 0);
    other->pins.lock = fcntl(node->pins.lock, F_DUPFD_CLOEXEC, 0);
    if (other->pins.dir < 0 || other->pins.lock < 0)
        return diag_set(diag, -errno, "%s: %s", node->pins.folder, strerror(errno));
    return run_once(other, diag);
}

static int say_too_many(struct diag *diag)
{
    struct rlimit limit = {0};

    (void)getrlimit(RLIMIT_NOFILE, &limit);
    if (diag)
        diag_clear(diag); /* what it was that could not be opened does not help */
    return diag_set(diag, -EMFILE,
                    "%ju open files, the limit of this process (RLIMIT_NOFILE), are not enough: "
                    "the agent holds one for each hook and some 50 besides; raise it (LimitNOFILE= "
                    "of the unit, `ulimit -n`), or name fewer interfaces",
                    (uintmax_t)limit.rlim_cur);
}

int node_open(const struct node_config *config, struct node **ret_node, struct diag *diag)
{
    CLEANUP(node_abortp) struct node *node = NULL;
    int r = node_new(config, &node, diag);

    if (r == 0)
        r = open_pins(node, config, diag);
    if (r == 0)
        *ret_node = TAKE_PTR(node);
    return r;
}

int node_run(struct node *node, struct diag *diag)
{
    struct node_config interrupted;
    int r = find_interrupted(node, &interrupted) ? finish(node, &interrupted, diag) : 0;

    if (r == 0)
        r = run_once(node, diag);
    return r == -EMFILE ? say_too_many(diag) : r;
}

int node_start(const struct node_config *config, struct node **ret_node, struct diag *diag)
{
    CLEANUP(node_leavep) struct node *node = NULL;
    int r = node_open(config, &node, diag);

    if (r == 0)
        r = node_run(node, diag);
    if (r == 0)
        *ret_node = TAKE_PTR(node);
    return r;
}

/* --- while it runs ---------------------------------------------------------------------------- */

int node_reconfigure(struct node *node, const struct node_config *config, struct diag *diag)
{
    struct node_settings settings, before;
    int r = node_settings_check_change(&node->settings, config, diag);

    if (r == 0 && strcmp(config->pin_dir, node->pins.folder) != 0)
        r = diag_set(diag, -EINVAL, "the folder of the pins cannot change while the agent runs");
    if (r == 0)
        r = node_settings_copy(config, &settings, diag);
    if (r < 0)
        return r;
    before = node->settings;
    node->settings = settings;
    r = node_write_settings(node, diag);
    if (r < 0) {
        node->settings = before;
        (void)node_write_settings(node, NULL);
        node_settings_done(&settings);
        return r;
    }
    node_settings_done(&before);
    node_reconcile(node);
    return 0;
}

static bool has_detached_hook(const struct node *node)
{
    for (size_t i = 0; i < node->sites.count; i++) {
        const struct site *site = &node->sites.items[i];

        if (site->attached && hook_check(&site->at, &site->link) != HOOK_ATTACHED)
            return true;
    }
    return false;
}

/* A tracker cannot be detached while we hold its link, so the maps stay true. */
void node_beat(struct node *node)
{
    uint64_t now = boot_time_ns();

    tell_alive(node);
    if (has_detached_hook(node))
        node_reconcile(node);
    node_mend_pins(node);
    if (node->keep_until_ns && now > node->keep_until_ns) {
        node->keep_until_ns = 0;
        (void)node_write_settings(node, NULL); /* else they are kept, which costs only room */
    }
    if (node->before_until_ns && now > node->before_until_ns)
        node_forget_before(node);
}

int node_event_fd(const struct node *node)
{
    return node->events;
}

void node_drain_events(struct node *node)
{
    devices_drain(node->events);
}

const struct capture_maps *node_get_maps(const struct node *node)
{
    return &node->maps;
}

void node_leave(struct node *node)
{
    if (!node)
        return;
    if (!node->runs) {
        node_abort(node);
        return;
    }
    (void)node_pin_missing(node, NULL); /* what is not pinned would end with us */
    node->meta.owner_pid = 0;
    (void)node_write_meta(node); /* if not, it names a process that is no more */
    node_free(node);
}

/* --- how it is -------------------------------------------------------------------------------- */

static void show(const struct site *site, struct node_hook *shown)
{
    *shown = (struct node_hook){
        .kind = site->at.kind,
        .ifindex = site->at.ifindex,
        .attached = site->attached,
    };
    memcpy(shown->target, site->target, sizeof(shown->target));
    memcpy(shown->why, site->why, sizeof(shown->why));
}

/* The first thing that is missing says why. */
static void explain(const struct node *node, struct node_status *status)
{
    status->unpinned = node->unpinned[0];
    status->ready = !status->unpinned;
    (void)snprintf(status->why, sizeof(status->why), "%.255s", node->unpinned);
    for (size_t i = 0; i < node->sites.count && status->ready; i++) {
        const struct site *site = &node->sites.items[i];

        if (!site->missing)
            continue;
        status->ready = false;
        (void)snprintf(status->why, sizeof(status->why), "%.100s: %.150s", site->target, site->why);
    }
}

void node_get_status(struct node *node, struct node_status *ret_status)
{
    struct node_hook *shown =
        reallocarray(node->shown, node->sites.count + 1, sizeof(*node->shown));

    *ret_status = (struct node_status){
        .tracked = node->tracked,
        .attach_failures = node->attach_failures,
        .device_losses = node->device_losses,
        .repairs = node->repairs,
        .heartbeat_ns = node->written_ns,
        .map_bytes = node->map_bytes,
        .memory_limit = node->memory_limit,
        .carried = node->carried,
        .not_carried = node->not_carried,
        .set = node->set,
        .took_over = node->took_over,
    };
    memcpy(ret_status->why_untracked, node->why_untracked, sizeof(ret_status->why_untracked));
    explain(node, ret_status);
    if (!shown)
        return;
    node->shown = shown;
    for (size_t i = 0; i < node->sites.count; i++)
        show(&node->sites.items[i], &shown[i]);
    ret_status->hooks = shown;
    ret_status->hook_count = node->sites.count;
}
