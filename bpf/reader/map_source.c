/* SPDX-License-Identifier: Apache-2.0 */
#include "map_source.h"

#include <assert.h>
#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "flow_key.h"
#include "node_hops.h"
#include "record.h"

enum { READ_ATTEMPTS = 4, NS_PER_MS = 1000000 };

struct map_source {
    struct syn_source base; /* first: lookup() gets its address */
    struct capture_maps maps;
    bool tracked;        /* both as meta says; they stay */
    uint64_t host_netns; /* 0: not known */
    size_t redirect_port_count;
    uint16_t redirect_ports[];
};

/* What one look-up came to; zero is the fault. */
enum read_result {
    READ_FAILED = 0,
    READ_NOTHING,
    READ_FOUND,
};

/* All three kinds of entries begin and end alike. */
#define IS_GUARDED(type)                                                                           \
    (offsetof(type, version_begin) == 0 && offsetof(type, key) == sizeof(uint64_t) &&              \
     offsetof(type, version_end) == sizeof(type) - sizeof(uint64_t))
static_assert(IS_GUARDED(struct live_entry), "guarded against tearing");
static_assert(IS_GUARDED(struct alias_entry), "guarded against tearing");
static_assert(IS_GUARDED(struct captured_entry), "guarded against tearing");

/* Was the entry read whole, and is it that of the key? */
static bool is_whole(const char *entry, size_t size, const struct tuple_key *key)
{
    const char *version_end = entry + size - sizeof(uint64_t);

    return memcmp(entry, version_end, sizeof(uint64_t)) == 0 &&
           memcmp(entry + sizeof(uint64_t), key, sizeof(*key)) == 0; /* no hidden padding */
}

static enum read_result read_entry(int fd, const struct tuple_key *key, void *ret_entry,
                                   size_t size)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        if (bpf_map_lookup_elem(fd, key, ret_entry) < 0)
            return errno == ENOENT ? READ_NOTHING : READ_FAILED;
        if (is_whole(ret_entry, size, key))
            return READ_FOUND;
    }
    return READ_FAILED;
}

/* Somebody else has the tuple too, or it is not known whether anybody has. */
static bool is_shared(const struct claim *claim)
{
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i])
            return true;
    return claim->crowded != 0;
}

/* Everybody has left: the tracker is about to delete the entry. */
static bool is_abandoned(const struct claim *claim)
{
    return claim->owner == 0 && !is_shared(claim);
}

static enum read_result read_live(const struct map_source *source, const struct tuple_key *key,
                                  struct live_entry *ret_entry)
{
    enum read_result result =
        read_entry(source->maps.fd[MAP_LIVE], key, ret_entry, sizeof(*ret_entry));

    return result == READ_FOUND && is_abandoned(&ret_entry->claim) ? READ_NOTHING : result;
}

static enum read_result read_alias(const struct map_source *source, const struct tuple_key *key,
                                   struct alias_entry *ret_entry)
{
    enum read_result result =
        read_entry(source->maps.fd[MAP_ALIAS], key, ret_entry, sizeof(*ret_entry));

    return result == READ_FOUND && is_abandoned(&ret_entry->claim) ? READ_NOTHING : result;
}

/* Returns 0 or a negative errno. */
static int read_config(const struct map_source *source, struct capture_config *ret_config)
{
    return bpf_map_lookup_elem(source->maps.fd[MAP_CONFIG], &(uint32_t){0}, ret_config) < 0 ? -errno
                                                                                            : 0;
}

static struct syn_answer answer_missing(enum syn_reason reason)
{
    return (struct syn_answer){.state = SYN_STATE_MISSING, .reason = reason};
}

static struct syn_answer answer_fault(void)
{
    return (struct syn_answer){.state = SYN_STATE_UNAVAILABLE, .reason = SYN_REASON_MAP_ERROR};
}

static struct syn_answer answer_ambiguous(void)
{
    return (struct syn_answer){.state = SYN_STATE_AMBIGUOUS};
}

