/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "mountinfo.h"
#include "num.h"
#include "probe_parts.h"
#include "record.h"

/* As the kernel counts them (kernel/bpf/hashtab.c of Linux 6.18). */
enum {
    ELEMENT_BYTES = 48, /* of a hash map, beside key and value */
    BUCKET_BYTES = 16,
    FREE_LIST_BYTES = 8, /* of an element that is not allocated beforehand */
    TRIE_NODE_BYTES = 64,
    EVENTS_BYTES = 256 * 1024 + 3 * 4096,
};

#define NO_LIMIT ((uint64_t)1 << 60) /* the first version of control groups says about 2^63 */

static uint64_t round_up_to_power_of_2(uint64_t value)
{
    uint64_t power = 1;

    while (power < value)
        power *= 2;
    return power;
}

static uint64_t hash_bytes(uint64_t entries, size_t element)
{
    return round_up_to_power_of_2(entries) * BUCKET_BYTES + entries * (ELEMENT_BYTES + element);
}

uint64_t probe_map_bytes(uint32_t max_pending, uint32_t max_live, unsigned cpus)
{
    uint64_t pending =
        hash_bytes(max_pending, sizeof(struct pending_key) + sizeof(struct syn_record));
    uint64_t live = hash_bytes(max_live, sizeof(struct tuple_key) + sizeof(struct live_entry));
    uint64_t alias = hash_bytes(max_live, FREE_LIST_BYTES + sizeof(struct tuple_key) +
                                              sizeof(struct alias_entry));
    uint64_t filters = PORTS_WORDS * sizeof(uint64_t) + (uint64_t)PREFIXES_MAX * TRIE_NODE_BYTES;
    uint64_t of_each_cpu = COUNTERS_SIZE * sizeof(struct capture_counters) + sizeof(struct limiter);

    return pending + live + alias + filters + LAST_ISN_CELLS * sizeof(struct last_isn) +
           EVENTS_BYTES + of_each_cpu * cpus;
}

/* --- the limit of the control group that this process is in ------------------------------------
 */

struct group {
    char path[PROBE_PATH_MAX]; /* of the group, below `mount` */
    char mount[PROBE_PATH_MAX];
    const char *file;
};

/* "0::/a/b" for cgroup2; "7:memory:/a/b" for the memory controller of the first version, which is
 * the one that counts where there is one. */
static int read_own_groups(struct group *first_version, struct group *second_version)
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/self/cgroup", "re");
    char line[PROBE_PATH_MAX];

    if (!file)
        return -errno;
    while (fgets(line, sizeof(line), file)) {
        const char *path = strchr(line, '/');

        line[strcspn(line, "\n")] = '\0';
        if (path && strncmp(line, "0::", 3) == 0)
            (void)snprintf(second_version->path, PROBE_PATH_MAX, "%s", path);
        else if (path && strstr(line, ":memory:"))
            (void)snprintf(first_version->path, PROBE_PATH_MAX, "%s", path);
    }
    return 0;
}

static int on_mount(const struct mount *mount, void *context)
{
    struct group *group = context;
    const char *name = strrchr(mount->path, '/');

    if (strcmp(mount->type, "cgroup") == 0 && name && strcmp(name, "/memory") == 0)
        (void)snprintf(group->mount, PROBE_PATH_MAX, "%s", mount->path);
    return 0;
}

static uint64_t limit_in(const struct group *group)
{
    char path[3 * PROBE_PATH_MAX], text[32];
    uint64_t limit;

    (void)snprintf(path, sizeof(path), "%s%s/%s", group->mount, group->path, group->file);
    if (probe_read_line(path, text, sizeof(text)) < 0 ||
        num_parse_u64(str_from(text), 0, UINT64_MAX, &limit) < 0) /* "max" */
        return NO_LIMIT;
    return limit < NO_LIMIT ? limit : NO_LIMIT;
}

/* The least of the group's and of all above it. */
static uint64_t least_limit(struct group *group)
{
    uint64_t least = limit_in(group);

    for (char *slash; (slash = strrchr(group->path, '/'));) {
        uint64_t limit;

        *slash = '\0';
        limit = limit_in(group);
        if (limit < least)
            least = limit;
    }
    return least;
}

static int read_limit(const struct probe_report *report, uint64_t *ret_limit)
{
    struct group first = {.file = "memory.limit_in_bytes"}, second = {.file = "memory.max"};
    int r = read_own_groups(&first, &second);

    if (r == 0)
        r = mountinfo_each(on_mount, &first);
    if (r < 0)
        return r;
    (void)snprintf(second.mount, PROBE_PATH_MAX, "%s", report->cgroup2_path);
    if (first.mount[0] && first.path[0])
        *ret_limit = least_limit(&first);
    else if (second.mount[0])
        *ret_limit = least_limit(&second);
    else
        return -ENOENT;
    return 0;
}

void probe_memory(struct probe_report *report)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    uint64_t need =
        probe_map_bytes(NODE_PENDING_DEFAULT, NODE_LIVE_DEFAULT, cpus > 0 ? (unsigned)cpus : 1);
    uint64_t need_mib = (need >> 20) + 1, limit = NO_LIMIT;
    struct probe_check *check;
    int r = read_limit(report, &limit);

    if (r < 0)
        probe_add(report, "memory_limit", PROBE_UNKNOWN,
                  "maps of the default sizes take up to %" PRIu64
                  " MiB; whether the control group allows that cannot be seen from here",
                  need_mib);
    else if (limit == NO_LIMIT)
        probe_add(report, "memory_limit", PROBE_YES,
                  "maps of the default sizes take up to %" PRIu64
                  " MiB; this control group's memory is not limited",
                  need_mib);
    else if (limit > need)
        probe_add(report, "memory_limit", PROBE_YES,
                  "maps of the default sizes take up to %" PRIu64 " of the %" PRIu64
                  " MiB that this control group may use",
                  need_mib, limit >> 20);
    else {
        check = probe_add(report, "memory_limit", PROBE_NO,
                          "maps of the default sizes take up to %" PRIu64
                          " MiB, and this control group may use %" PRIu64,
                          need_mib, limit >> 20);
        probe_fix(check,
                  "raise the memory limit to %" PRIu64
                  " MiB, or lower --max-pending and --max-live",
                  need_mib + 32);
    }
}
