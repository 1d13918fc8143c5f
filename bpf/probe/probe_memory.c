/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <unistd.h>

#include "map_memory.h"
#include "probe_parts.h"
#include "record.h"

/* As the kernel counts them (kernel/bpf/hashtab.c of Linux 6.18). */
enum {
    ELEMENT_BYTES = 48, /* of a hash map, beside key and value */
    BUCKET_BYTES = 16,
    FREE_LIST_BYTES = 8, /* of an element that is not allocated beforehand */
    TRIE_NODE_BYTES = 64,
    EVENTS_BYTES = 256 * 1024 + 3 * 4096,
    OF_THE_AGENT_MIB = 32, /* beside the maps */
};

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
    uint64_t crowd = hash_bytes(max_live, FREE_LIST_BYTES + sizeof(struct crowd_key) +
                                              sizeof(struct crowd_member));
    uint64_t filters = PORTS_WORDS * sizeof(uint64_t) + (uint64_t)PREFIXES_MAX * TRIE_NODE_BYTES;
    uint64_t of_each_cpu = COUNTERS_SIZE * sizeof(struct capture_counters) + sizeof(struct limiter);

    return pending + live + alias + crowd + filters + LAST_ISN_CELLS * sizeof(struct last_isn) +
           EVENTS_BYTES + of_each_cpu * cpus;
}

void probe_memory(struct probe_report *report)
{
    long cpus = sysconf(_SC_NPROCESSORS_CONF);
    uint64_t need =
        probe_map_bytes(NODE_PENDING_DEFAULT, NODE_LIVE_DEFAULT, cpus > 0 ? (unsigned)cpus : 1);
    uint64_t need_mib = (need >> 20) + 1, limit = map_memory_limit();
    struct probe_check *check;

    if (limit == 0)
        probe_add(report, "memory_limit", PROBE_YES,
                  "maps of the default sizes take up to %" PRIu64
                  " MiB; no limit is set for this control group",
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
                  "raise the memory limit to %" PRIu64 " MiB, or lower --max-pending and "
                  "--max-live",
                  need_mib + OF_THE_AGENT_MIB);
    }
}
