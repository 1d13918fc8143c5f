/* SPDX-License-Identifier: Apache-2.0 */
#include "filters.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "keeper.h"

int filters_check(const struct filters *filters, struct diag *diag)
{
    if (!filters->any_port && filters->port_count == 0)
        return diag_set(diag, -EINVAL, "no port to capture: name at least one");
    if (filters->prefix_count > PREFIXES_MAX)
        return diag_set(diag, -E2BIG, "%zu prefixes, at most %d are possible",
                        filters->prefix_count, PREFIXES_MAX);
    return 0;
}

static int write_ports(int keeper, int fd, const struct filters *filters)
{
    uint64_t words[PORTS_WORDS] = {0};

    if (filters->any_port)
        memset(words, 0xff, sizeof(words));
    for (size_t i = 0; i < filters->port_count; i++)
        words[filters->ports[i] / 64] |= UINT64_C(1) << filters->ports[i] % 64;
    for (uint32_t i = 0; i < PORTS_WORDS; i++) {
        uint64_t now = 0;
        int r = bpf_map_lookup_elem(fd, &i, &now) < 0 ? -errno : 0;

        if (r == 0 && now != words[i])
            r = keeper_write_ports(keeper, i, words[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static struct prefix_key key_of(const struct prefix *prefix)
{
    struct prefix_key key = {.bits = prefix->length + (prefix->addr.family == 4 ? 96u : 0u)};

    memcpy(key.address, prefix->addr.bytes, sizeof(key.address));
    return key;
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct prefix_key));
}

/* The keys of the wanted prefixes, sorted; NULL without memory. */
static struct prefix_key *wanted_keys(const struct filters *filters)
{
    struct prefix_key *keys = calloc(filters->prefix_count + 1, sizeof(*keys));

    if (!keys)
        return NULL;
    for (size_t i = 0; i < filters->prefix_count; i++)
        keys[i] = key_of(&filters->prefixes[i]);
    qsort(keys, filters->prefix_count, sizeof(*keys), compare_keys);
    return keys;
}

static int add_prefixes(int keeper, const struct prefix_key *keys, size_t count)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < count; i++)
        r = keeper_add_prefix(keeper, &keys[i]);
    return r;
}

/* Those in the map that are not among the wanted ones: at most PREFIXES_MAX. */
static size_t find_stale(int fd, const struct prefix_key *keys, size_t count,
                         struct prefix_key *stale)
{
    struct prefix_key key, previous;
    size_t found = 0;

    for (int more = bpf_map_get_next_key(fd, NULL, &key); more == 0 && found < PREFIXES_MAX;
         more = bpf_map_get_next_key(fd, &previous, &key)) {
        if (!bsearch(&key, keys, count, sizeof(*keys), compare_keys))
            stale[found++] = key;
        previous = key;
    }
    return found;
}

static int remove_stale(int keeper, int fd, const struct prefix_key *keys, size_t count)
{
    CLEANUP(freep) struct prefix_key *stale = calloc(PREFIXES_MAX, sizeof(*stale));
    size_t found;

    if (!stale)
        return -ENOMEM;
    found = find_stale(fd, keys, count, stale);
    for (size_t i = 0; i < found; i++) {
        int r = keeper_remove_prefix(keeper, &stale[i]);

        if (r < 0 && r != -ENOENT)
            return r;
    }
    return 0;
}

/* Prefixes count from the moment that the configuration says so; until then, and from the moment
 * that it says they do not, all destinations are captured. */
static int replace(const struct filters *filters, const struct prefix_key *keys,
                   const struct capture_config *config, const struct capture_maps *maps, int keeper)
{
    struct capture_config value = *config;
    int r = add_prefixes(keeper, keys, filters->prefix_count);

    value.use_prefixes = filters->prefix_count > 0;
    if (r == 0)
        r = write_ports(keeper, maps->fd[MAP_PORTS], filters);
    if (r == 0)
        r = keeper_write_config(keeper, &value);
    return r < 0 ? r : remove_stale(keeper, maps->fd[MAP_PREFIXES], keys, filters->prefix_count);
}

int filters_write(const struct filters *filters, const struct capture_config *config,
                  const struct capture_maps *maps, int keeper, struct diag *diag)
{
    CLEANUP(freep) struct prefix_key *keys = wanted_keys(filters);
    int r = keys ? replace(filters, keys, config, maps, keeper) : -ENOMEM;

    if (r < 0)
        return diag_set(diag, r, "cannot write the capture filters: %s%s", strerror(-r),
                        r == -ENOSPC ? " (while prefixes are replaced, old and new ones need room)"
                                     : "");
    return 0;
}
