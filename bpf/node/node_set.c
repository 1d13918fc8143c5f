/* SPDX-License-Identifier: Apache-2.0 */
/* Which maps a node works with, and how it goes over from those of another set.
 *
 *     no set fits          a new one is made in a folder with another name; nothing is known of it
 *
 *     trackers attached    those of the old set run as well, and first; what they promote, they
 *                          leave pending for ours (keep_pending) if `live` is another map
 *
 *     carried              what was live before
 *
 *     published            by a rename; readers take it within a second
 *
 *     hooks renewed        new SYNs go to our `pending`; earlier ones are in `pending_before`
 *
 *     others removed       the old trackers with them; pending SYNs are kept until these have ended
 *
 * Killed in between, an agent leaves either a set without a name, which the next one removes, or
 * one beside that which it was to replace: the next one finishes that first, with the sizes it has.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "carry.h"
#include "cleanup.h"
#include "keeper.h"
#include "node_private.h"
#include "oplog.h"

/* Handshakes end within 63 s (net.ipv4.tcp_synack_retries 5: 1 + 2 + 4 + ... + 32 s). */
#define HANDSHAKE_MAX_NS 64000000000ull

static uint32_t or_default(uint32_t size, uint32_t value)
{
    return size ? size : value;
}

/* Where sockets are not followed SYNs are kept by tuple, and the maps of tracking have one entry.
 */
static struct map_sizes sizes_of(const struct node *node)
{
    const struct node_config *config = &node->settings.config;
    uint32_t pending = or_default(config->max_pending, NODE_PENDING_DEFAULT);

    if (!node->tracked)
        return (struct map_sizes){.pending = 1, .live = 1, .captured = pending};
    return (struct map_sizes){
        .pending = pending,
        .live = or_default(config->max_live, NODE_LIVE_DEFAULT),
        .captured = 1,
    };
}

