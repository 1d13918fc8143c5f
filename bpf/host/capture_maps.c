/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_maps.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/random.h>

#include "cleanup.h"

const char *const CAPTURE_MAP_NAMES[MAP_COUNT_] = {
    [MAP_PENDING] = "pending",   [MAP_PENDING_BEFORE] = "pending_before",
    [MAP_LIVE] = "live",         [MAP_ALIAS] = "alias",
    [MAP_CROWD] = "crowd",       [MAP_CAPTURED] = "captured",
    [MAP_PORTS] = "ports",       [MAP_PREFIXES] = "prefixes",
    [MAP_CONFIG] = "config",     [MAP_META] = "meta",
    [MAP_COUNTERS] = "counters", [MAP_LAST_ISN] = "last_isn",
    [MAP_LIMITER] = "limiter",   [MAP_TURNOVER] = "turnover",
    [MAP_SECRET] = "secret",     [MAP_WATCH] = "watch",
    [MAP_EVENTS] = "events",
};

void capture_maps_init(struct capture_maps *maps)
{
    for (int map = 0; map < MAP_COUNT_; map++)
        maps->fd[map] = -1;
}

void capture_maps_close(struct capture_maps *maps)
{
    for (int map = 0; map < MAP_COUNT_; map++)
        closep(&maps->fd[map]);
    capture_maps_init(maps);
}

static bool is_frozen(int fd)
{
    CLEANUP(fclosep) FILE *file = NULL;
    char path[64], line[128];

    (void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (strcmp(line, "frozen:\t1\n") == 0)
            return true;
    return false;
}

/* What the kernel says of a map that is frozen already, it says of others, too. */
int capture_map_freeze(const struct capture_maps *maps, enum capture_map map)
{
    int r = bpf_map_freeze(maps->fd[map]) < 0 ? -errno : 0;

    return r < 0 && is_frozen(maps->fd[map]) ? 0 : r;
}

int capture_secret_draw(const struct capture_maps *maps)
{
    struct capture_secret secret;

    if (bpf_map_lookup_elem(maps->fd[MAP_SECRET], &(uint32_t){0}, &secret) < 0)
        return -errno;
    while (secret.seed == 0) {
        if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
            return -errno;
        if (secret.seed &&
            bpf_map_update_elem(maps->fd[MAP_SECRET], &(uint32_t){0}, &secret, BPF_ANY) < 0)
            return -errno;
    }
    return capture_map_freeze(maps, MAP_SECRET);
}

uint32_t capture_map_size(const struct capture_maps *maps, enum capture_map map)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);

    return bpf_obj_get_info_by_fd(maps->fd[map], &info, &length) < 0 ? 0 : info.max_entries;
}

int capture_counters_read(const struct capture_maps *maps, enum syn_hook hook, uint8_t ip_version,
                          uint64_t ret_counters[COUNTER_COUNT_])
{
    CLEANUP(freep) struct capture_counters *of_cpu = NULL;
    uint32_t index = counters_index(hook, ip_version);
    int cpus = libbpf_num_possible_cpus();

    if (cpus < 0)
        return cpus;
    of_cpu = calloc((size_t)cpus, sizeof(*of_cpu));
    if (!of_cpu)
        return -ENOMEM;
    if (bpf_map_lookup_elem(maps->fd[MAP_COUNTERS], &index, of_cpu) < 0)
        return -errno;
    memset(ret_counters, 0, COUNTER_COUNT_ * sizeof(*ret_counters));
    for (int cpu = 0; cpu < cpus; cpu++)
        for (int i = 0; i < COUNTER_COUNT_; i++)
            ret_counters[i] += of_cpu[cpu].values[i];
    return 0;
}
