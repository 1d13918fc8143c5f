/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_metrics.h"

static const char *const HOOK_WORDS[SYN_HOOK_COUNT_] = {
    [SYN_HOOK_NONE] = "tracker",
    [SYN_HOOK_XDP] = "xdp",
    [SYN_HOOK_TCX] = "tcx",
    [SYN_HOOK_CGROUP] = "cgroup",
};

static const char *const FAMILY_WORDS[FAMILY_COUNT_] = {"ipv4", "ipv6"};

/* Whose counters: a hook's, the tracker's, or everybody's. */
enum counted_by { BY_HOOKS, BY_TRACKER, BY_ALL };

/* One value of the label `reason`, or none. */
struct reason {
    const char *word;
    enum capture_counter counter;
};

struct counter_family {
    const char *name, *help;
    enum counted_by by;
    const struct reason *reasons; /* ends with a NULL word behind the first */
};

/* --- the table: each counter of record.h once --------------------------------------------------
 */

#define ONE(counter) ((const struct reason[]){{NULL, counter}, {NULL, COUNTER_COUNT_}})

static const struct reason SKIPPED[] = {
    {"retransmit", COUNTER_SYN_RETRANSMIT},
    {"port", COUNTER_SYN_FILTERED_PORT},
    {"prefix", COUNTER_SYN_FILTERED_PREFIX},
    {"rate", COUNTER_SYN_RATE_SKIPPED},
    {"no_memory", COUNTER_SYN_INSERT_NO_MEMORY},
    {"insert_failed", COUNTER_SYN_INSERT_FAILED},
    {"bad_flags", COUNTER_SYN_BAD_FLAGS},
    {"bad_offset", COUNTER_SYN_BAD_OFFSET},
    {"bad_length", COUNTER_SYN_BAD_LENGTH},
    {"truncated", COUNTER_SYN_TRUNCATED},
    {"bad_ip_header", COUNTER_IP_BAD_HEADER},
    {"fragment", COUNTER_IP_FRAGMENT},
    {"cut_off", COUNTER_IP_CUT_OFF},
    {"ipv6_too_deep", COUNTER_IPV6_TOO_DEEP},
    {"vlan_too_deep", COUNTER_VLAN_TOO_DEEP},
    {"tunnel", COUNTER_TUNNEL_UNPARSED},
    {"link", COUNTER_LINK_UNPARSED},
    {NULL, COUNTER_COUNT_},
};

static const struct reason NOTED[] = {
    {"conflict", COUNTER_SYN_CONFLICT},
    {"on_live", COUNTER_SYN_ON_LIVE},
    {"rate_allowed", COUNTER_SYN_RATE_ALLOWED},
    {"payload", COUNTER_SYN_WITH_PAYLOAD},
    {"ipv6_extension", COUNTER_IPV6_EXTENSION},
    {"vxlan", COUNTER_TUNNEL_PARSED},
    {NULL, COUNTER_COUNT_},
};

static const struct reason PROMOTIONS[] = {
    {"promoted", COUNTER_PROMOTED},
    {"no_syn", COUNTER_PROMOTE_NO_SYN},
    {"shared", COUNTER_PROMOTE_SHARED},
    {"live_full", COUNTER_LIVE_INSERT_FAILED},
    {NULL, COUNTER_COUNT_},
};

static const struct reason LIVE_CHANGES[] = {
    {"stored", COUNTER_LIVE_STORED},
    {"deleted", COUNTER_LIVE_DELETED},
    {"replaced", COUNTER_LIVE_REPLACED},
    {"delete_miss", COUNTER_LIVE_DELETE_MISS},
    {NULL, COUNTER_COUNT_},
};

static const struct reason ALIAS_CHANGES[] = {
    {"stored", COUNTER_ALIAS_STORED},
    {"deleted", COUNTER_ALIAS_DELETED},
    {"insert_failed", COUNTER_ALIAS_INSERT_FAILED},
    {NULL, COUNTER_COUNT_},
};