static struct syn_answer answer_verified(const struct map_source *source,
                                         const struct live_entry *entry)
{
    struct syn_answer answer = {.state = SYN_STATE_VERIFIED};
    struct capture_config config;

    syn_from_record(&entry->syn, &answer.syn);
    if (!syn_is_behind_routers(&entry->syn, entry->scope.netns, source->host_netns))
        return answer;
    if (read_config(source, &config) < 0)
        return answer_fault();
    answer.syn.node_hops = node_hops_of(&config);
    return answer;
}

static struct syn_answer answer_from_entry(const struct map_source *source,
                                           const struct live_entry *entry)
{
    if (is_shared(&entry->claim))
        return answer_ambiguous();
    if (!entry->has_syn)
        return answer_missing(SYN_REASON_NO_SYN);
    return answer_verified(source, entry);
}

/* --- look-ups: true when the answer stands, false when there is nothing under the key ----------
 */

static bool find_live(const struct map_source *source, const struct tuple_key *key,
                      struct syn_answer *ret_answer)
{
    struct live_entry entry;
    enum read_result result = read_live(source, key, &entry);

    if (result == READ_NOTHING)
        return false;
    *ret_answer = result == READ_FAILED ? answer_fault() : answer_from_entry(source, &entry);
    return true;
}

/* Does the entry that an alias led to belong to it?  It may be of a later connection, read after
 * the alias. */
static bool is_alias_of(const struct alias_entry *alias, const struct live_entry *entry)
{
    return alias->version_begin == entry->version_begin && entry->has_syn &&
           entry->syn.wire_destination_port_be == alias->key.destination_port_be &&
           memcmp(entry->syn.wire_destination, alias->key.destination,
                  sizeof(alias->key.destination)) == 0;
}

static bool find_alias(const struct map_source *source, const struct tuple_key *key,
                       struct syn_answer *ret_answer)
{
    struct alias_entry alias;
    struct live_entry entry;
    enum read_result result = read_alias(source, key, &alias);

    if (result == READ_FOUND && is_shared(&alias.claim)) {
        *ret_answer = answer_ambiguous();
        return true;
    }
    if (result == READ_FOUND)
        result = read_live(source, &alias.live, &entry);
    if (result == READ_FAILED) {
        *ret_answer = answer_fault();
        return true;
    }
    if (result == READ_NOTHING || !is_alias_of(&alias, &entry))
        return false;
    *ret_answer = answer_from_entry(source, &entry);
    return true;
}

/* Is it too old to be believed?  Nobody takes an entry of `captured` away when its connection ends,
 * so the next one of the same tuple may find it. */
static bool is_outdated(const struct captured_entry *entry, const struct capture_config *config)
{
    uint64_t now_ns = boot_time_ns();

    return entry->syn.seen_ns > now_ns ||
           now_ns - entry->syn.seen_ns > (uint64_t)config->captured_ms * NS_PER_MS;
}

static bool find_captured(const struct map_source *source, const struct tuple_key *key,
                          struct syn_answer *ret_answer)
{
    struct captured_entry entry;
    struct capture_config config;
    enum read_result result = read_entry(source->maps.fd[MAP_CAPTURED], key, &entry, sizeof(entry));

    if (result == READ_FOUND && read_config(source, &config) < 0)
        result = READ_FAILED;
    if (result == READ_FAILED) {
        *ret_answer = answer_fault();
        return true;
    }
    if (result == READ_NOTHING || is_outdated(&entry, &config))
        return false;
    *ret_answer = (struct syn_answer){.state = SYN_STATE_CAPTURED, .reason = SYN_REASON_UNTRACKED};
    syn_from_record(&entry.syn, &ret_answer->syn);
    return true;
}

typedef bool (*find_fn)(const struct map_source *source, const struct tuple_key *key,
                        struct syn_answer *ret_answer);

static bool find_redirected(const struct map_source *source, find_fn find,
                            const struct tuple_key *key, struct syn_answer *ret_answer)
{
    struct tuple_key redirected = *key;

    for (size_t i = 0; i < source->redirect_port_count; i++) {
        redirected.destination_port_be = htobe16(source->redirect_ports[i]);
        if (find(source, &redirected, ret_answer))
            return true;
    }
    return false;
}