/* `from` keeps its descriptor. */
static int share(const struct map_set *from, enum capture_map map, int *ret_fd)
{
    int fd = fcntl(from->maps.fd[map], F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

/* Maps know of connections only as long as trackers see all that happens to these. */
static bool may_share(const struct node *node, const struct map_set *from, enum capture_map map,
                      const struct map_shape *shape)
{
    if (map == MAP_META || map == MAP_PENDING_BEFORE)
        return false;
    if ((map == MAP_LIVE || map == MAP_ALIAS || map == MAP_CROWD) &&
        (!map_set_is_true(from) || !node->tracked || !from->meta.tracked))
        return false;
    return map_has_shape(from, map, shape, false);
}

/* Where SYNs were before they go to our `pending`: in that of the set before or, if we share it,
 * where that set has looked besides. */
static int share_before(struct node *node, const struct map_set *from,
                        const struct map_shape shapes[MAP_COUNT_])
{
    enum capture_map before = node->maps.fd[MAP_PENDING] < 0 ? MAP_PENDING : MAP_PENDING_BEFORE;

    if (!map_has_shape(from, before, &shapes[MAP_PENDING], true))
        return 0;
    return share(from, before, &node->maps.fd[MAP_PENDING_BEFORE]);
}

/* There are only two places to look at: what the set before had in a third is copied.  Nobody
 * writes there any more. */
static int carry_before(const struct node *node, const struct map_set *from,
                        const struct map_shape shapes[MAP_COUNT_])
{
    uint64_t now = boot_time_ns();

    if (map_has_shape(from, MAP_PENDING, &shapes[MAP_PENDING], false) ||
        !map_has_shape(from, MAP_PENDING_BEFORE, &shapes[MAP_PENDING], true))
        return 0;
    return carry_pending(from->maps.fd[MAP_PENDING_BEFORE], node->maps.fd[MAP_PENDING],
                         now > HANDSHAKE_MAX_NS ? now - HANDSHAKE_MAX_NS : 0);
}

static int share_maps(struct node *node, const struct map_set *from,
                      const struct map_shape shapes[MAP_COUNT_])
{
    int r = 0;

    for (int map = 0; r == 0 && map < MAP_COUNT_; map++)
        if (may_share(node, from, map, &shapes[map]))
            r = share(from, map, &node->maps.fd[map]);
    return r == 0 ? share_before(node, from, shapes) : r;
}

/* A state that goes on: the number of agents, and since when connections are known. */
static int describe(struct node *node, const struct map_set *from)
{
    struct capture_meta *meta = &node->meta;
    int r = capture_meta_describe(&node->maps, meta);

    if (r < 0)
        return r;
    meta->tracked = node->tracked;
    meta->generation = from ? from->meta.generation : 0;
    if (from && map_set_is_true(from))
        meta->started_ns = from->meta.started_ns;
    return 0;
}

static int make_set(struct node *node, const struct map_set *from,
                    const struct map_shape shapes[MAP_COUNT_], struct diag *diag)
{
    struct map_sizes sizes = sizes_of(node);
    int r = from ? share_maps(node, from, shapes) : 0;

    if (r == 0)
        r = objects_make_maps(&sizes, &node->maps, diag);
    if (r == 0 && from)
        r = carry_before(node, from, shapes);
    if (r == 0)
        r = describe(node, from);
    if (r == 0)
        r = pins_make_set(&node->pins, PINS_UNFINISHED);
    if (r < 0)
        return diag_set(diag, r, "%s: cannot make a set of maps: %s", node->pins.folder,
                        strerror(-r));
    (void)snprintf(node->set, sizeof(node->set), "%s", PINS_UNFINISHED);
    return 0;
}

/* Devices are from now on those of our own network namespace. */
static int take_over(struct node *node, const struct map_set *set)
{
    struct capture_meta own;
    int r = capture_meta_describe(&set->maps, &own);

    for (int map = 0; r == 0 && map < MAP_COUNT_; map++)
        if (set->maps.fd[map] >= 0)
            r = share(set, map, &node->maps.fd[map]);
    set_name_format(set->name, node->set);
    node->meta = set->meta;
    if (r == 0)
        node->meta.host_netns = own.host_netns;
    node->took_over = true;
    return r;
}

int node_write_meta(const struct node *node)
{
    return keeper_write_meta(node->programs[OBJECT_KEEPER], &node->meta);
}

/* The maps have not been pinned yet, or were frozen by an agent before us. */
static int load_keeper(struct node *node, struct diag *diag)
{
    int keeper = objects_load_hook(OBJECT_KEEPER, &node->maps, diag);
    int r;

    if (keeper < 0)
        return keeper;
    node->programs[OBJECT_KEEPER] = keeper;
    r = capture_secret_draw(&node->maps);
    return r == 0 ? keeper_freeze_maps(&node->maps) : r;
}

int node_seal_evidence(const struct node *node, struct diag *diag)
{
    static const enum capture_map EVIDENCE[] = {MAP_PENDING,  MAP_LIVE,     MAP_ALIAS,
                                                MAP_CROWD,    MAP_CAPTURED, MAP_COUNTERS,
                                                MAP_LAST_ISN, MAP_LIMITER,  MAP_TURNOVER};

    for (size_t i = 0; i < sizeof(EVIDENCE) / sizeof(EVIDENCE[0]); i++) {
        int r = capture_map_freeze(&node->maps, EVIDENCE[i]);

        if (r < 0)
            return diag_set(diag, r, "cannot freeze the map `%s`: %s",
                            CAPTURE_MAP_NAMES[EVIDENCE[i]], strerror(-r));
    }
    return 0;
}

/* The first one is the one that was used last; another can be in use no more. */
int node_choose_set(struct node *node, const struct map_sets *sets, struct diag *diag)
{
    const struct map_set *last = sets->count ? &sets->items[0] : NULL;
    struct map_sizes sizes = sizes_of(node);
    struct map_shape shapes[MAP_COUNT_];
    unsigned ignored = 0;
    int r = pins_remove_set(&node->pins, PINS_UNFINISHED, &ignored);

    if (r == 0)
        r = objects_map_shapes(&sizes, shapes, diag);
    if (r < 0)
        return diag_set(diag, r, "%s: %s", node->pins.folder, strerror(-r));
    if (last && map_set_fits(last, shapes, node->tracked))
        r = take_over(node, last);
    else
        r = make_set(node, last, shapes, diag);
    if (r == 0)
        r = load_keeper(node, diag);
    if (r < 0)
        return diag_set(diag, r, "%s: cannot use the maps: %s", node->pins.folder, strerror(-r));
    if (node->maps.fd[MAP_PENDING_BEFORE] >= 0)
        node->before_until_ns = boot_time_ns() + HANDSHAKE_MAX_NS;
    node->meta.generation++;
    r = node_write_meta(node);
    return r < 0 ? diag_set(diag, r, "cannot write the map `meta`: %s", strerror(-r)) : 0;
}

/* --- connections that are live ---------------------------------------------------------------- */

static bool is_same_map(int a, int b)
{
    struct bpf_map_info left = {0}, right = {0};
    uint32_t length = sizeof(left);

    return bpf_obj_get_info_by_fd(a, &left, &length) == 0 &&
           bpf_obj_get_info_by_fd(b, &right, &length) == 0 && left.id == right.id;
}

static bool can_carry(const struct node *node, const struct map_set *from)
{
    struct map_shape live, alias;

    return node->tracked && from->meta.tracked && map_set_is_true(from) &&
           map_shape_of(node->maps.fd[MAP_LIVE], &live) == 0 &&
           map_shape_of(node->maps.fd[MAP_ALIAS], &alias) == 0 &&
           map_has_shape(from, MAP_LIVE, &live, true) &&
           map_has_shape(from, MAP_ALIAS, &alias, true);
}

bool node_shares_live(const struct node *node, const struct map_set *set)
{
    return is_same_map(node->maps.fd[MAP_LIVE], set->maps.fd[MAP_LIVE]) &&
           is_same_map(node->maps.fd[MAP_ALIAS], set->maps.fd[MAP_ALIAS]);
}

int node_carry(struct node *node, const struct map_set *from, struct diag *diag)
{
    struct carried carried;
    int r;

    if (node_shares_live(node, from) || !from->meta.tracked)
        return 0;
    if (!can_carry(node, from)) {
        oplog_error("connections that are open now have no fingerprint any more: what was known "
                    "of them cannot be carried over from layout %u, or was not kept true",
                    from->meta.layout);
        return 0;
    }
    r = carry_entries(&from->maps, &node->maps, &carried);
    if (r < 0)
        return diag_set(diag, r, "cannot carry the live connections over: %s", strerror(-r));
    node->carried = carried.entries;
    node->not_carried = carried.lost;
    oplog_info("%zu live connections carried over", carried.entries);
    if (carried.lost)
        oplog_error("%zu live connections have no fingerprint any more: the new maps have no room "
                    "for them",
                    carried.lost);
    return 0;
}

/* --- the end of it ---------------------------------------------------------------------------- */

int node_publish(struct node *node, const struct map_sets *sets, struct diag *diag)
{
    char name[SET_NAME_MAX];
    int r;

    set_name_format(map_sets_next_name(sets), name);
    node->meta.heartbeat_ns = boot_time_ns();
    node->meta.state = node->meta.hooks_missing ? CAPTURE_DEGRADED : CAPTURE_RUNNING;
    r = node_write_meta(node);
    if (r == 0)
        r = pins_rename_set(&node->pins, PINS_UNFINISHED, name);
    if (r < 0)
        return diag_set(diag, r, "%s/%s: cannot publish the maps: %s", node->pins.folder, name,
                        strerror(-r));
    (void)snprintf(node->set, sizeof(node->set), "%s", name);
    return 0;
}

void node_end_others(const struct node *node, const struct map_sets *sets)
{
    bool has_ended = false;

    for (size_t i = 0; i < sets->count; i++) {
        const struct map_set *set = &sets->items[i];
        char name[SET_NAME_MAX];

        set_name_format(set->name, name);
        if (strcmp(name, node->set) == 0 || node_shares_live(node, set))
            continue;
        (void)node_end_set(&node->pins, name);
        has_ended = has_ended || set->maps.fd[MAP_META] >= 0;
    }
    if (has_ended)
        node_wait_for_readers();
}

void node_remove_others(struct node *node, const struct map_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++) {
        char name[SET_NAME_MAX];
        unsigned ignored = 0;

        set_name_format(sets->items[i].name, name);
        if (strcmp(name, node->set) != 0)
            (void)pins_remove_set(&node->pins, name, &ignored);
    }
}

void node_forget_before(struct node *node)
{
    struct capture_maps *maps = &node->maps;
    int before = maps->fd[MAP_PENDING_BEFORE];
    struct diag diag = {.text = ""};
    int r;

    maps->fd[MAP_PENDING_BEFORE] = -1;
    r = node_attach_trackers(node, &diag);
    if (r < 0) {
        maps->fd[MAP_PENDING_BEFORE] = before;
        node->before_until_ns += HANDSHAKE_MAX_NS; /* they work on as they are */
        oplog_error("the pending SYNs of the maps before cannot be let go yet: %s", diag.text);
        return;
    }
    closep(&before);
    node->before_until_ns = 0;
    (void)node_pin_all(node);
    (void)pins_remove(&node->pins, node->set, CAPTURE_MAP_NAMES[MAP_PENDING_BEFORE]);
}

/* --- what programs are told ------------------------------------------------------------------- */

/* With half of the map in each quarter of a second it keeps a SYN for half a second. */
static uint32_t calm_syns(const struct node *node)
{
    return capture_map_size(&node->maps, node->tracked ? MAP_PENDING : MAP_CAPTURED) / 2;
}

int node_write_settings(const struct node *node, struct diag *diag)
{
    const struct node_config *config = &node->settings.config;
    const struct filters filters = node_settings_filters(&node->settings);
    const struct capture_config value = {
        .enabled = 1,
        .tracked = node->tracked,
        .captured_ms = config->captured_ms,
        .vxlan_port = config->vxlan_port,
        .syn_rate = config->syn_rate,
        .calm_syns = calm_syns(node),
        .node_hops = config->node_hops,
        .keep_pending = node->keep_until_ns != 0,
    };

    return filters_write(&filters, &value, &node->maps, node->programs[OBJECT_KEEPER], diag);
}
