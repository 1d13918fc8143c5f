/* SPDX-License-Identifier: Apache-2.0 */
#include "pin_set.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

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

/* Coarse, since it is asked for each look-up; and not stopped by anything but sleep, when nothing
 * else happens either. */
static uint64_t now_ms(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail: since 2.6.32 */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void pin_set_judge(struct pin_set *set, const struct pin_sight *sight)
{
    uint64_t begun_ms = now_ms();
    bool is_there = sight && sight->id == set->id;

    if (capture_meta_read(&set->maps, &set->meta) < 0)
        set->meta.state = CAPTURE_ENDED;
    atomic_store(&set->needs_beats, !is_there || set->meta.state == CAPTURE_ENDED ||
                                        (set->meta.tracked && !sight->tracker_is_pinned));
    atomic_store(&set->judged_ms, begun_ms);
}

static bool is_judgement_good(const struct pin_set *set)
{
    return !atomic_load_explicit(&set->needs_beats, memory_order_acquire) &&
           now_ms() - atomic_load_explicit(&set->judged_ms, memory_order_acquire) < PIN_BELIEVED_MS;
}

bool pin_set_is_kept_true(const struct pin_set *set)
{
    struct capture_meta meta; /* set->meta is not for all threads */

    if (is_judgement_good(set))
        return true;
    return capture_meta_read(&set->maps, &meta) == 0 && meta.state != CAPTURE_ENDED &&
           pin_set_age_ns(meta.heartbeat_ns) <= BEAT_LATE_NS;
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
