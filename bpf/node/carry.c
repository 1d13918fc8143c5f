/* SPDX-License-Identifier: Apache-2.0 */
#include "carry.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "record.h"

enum { BATCH = 4096, READ_ATTEMPTS = 4, COPY_ATTEMPTS = 16 };

/* An entry of either map, and what the two have in common (record.h). */
union entry {
    struct live_entry live;
    struct alias_entry alias;
};

struct carrier {
    int from, to;
    bool is_live;
    size_t size; /* of a value */
    struct carried *carried;
};

static uint64_t version_end(const struct carrier *carrier, const union entry *entry)
{
    return carrier->is_live ? entry->live.version_end : entry->alias.version_end;
}

_Static_assert(offsetof(struct live_entry, key) == offsetof(struct alias_entry, key), "one place");

/* Returns 0, or -ENOENT; an entry that is torn each time is being replaced again and again. */
static int read_whole(const struct carrier *carrier, const struct tuple_key *key,
                      union entry *ret_entry)
{
    for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
        if (bpf_map_lookup_elem(carrier->from, key, ret_entry) < 0)
            return -errno;
        if (ret_entry->live.version_begin == version_end(carrier, ret_entry) &&
            memcmp(&ret_entry->live.key, key, sizeof(*key)) == 0)
            return 0;
    }
    return -ENOENT;
}

/* The new tracker has seen the connection, but not its SYN. */
static bool lacks_syn(const struct carrier *carrier, const struct tuple_key *key)
{
    union entry there;

    return carrier->is_live && bpf_map_lookup_elem(carrier->to, key, &there) == 0 &&
           !there.live.has_syn;
}

/* Put the entry where it is not; over our own earlier copy, and over one without a SYN.  Returns 1
 * when it is there by us, 0 when the tracker's own is there, or a negative errno. */
static int put(const struct carrier *carrier, const struct tuple_key *key, const union entry *entry,
               bool is_ours)
{
    if (!is_ours && bpf_map_update_elem(carrier->to, key, entry, BPF_NOEXIST) == 0)
        return 1;
    if (!is_ours && errno != EEXIST)
        return -errno;
    if (!is_ours && (!carrier->is_live || !entry->live.has_syn || !lacks_syn(carrier, key)))
        return 0;
    return bpf_map_update_elem(carrier->to, key, entry, BPF_EXIST) == 0 || errno == ENOENT ? 1
                                                                                           : -errno;
}

/* Take our copy away again; what the tracker has put there for another socket stays. */
static void take_back(const struct carrier *carrier, const struct tuple_key *key, uint64_t version)
{
    union entry there;

    if (bpf_map_lookup_elem(carrier->to, key, &there) == 0 && there.live.version_begin == version)
        (void)bpf_map_delete_elem(carrier->to, key);
}

/* The next state of an entry whose copy is there.  When its socket has gone, so does the copy; a
 * successor that the tracker put into both maps between the two steps of that is found now, since
 * it was in ours first. */
static int follow(const struct carrier *carrier, const struct tuple_key *key, union entry *entry,
                  bool *ret_is_ours)
{
    uint64_t version = entry->live.version_begin;
    int r = read_whole(carrier, key, entry);

    *ret_is_ours = r == 0;
    if (r != -ENOENT)
        return r;
    take_back(carrier, key, version);
    return read_whole(carrier, key, entry);
}

/* The entry as it can be carried.  `crowd` is not, since it could not be at one moment with the
 * counts; so who is in it is lost (record.h, CLAIM_LOST), and where nobody else is left, returns
 * false. */
static bool without_crowd(const struct carrier *carrier, const union entry *entry,
                          union entry *ret_entry)
{
    struct claim *claim = carrier->is_live ? &ret_entry->live.claim : &ret_entry->alias.claim;

    *ret_entry = *entry;
    if (!claim->crowded)
        return true;
    claim->crowded = CLAIM_LOST;
    for (int i = 0; i < CLAIM_OTHERS_MAX; i++)
        if (claim->others[i])
            return true;
    return claim->owner != 0;
}

