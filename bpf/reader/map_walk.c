/* SPDX-License-Identifier: Apache-2.0 */
#include "map_walk.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "flow_key.h"

/* Entries of one batch.  The kernel hands out whole buckets, and refuses a batch that is smaller
 * than one. */
enum { BATCH = 1024, BATCH_MAX = 1024 * 1024 };

struct walk {
    int fd;
    size_t value_size;
    uint32_t batch; /* room for so many */
    struct tuple_key *keys;
    void *values; /* the kernel does not give keys alone */
};

static void walk_done(struct walk *walk)
{
    free(walk->keys);
    free(walk->values);
}

static int walk_resize(struct walk *walk, uint32_t batch)
{
    walk_done(walk);
    walk->keys = calloc(batch, sizeof(*walk->keys));
    walk->values = calloc(batch, walk->value_size);
    walk->batch = batch;
    return walk->keys && walk->values ? 0 : -ENOMEM;
}

static bool is_from(const struct flow *flow, const struct endpoint *source)
{
    return flow->source.port == source->port && addr_eq(&flow->source.addr, &source->addr);
}

static int visit_batch(const struct walk *walk, uint32_t count, const struct endpoint *source,
                       map_walk_fn visit, void *context)
{
    for (uint32_t i = 0; i < count; i++) {
        struct flow flow = flow_from_tuple_key(&walk->keys[i]);
        int r = is_from(&flow, source) ? visit(&flow, context) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* The next batch behind `position`, which the kernel counts in buckets.  Returns 1, 0 when it was
 * the last one, or a negative errno. */
static int read_batch(struct walk *walk, const uint32_t *position, uint32_t *ret_position,
                      uint32_t *ret_count)
{
    uint32_t from = position ? *position : 0;
    int r;

    for (;;) {
        *ret_count = walk->batch;
        r = bpf_map_lookup_batch(walk->fd, position ? &from : NULL, ret_position, walk->keys,
                                 walk->values, ret_count, NULL);
        if (r != -ENOSPC || walk->batch >= BATCH_MAX)
            break;
        r = walk_resize(walk, walk->batch * 2);
        if (r < 0)
            return r;
    }
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : 1;
}

int map_walk_source(const struct capture_maps *maps, const struct endpoint *source,
                    map_walk_fn visit, void *context)
{
    CLEANUP(walk_done) struct walk walk = {0};
    struct capture_meta meta;
    uint32_t position, count;
    const uint32_t *from = NULL;
    int more, r = capture_meta_read(maps, &meta);

    if (r < 0)
        return r;
    walk.fd = maps->fd[meta.tracked ? MAP_LIVE : MAP_CAPTURED];
    walk.value_size = meta.tracked ? sizeof(struct live_entry) : sizeof(struct captured_entry);
    r = walk_resize(&walk, BATCH);
    if (r < 0)
        return r;
    do {
        more = read_batch(&walk, from, &position, &count);
        if (more < 0)
            return more;
        r = visit_batch(&walk, count, source, visit, context);
        from = &position;
    } while (r == 0 && more);
    return r;
}