static const struct counter_family FAMILIES[] = {
    {"synauthz_syn_seen_total", "SYNs that passed the port and prefix filters.", BY_HOOKS,
     ONE(COUNTER_SYN_SEEN)},
    {"synauthz_syn_stored_total", "SYNs that were recorded.", BY_HOOKS, ONE(COUNTER_SYN_STORED)},
    {"synauthz_syn_skipped_total", "Packets that were not recorded, and why.", BY_HOOKS, SKIPPED},
    {"synauthz_syn_noted_total", "SYNs with something to note, recorded or not.", BY_HOOKS, NOTED},
    {"synauthz_promotions_total", "Connections that were established, and what became of them.",
     BY_TRACKER, PROMOTIONS},
    {"synauthz_promotion_isn_mismatch_total",
     "Of reason no_syn: the last SYN of that source was another connection's.", BY_TRACKER,
     ONE(COUNTER_PROMOTE_ISN_MISMATCH)},
    {"synauthz_claims_crowded_total",
     "Of reason shared: more sockets of one tuple than an entry has places for.", BY_TRACKER,
     ONE(COUNTER_CLAIM_CROWDED)},
    {"synauthz_claims_lost_total",
     "Of those: the map of such sockets had no room, so their end will not be seen.", BY_TRACKER,
     ONE(COUNTER_CLAIM_LOST)},
    {"synauthz_pending_taken_total", "Recorded SYNs whose handshake has ended.", BY_TRACKER,
     ONE(COUNTER_PENDING_TAKEN)},
    {"synauthz_live_changes_total", "Changes of the map of live connections.", BY_TRACKER,
     LIVE_CHANGES},
    {"synauthz_alias_changes_total", "Changes of the map of translated destinations.", BY_TRACKER,
     ALIAS_CHANGES},
    {"synauthz_watch_lost_total", "Events that a watcher was too slow for.", BY_ALL,
     ONE(COUNTER_WATCH_LOST)},
};
#undef ONE

enum { FAMILIES_COUNT = sizeof(FAMILIES) / sizeof(FAMILIES[0]) };

/* --- reading ---------------------------------------------------------------------------------- */

/* Readers may not open all maps; then the set's description says how large they are. */
static void read_sizes(const struct capture_maps *maps, uint32_t sizes[MAP_COUNT_])
{
    struct capture_meta meta;

    for (int map = 0; map < MAP_COUNT_; map++)
        sizes[map] = maps->fd[map] < 0 ? 0 : capture_map_size(maps, (enum capture_map)map);
    if (capture_meta_read(maps, &meta) < 0)
        return;
    if (sizes[MAP_PENDING] == 0)
        sizes[MAP_PENDING] = meta.pending_size;
    if (sizes[MAP_CAPTURED] == 0)
        sizes[MAP_CAPTURED] = meta.captured_size;
}

unsigned capture_numbers_read(const struct capture_maps *maps, bool tracked,
                              struct capture_numbers *ret_numbers)
{
    unsigned failures = 0;

    *ret_numbers = (struct capture_numbers){.tracked = tracked};
    for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
        for (int family = 0; family < FAMILY_COUNT_; family++) {
            int r = capture_counters_read(maps, (enum syn_hook)hook, family == FAMILY_IPV6 ? 6 : 4,
                                          ret_numbers->counters[hook][family]);

            ret_numbers->is_read[hook][family] = r == 0;
            failures += r < 0;
        }
    read_sizes(maps, ret_numbers->sizes);
    return failures;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_sample(const struct counter_family *family, const struct reason *reason,
                         const struct capture_numbers *numbers, int hook, int version,
                         struct metric_page *page)
{
    struct metric_label labels[4] = {{0}};
    unsigned count = 0;

    if (!numbers->is_read[hook][version])
        return;
    if (family->by != BY_TRACKER)
        labels[count++] = (struct metric_label){"hook", HOOK_WORDS[hook]};
    labels[count++] = (struct metric_label){"family", FAMILY_WORDS[version]};
    if (reason->word)
        labels[count++] = (struct metric_label){"reason", reason->word};
    metric_u64(page, family->name, labels, numbers->counters[hook][version][reason->counter]);
}

static bool counts(enum counted_by by, int hook)
{
    return by == BY_ALL || (by == BY_TRACKER) == (hook == SYN_HOOK_NONE);
}

static void write_family(const struct counter_family *family, const struct capture_numbers *numbers,
                         struct metric_page *page)
{
    const struct reason *reason = family->reasons;

