/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_set.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "map_source.h"
#include "pin_names.h"

enum { OPEN_ATTEMPTS = 3 };

/* An agent beats every second.  Where nothing but a living agent keeps the entries true, two beats
 * are what it may miss. */
#define BEAT_LATE_NS UINT64_C(2000000000)

void pin_set_init(struct pin_set *set)
{
    *set = (struct pin_set){0};
    capture_maps_init(&set->maps);
}

void pin_set_close(struct pin_set *set)
{
    syn_source_freep(&set->source);
    capture_maps_close(&set->maps);
    set->id = 0;
}

uint64_t pin_set_age_ns(uint64_t time_ns)
{
    uint64_t now_ns = boot_time_ns();

    return now_ns > time_ns ? now_ns - time_ns : 0;
}

/* One word says it all, and it counts from when the look began: the news of a thread that was held
 * up in between is as old as it is.  Returns whether the set was held when it was looked at. */
static bool believe(struct pin_set *set, const struct pin_sight *sight,
                    const struct capture_meta *meta)
{
    bool is_held = sight && sight->id == set->id && meta->state != CAPTURE_ENDED &&
                   (!meta->tracked || sight->tracker_is_pinned);

    atomic_store(&set->believed_until_ms, is_held ? sight->begun_ms + PIN_BELIEVED_MS : 0);
    return is_held;
}

static bool is_believed(const struct pin_set *set)
{
    return pin_clock_ms() < atomic_load_explicit(&set->believed_until_ms, memory_order_acquire);
}

void pin_set_judge(struct pin_set *set, const struct pin_sight *sight)
{
    if (capture_meta_read(&set->maps, &set->meta) < 0)
        set->meta.state = CAPTURE_ENDED;
    (void)believe(set, sight, &set->meta);
}

bool pin_set_is_kept_true(struct pin_set *set)
{
    struct capture_meta meta; /* set->meta is not for all threads */
    struct pin_sight sight;

    if (is_believed(set))
        return true;
    if (capture_meta_read(&set->maps, &meta) < 0 || meta.state == CAPTURE_ENDED)
        return false;
    if (pin_set_age_ns(meta.heartbeat_ns) <= BEAT_LATE_NS)
        return true;
    return pin_reader_look(set->pin_dir, &sight, NULL) == 0 &&
           capture_meta_read(&set->maps, &meta) == 0 && believe(set, &sight, &meta);
}

bool pin_set_has_moved(const struct pin_set *set)
{
    struct capture_meta meta;

    return capture_meta_read(&set->maps, &meta) == 0 && meta.host_netns != set->host_netns;
}

enum pin_source_state pin_set_state(const struct pin_set *set, char ret_why[PIN_WHY_MAX])
{
    uint64_t age_ns = pin_set_age_ns(set->meta.heartbeat_ns);

    ret_why[0] = '\0';
    if (age_ns > HEARTBEAT_STALE_NS) {
        (void)snprintf(ret_why, PIN_WHY_MAX,
                       "capture goes on, but no agent has looked after it for %.0f s",
                       (double)age_ns / 1e9);
        return PIN_SOURCE_STALE;
    }
    if (set->meta.state != CAPTURE_DEGRADED)
        return PIN_SOURCE_FRESH;
    (void)snprintf(ret_why, PIN_WHY_MAX, "%u of the agent's hooks are attached, %u are missing",
                   set->meta.hooks, set->meta.hooks_missing);
    return PIN_SOURCE_DEGRADED;
}

static int open_once(struct pin_set *set, const struct pin_source_config *config, struct diag *diag)
{
    const struct map_source_config source_config = {
        .maps = &set->maps,
        .redirect_ports = config->redirect_ports,
        .redirect_port_count = config->redirect_port_count,
    };
    int r = pin_reader_open(config->pin_dir, &set->maps, diag);

    if (r < 0)
        return r;
    set->id = pin_reader_map_id(set->maps.fd[MAP_META]);
    set->pin_dir = config->pin_dir;
    r = capture_meta_read(&set->maps, &set->meta);
    if (r < 0)
        return diag_set(diag, r, "%s: cannot read the map `meta`: %s", config->pin_dir,
                        strerror(-r));
    set->host_netns = set->meta.host_netns;
    return map_source_new(&source_config, &set->source, diag);
}

/* Returns 1 when the set is still the newest, 0 when it was replaced, or a negative errno. */
static int look_again(struct pin_set *set, const struct pin_source_config *config,
                      struct diag *diag)
{
    struct pin_sight sight;
    int r = pin_reader_look(config->pin_dir, &sight, diag);

    if (r < 0 || sight.id != set->id)
        return r;
    pin_set_judge(set, &sight);
    if (!pin_set_is_kept_true(set))
        return diag_set(diag, -ESTALE,
                        "%s: its programs' links are not pinned, and no agent runs: start the "
                        "agent",
                        config->pin_dir);
    return 1;
}

int pin_set_open(struct pin_set *set, const struct pin_source_config *config, struct diag *diag)
{
    for (int attempt = 0; attempt < OPEN_ATTEMPTS; attempt++) {
        int r = open_once(set, config, diag);

        if (r == 0)
            r = look_again(set, config, diag);
        if (r > 0)
            return 0;
        pin_set_close(set);
        if (r < 0)
            return r;
    }
    return diag_set(diag, -EAGAIN, "%s: replaced again and again while it was opened",
                    config->pin_dir);
}
