/* SPDX-License-Identifier: Apache-2.0 */
#include "map_source.h"

#include <bpf/bpf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "record.h"

enum { READ_ATTEMPTS = 4 };

struct map_source {
    struct syn_source base; /* first: lookup() gets its address */
    struct capture_maps maps;
    size_t redirect_port_count;
    uint16_t redirect_ports[];
};

/* What one look-up came to; zero is the fault. */
enum read_result {
    READ_FAILED = 0,
    READ_NOTHING,
    READ_FOUND,
};

static bool key_eq(const struct tuple_key *a, const struct tuple_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0; /* no padding: record.h names it, and it is zero */
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

/* Copy an element of a map.  Returns 0, or a negative errno; how `ret_value` can be torn: record.h.
 */
static int read_element(int fd, const struct tuple_key *key, void *ret_value)
{
    return bpf_map_lookup_elem(fd, key, ret_value) < 0 ? -errno : 0;
}

static enum read_result read_live(const struct map_source *source, const struct tuple_key *key,
                                  struct live_entry *ret_entry)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        int r = read_element(source->maps.fd[MAP_LIVE], key, ret_entry);

        if (r < 0)
            return r == -ENOENT ? READ_NOTHING : READ_FAILED;
        if (ret_entry->version_begin == ret_entry->version_end && key_eq(&ret_entry->key, key))
            return is_abandoned(&ret_entry->claim) ? READ_NOTHING : READ_FOUND;
    }
    return READ_FAILED;
}

static enum read_result read_alias(const struct map_source *source, const struct tuple_key *key,
                                   struct alias_entry *ret_entry)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        int r = read_element(source->maps.fd[MAP_ALIAS], key, ret_entry);

        if (r < 0)
            return r == -ENOENT ? READ_NOTHING : READ_FAILED;
        if (ret_entry->version_begin == ret_entry->version_end && key_eq(&ret_entry->key, key))
            return is_abandoned(&ret_entry->claim) ? READ_NOTHING : READ_FOUND;
    }
    return READ_FAILED;
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

static void answer_from_entry(const struct live_entry *entry, struct syn_answer *ret_answer)
{
    if (is_shared(&entry->claim)) {
        *ret_answer = answer_ambiguous();
    } else if (!entry->has_syn) {
        *ret_answer = answer_missing(SYN_REASON_NO_SYN);
    } else {
        *ret_answer = (struct syn_answer){.state = SYN_STATE_VERIFIED};
        syn_from_record(&entry->syn, &ret_answer->syn);
    }
}

/* The look-ups return true when the answer stands, and false when there is nothing under the key.
 */

static bool find_live(const struct map_source *source, const struct tuple_key *key,
                      struct syn_answer *ret_answer)
{
    struct live_entry entry;
    enum read_result result = read_live(source, key, &entry);

    if (result == READ_NOTHING)
        return false;
    if (result == READ_FAILED)
        *ret_answer = answer_fault();
    else
        answer_from_entry(&entry, ret_answer);
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
    answer_from_entry(&entry, ret_answer);
    return true;
}

static bool find_redirected(const struct map_source *source, const struct tuple_key *key,
                            struct syn_answer *ret_answer)
{
    struct tuple_key redirected = *key;

    for (size_t i = 0; i < source->redirect_port_count; i++) {
        redirected.destination_port_be = htobe16(source->redirect_ports[i]);
        if (find_live(source, &redirected, ret_answer))
            return true;
    }
    return false;
}

/* --- why there is nothing --------------------------------------------------------------------- */

/* Returns 1 when the filters let the destination pass, 0 when not, or a negative errno. */
static int is_captured(const struct map_source *source, const struct flow *flow)
{
    struct capture_config config;
    struct prefix_key prefix = {.bits = 128};
    uint32_t word = flow->destination.port / 64u;
    uint64_t ports;
    uint8_t present;

    if (bpf_map_lookup_elem(source->maps.fd[MAP_CONFIG], &(uint32_t){0}, &config) < 0 ||
        bpf_map_lookup_elem(source->maps.fd[MAP_PORTS], &word, &ports) < 0)
        return -errno;
    if (!config.enabled || !(ports >> flow->destination.port % 64 & 1))
        return 0;
    if (!config.use_prefixes)
        return 1;
    memcpy(prefix.address, flow->destination.addr.bytes, sizeof(prefix.address));
    if (bpf_map_lookup_elem(source->maps.fd[MAP_PREFIXES], &prefix, &present) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

static struct syn_answer explain_absence(const struct map_source *source, const struct flow *flow)
{
    struct capture_meta meta;
    int captured = is_captured(source, flow);

    if (captured < 0 || bpf_map_lookup_elem(source->maps.fd[MAP_META], &(uint32_t){0}, &meta) < 0)
        return answer_fault();
    if (!captured)
        return answer_missing(SYN_REASON_FILTERED);
    return answer_missing(meta.full_ns ? SYN_REASON_MAP_FULL : SYN_REASON_NOT_SEEN);
}

static void lookup(const struct syn_source *base, const struct flow *flow,
                   struct syn_answer *ret_answer)
{
    const struct map_source *source = (const struct map_source *)base;
    struct tuple_key key = {
        .source_port_be = htobe16(flow->source.port),
        .destination_port_be = htobe16(flow->destination.port),
        .family = flow->source.addr.family,
    };

    memcpy(key.source, flow->source.addr.bytes, sizeof(key.source));
    memcpy(key.destination, flow->destination.addr.bytes, sizeof(key.destination));
    if (!find_live(source, &key, ret_answer) && !find_alias(source, &key, ret_answer) &&
        !find_redirected(source, &key, ret_answer))
        *ret_answer = explain_absence(source, flow);
}

static void release(struct syn_source *base)
{
    free(base);
}

/* The layouts must be ours: these maps may have been made by another version of this program. */
static int check_layout(const struct capture_maps *maps, struct diag *diag)
{
    struct capture_meta meta;

    if (bpf_map_lookup_elem(maps->fd[MAP_META], &(uint32_t){0}, &meta) < 0)
        return diag_set(diag, -errno, "cannot read the capture maps: %s", strerror(errno));
    if (meta.magic != META_MAGIC || meta.reader_layout != READER_LAYOUT)
        return diag_set(diag, -EPROTO,
                        "the capture maps are for readers of layout %u, this program reads layout "
                        "%u; use programs of one version for `agent` and `serve`",
                        meta.reader_layout, (unsigned)READER_LAYOUT);
    return 0;
}

int map_source_new(const struct map_source_config *config, struct syn_source **ret_source,
                   struct diag *diag)
{
    size_t ports_size = config->redirect_port_count * sizeof(*config->redirect_ports);
    struct map_source *source;
    int r = check_layout(config->maps, diag);

    if (r < 0)
        return r;
    source = calloc(1, sizeof(*source) + ports_size);
    if (!source)
        return diag_set(diag, -ENOMEM, "no memory");
    source->base = (struct syn_source){.lookup = lookup, .free = release};
    source->maps = *config->maps;
    source->redirect_port_count = config->redirect_port_count;
    if (ports_size)
        memcpy(source->redirect_ports, config->redirect_ports, ports_size);
    *ret_source = &source->base;
    return 0;
}