    metric_family(page, family->name, METRIC_COUNTER, family->help);
    do {
        for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
            for (int version = 0; version < FAMILY_COUNT_ && counts(family->by, hook); version++)
                write_sample(family, reason, numbers, hook, version, page);
    } while ((++reason)->word);
}

/* Of all hooks and families; false when one of them is not known. */
static bool sum_of(const struct capture_numbers *numbers, enum capture_counter counter,
                   uint64_t *ret_sum)
{
    uint64_t sum = 0;

    for (int hook = 0; hook < SYN_HOOK_COUNT_; hook++)
        for (int family = 0; family < FAMILY_COUNT_; family++) {
            if (!numbers->is_read[hook][family])
                return false;
            sum += numbers->counters[hook][family][counter];
        }
    *ret_sum = sum;
    return true;
}

/* Counters are read one by one while they go on: a difference below 0 is 0. */
static bool difference_of(const struct capture_numbers *numbers, enum capture_counter in,
                          enum capture_counter out, uint64_t *ret_difference)
{
    uint64_t plus, minus;

    if (!sum_of(numbers, in, &plus) || !sum_of(numbers, out, &minus))
        return false;
    *ret_difference = plus > minus ? plus - minus : 0;
    return true;
}

static bool entries_of(const struct capture_numbers *numbers, enum capture_map map,
                       uint64_t *ret_entries)
{
    switch (map) {
    case MAP_LIVE:
        return difference_of(numbers, COUNTER_LIVE_STORED, COUNTER_LIVE_DELETED, ret_entries);
    case MAP_ALIAS:
        return difference_of(numbers, COUNTER_ALIAS_STORED, COUNTER_ALIAS_DELETED, ret_entries);
    default: /* an LRU, never above its size */
        if (!difference_of(numbers, COUNTER_SYN_STORED, COUNTER_PENDING_TAKEN, ret_entries))
            return false;
        if (*ret_entries > numbers->sizes[map])
            *ret_entries = numbers->sizes[map];
        return true;
    }
}

static void write_maps(const struct capture_numbers *numbers, struct metric_page *page)
{
    const enum capture_map syns = numbers->tracked ? MAP_PENDING : MAP_CAPTURED;
    const enum capture_map maps[] = {syns, MAP_LIVE, MAP_ALIAS};
    const size_t count = numbers->tracked ? 3 : 1;
    struct metric_label labels[2] = {{"map", NULL}, {0}};
    uint64_t value;

    metric_family(page, "synauthz_map_entries", METRIC_GAUGE,
                  "Entries in a map, by what was stored and deleted.");
    for (size_t i = 0; i < count; i++) {
        labels[0].value = CAPTURE_MAP_NAMES[maps[i]];
        if (entries_of(numbers, maps[i], &value))
            metric_u64(page, "synauthz_map_entries", labels, value);
    }
    metric_family(page, "synauthz_map_capacity", METRIC_GAUGE, "Entries that a map has room for.");
    for (size_t i = 0; i < count; i++) {
        labels[0].value = CAPTURE_MAP_NAMES[maps[i]];
        if (numbers->sizes[maps[i]])
            metric_u64(page, "synauthz_map_capacity", labels, numbers->sizes[maps[i]]);
    }
    metric_family(page, "synauthz_pending_evictions_estimated", METRIC_GAUGE,
                  "SYNs that must have been evicted: stored, not taken, and no room for them.");
    if (numbers->tracked && numbers->sizes[MAP_PENDING] &&
        difference_of(numbers, COUNTER_SYN_STORED, COUNTER_PENDING_TAKEN, &value))
        metric_u64(page, "synauthz_pending_evictions_estimated", NULL,
                   value > numbers->sizes[MAP_PENDING] ? value - numbers->sizes[MAP_PENDING] : 0);
}

void capture_metrics_write(const struct capture_numbers *numbers, struct metric_page *page)
{
    for (size_t i = 0; i < FAMILIES_COUNT; i++)
        write_family(&FAMILIES[i], numbers, page);
    write_maps(numbers, page);
}
