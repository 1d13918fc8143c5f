/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>

#include "capture_track.skel.h"
#include "capture_xdp.skel.h"
#include "load_error.h"
#include "local_capture.h"

static int set_size(struct bpf_map *map, uint32_t entries)
{
    return entries ? bpf_map__set_max_entries(map, entries) : 0;
}

static int try_load_xdp(struct objects *objects, uint32_t max_pending, uint32_t max_live,
                        bool frags)
{
    struct capture_xdp *xdp = capture_xdp__open();
    int r;

    if (!xdp)
        return -errno;
    objects->xdp = xdp;
    xdp->rodata->has_frags = frags;
    r = bpf_program__set_flags(xdp->progs.capture_xdp, frags ? BPF_F_XDP_HAS_FRAGS : 0);
    if (r == 0)
        r = set_size(xdp->maps.pending, max_pending);
    if (r == 0)
        r = set_size(xdp->maps.live, max_live);
    if (r == 0)
        r = set_size(xdp->maps.alias, max_live);
    if (r == 0)
        r = capture_xdp__load(xdp);
    return r;
}

/* Kernels before 5.18 do not know of packets in several buffers and refuse the flag as invalid. */
static int load_xdp(struct objects *objects, uint32_t max_pending, uint32_t max_live)
{
    int r = try_load_xdp(objects, max_pending, max_live, true);

    if (r != -EINVAL)
        return r;
    objects_done(objects);
    load_error_listen();
    return try_load_xdp(objects, max_pending, max_live, false);
}

/* Every map of ours that the XDP object has, instead of one of its own. */
static int share_maps(struct bpf_object *from, struct bpf_object *to)
{
    struct bpf_map *map;

    bpf_object__for_each_map(map, to)
    {
        struct bpf_map *shared;
        int r;

        if (bpf_map__is_internal(map)) /* its own constants */
            continue;
        shared = bpf_object__find_map_by_name(from, bpf_map__name(map));
        r = shared ? bpf_map__reuse_fd(map, bpf_map__fd(shared)) : -ENOENT;
        if (r < 0)
            return r;
    }
    return 0;
}

static int load_track(struct objects *objects, unsigned copy)
{
    struct capture_track *track = capture_track__open();
    int r;

    if (!track)
        return -errno;
    objects->track[copy] = track;
    r = share_maps(objects->xdp->obj, track->obj);
    if (r < 0)
        return r;
    return capture_track__load(track);
}

int objects_load(struct objects *objects, uint32_t max_pending, uint32_t max_live,
                 struct diag *diag)
{
    int r;

    load_error_listen();
    r = load_xdp(objects, max_pending, max_live);
    for (unsigned copy = 0; r == 0 && copy < TRACKERS; copy++)
        r = load_track(objects, copy);
    return r == 0 ? 0 : load_error(diag, r);
}

void objects_maps(const struct objects *objects, struct capture_maps *ret_maps)
{
    const struct capture_xdp *xdp = objects->xdp;

    *ret_maps = (struct capture_maps){
        .pending = bpf_map__fd(xdp->maps.pending),
        .live = bpf_map__fd(xdp->maps.live),
        .alias = bpf_map__fd(xdp->maps.alias),
        .ports = bpf_map__fd(xdp->maps.ports),
        .prefixes = bpf_map__fd(xdp->maps.prefixes),
        .config = bpf_map__fd(xdp->maps.config),
        .meta = bpf_map__fd(xdp->maps.meta),
        .counters = bpf_map__fd(xdp->maps.counters),
    };
}

int objects_xdp_program(const struct objects *objects)
{
    return bpf_program__fd(objects->xdp->progs.capture_xdp);
}

int objects_track_program(const struct objects *objects, unsigned copy, unsigned program)
{
    const struct capture_track *track = objects->track[copy];

    return bpf_program__fd(program == 0 ? track->progs.capture_track
                                        : track->progs.capture_destroy);
}

void objects_done(struct objects *objects)
{
    for (unsigned copy = 0; copy < TRACKERS; copy++)
        capture_track__destroy(objects->track[copy]);
    capture_xdp__destroy(objects->xdp);
    *objects = (struct objects){0};
}

const struct embedded_object *objects_embedded(size_t *ret_count)
{
    static struct embedded_object objects[] = {{.name = "xdp"}, {.name = "track"}};

    objects[0].bytes = capture_xdp__elf_bytes(&objects[0].size);
    objects[1].bytes = capture_track__elf_bytes(&objects[1].size);
    *ret_count = sizeof(objects) / sizeof(objects[0]);
    return objects;
}