static bool find_tracked(const struct map_source *source, const struct tuple_key *key,
                         struct syn_answer *ret_answer)
{
    return find_live(source, key, ret_answer) || find_alias(source, key, ret_answer) ||
           find_redirected(source, find_live, key, ret_answer);
}

static bool find_untracked(const struct map_source *source, const struct tuple_key *key,
                           struct syn_answer *ret_answer)
{
    return find_captured(source, key, ret_answer) ||
           find_redirected(source, find_captured, key, ret_answer);
}

/* --- why there is nothing --------------------------------------------------------------------- */

/* Returns 1 when the filters let the destination pass, 0 when not, or a negative errno. */
static int is_captured(const struct map_source *source, const struct flow *flow)
{
    const int *fd = source->maps.fd;
    struct capture_config config;
    struct prefix_key prefix = {.bits = 128};
    uint32_t word = flow->destination.port / 64u;
    uint64_t ports;
    uint8_t present;

    if (read_config(source, &config) < 0 || bpf_map_lookup_elem(fd[MAP_PORTS], &word, &ports) < 0)
        return -errno;
    if (!config.enabled || !(ports >> flow->destination.port % 64 & 1))
        return 0;
    if (!config.use_prefixes)
        return 1;
    memcpy(prefix.address, flow->destination.addr.bytes, sizeof(prefix.address));
    if (bpf_map_lookup_elem(fd[MAP_PREFIXES], &prefix, &present) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

static struct syn_answer explain_absence(const struct map_source *source, const struct flow *flow)
{
    struct capture_meta meta;
    int captured = is_captured(source, flow);

    if (captured < 0 || capture_meta_read(&source->maps, &meta) < 0)
        return answer_fault();
    if (!captured)
        return answer_missing(SYN_REASON_FILTERED);
    return answer_missing(meta.full_ns ? SYN_REASON_MAP_FULL : SYN_REASON_NOT_SEEN);
}

static void lookup(const struct syn_source *base, const struct flow *flow,
                   struct syn_answer *ret_answer)
{
    const struct map_source *source = (const struct map_source *)base;
    const struct tuple_key key = tuple_key_from_flow(flow);

    if (!(source->tracked ? find_tracked : find_untracked)(source, &key, ret_answer))
        *ret_answer = explain_absence(source, flow);
}

static void source_free(struct syn_source *base)
{
    free(base);
}

/* The layouts must be ours: these maps may have been made by another version of this program. */
static int check_meta(const struct capture_maps *maps, struct capture_meta *ret_meta,
                      struct diag *diag)
{
    int r = capture_meta_read(maps, ret_meta);

    if (r < 0)
        return diag_set(diag, r, "cannot read the capture maps: %s", strerror(-r));
    if (ret_meta->magic != META_MAGIC || ret_meta->reader_layout != READER_LAYOUT)
        return diag_set(diag, -EPROTO,
                        "the capture maps have layout %u for readers, this program reads layout %u",
                        ret_meta->reader_layout, (unsigned)READER_LAYOUT);
    return 0;
}

int map_source_new(const struct map_source_config *config, struct syn_source **ret_source,
                   struct diag *diag)
{
    size_t ports_size = config->redirect_port_count * sizeof(*config->redirect_ports);
    struct map_source *source;
    struct capture_meta meta;
    int r = check_meta(config->maps, &meta, diag);

    if (r < 0)
        return r;
    source = calloc(1, sizeof(*source) + ports_size);
    if (!source)
        return diag_set(diag, -ENOMEM, "out of memory");
    source->base = (struct syn_source){.lookup = lookup, .free = source_free};
    source->maps = *config->maps;
    source->tracked = meta.tracked != 0;
    source->host_netns = meta.host_netns;
    source->redirect_port_count = config->redirect_port_count;
    if (ports_size)
        memcpy(source->redirect_ports, config->redirect_ports, ports_size);
    *ret_source = &source->base;
    return 0;
}