/* Until what was copied is what is there. */
static int carry_one(const struct carrier *carrier, const struct tuple_key *key)
{
    union entry entry, copied, given;
    bool is_ours = false;
    int r = read_whole(carrier, key, &entry);

    for (int attempt = 0; r == 0 && attempt < COPY_ATTEMPTS; attempt++) {
        copied = entry;
        if (!without_crowd(carrier, &copied, &given))
            break;
        r = put(carrier, key, &given, is_ours);
        if (r <= 0)
            return r;
        r = follow(carrier, key, &entry, &is_ours);
        if (r == 0 && is_ours && memcmp(&entry, &copied, carrier->size) == 0) {
            carrier->carried->entries += carrier->is_live;
            return 0;
        }
    }
    if (is_ours)
        take_back(carrier, key, copied.live.version_begin);
    return r == -ENOENT ? 0 : r;
}

static bool is_full(int error)
{
    return error == -E2BIG || error == -ENOMEM || error == -ENOSPC;
}

static int carry_keys(const void *keys, const void *values, size_t count, void *context)
{
    const struct carrier *carrier = context;
    const struct tuple_key *key = keys;

    (void)values; /* each is read again, whole */
    for (size_t i = 0; i < count; i++) {
        int r = carry_one(carrier, &key[i]);

        if (is_full(r))
            carrier->carried->lost += carrier->is_live;
        else if (r < 0)
            return r;
    }
    return 0;
}

struct pending_carrier {
    int to;
    uint64_t since_ns;
};

static int carry_syns(const void *keys, const void *values, size_t count, void *context)
{
    const struct pending_carrier *carrier = context;
    const struct pending_key *key = keys;
    const struct syn_record *syn = values;

    for (size_t i = 0; i < count; i++)
        if (syn[i].seen_ns >= carrier->since_ns &&
            bpf_map_update_elem(carrier->to, &key[i], &syn[i], BPF_NOEXIST) < 0 && errno != EEXIST)
            return -errno;
    return 0;
}

/* A map, in batches, which go from bucket to bucket: walking from key to key would start again
 * whenever the key at hand is deleted. */
struct walk {
    int fd;
    size_t key_size, value_size;
    int (*visit)(const void *keys, const void *values, size_t count, void *context);
    void *context;
};

static int walk_map(const struct walk *walk)
{
    CLEANUP(freep) void *keys = calloc(BATCH, walk->key_size);
    CLEANUP(freep) void *values = calloc(BATCH, walk->value_size);
    uint32_t position = 0;
    bool is_first = true;

    if (!keys || !values)
        return -ENOMEM;
    for (;;) {
        uint32_t count = BATCH;
        int end = bpf_map_lookup_batch(walk->fd, is_first ? NULL : &position, &position, keys,
                                       values, &count, NULL) < 0
                      ? -errno
                      : 0;
        int r;

        if (end < 0 && end != -ENOENT)
            return end;
        r = walk->visit(keys, values, count, walk->context);
        if (r < 0 || end < 0)
            return r;
        is_first = false;
    }
}

static int carry_map(struct carrier *carrier)
{
    const struct walk walk = {carrier->from, sizeof(struct tuple_key), carrier->size, carry_keys,
                              carrier};

    return walk_map(&walk);
}

int carry_pending(int from, int to, uint64_t since_ns)
{
    struct pending_carrier carrier = {to, since_ns};
    const struct walk walk = {from, sizeof(struct pending_key), sizeof(struct syn_record),
                              carry_syns, &carrier};

    return walk_map(&walk);
}

int carry_entries(const struct capture_maps *from, const struct capture_maps *to,
                  struct carried *ret_carried)
{
    struct carried carried = {0};
    struct carrier live = {from->fd[MAP_LIVE], to->fd[MAP_LIVE], true, sizeof(struct live_entry),
                           &carried};
    struct carrier alias = {from->fd[MAP_ALIAS], to->fd[MAP_ALIAS], false,
                            sizeof(struct alias_entry), &carried};
    int r = carry_map(&live);

    if (r == 0)
        r = carry_map(&alias);
    if (r == 0)
        *ret_carried = carried;
    return r;
}
