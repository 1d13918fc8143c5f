/* SPDX-License-Identifier: Apache-2.0 */
#include "objects.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>

#include "capture_cgroup.skel.h"
#include "capture_keeper.skel.h"
#include "capture_tcx.skel.h"
#include "capture_track.skel.h"
#include "capture_xdp.skel.h"
#include "cleanup.h"
#include "load_error.h"

/* --- skeletons: each has a type of its own, what is done with them has not -------------------- */

struct skeleton {
    void *self;
    struct bpf_object *object;
    void (*destroy)(void *self);
};

static void destroy_xdp(void *self)
{
    capture_xdp__destroy(self);
}

static struct skeleton open_xdp(void)
{
    struct capture_xdp *self = capture_xdp__open();

    return (struct skeleton){self, self ? self->obj : NULL, destroy_xdp};
}

static void destroy_tcx(void *self)
{
    capture_tcx__destroy(self);
}

static struct skeleton open_tcx(void)
{
    struct capture_tcx *self = capture_tcx__open();

    return (struct skeleton){self, self ? self->obj : NULL, destroy_tcx};
}

static void destroy_cgroup(void *self)
{
    capture_cgroup__destroy(self);
}

static struct skeleton open_cgroup(void)
{
    struct capture_cgroup *self = capture_cgroup__open();

    return (struct skeleton){self, self ? self->obj : NULL, destroy_cgroup};
}

static void destroy_track(void *self)
{
    capture_track__destroy(self);
}

static struct skeleton open_track(void)
{
    struct capture_track *self = capture_track__open();

    return (struct skeleton){self, self ? self->obj : NULL, destroy_track};
}

static void destroy_keeper(void *self)
{
    capture_keeper__destroy(self);
}

static struct skeleton open_keeper(void)
{
    struct capture_keeper *self = capture_keeper__open();

    return (struct skeleton){self, self ? self->obj : NULL, destroy_keeper};
}

static const struct {
    const char *name;
    struct skeleton (*open)(void);
    const void *(*bytes)(size_t *ret_size);
} OBJECTS[OBJECT_COUNT_] = {
    [OBJECT_XDP] = {"xdp", open_xdp, capture_xdp__elf_bytes},
    [OBJECT_TCX] = {"tcx", open_tcx, capture_tcx__elf_bytes},
    [OBJECT_CGROUP] = {"cgroup", open_cgroup, capture_cgroup__elf_bytes},
    [OBJECT_TRACK] = {"track", open_track, capture_track__elf_bytes},
    [OBJECT_KEEPER] = {"keeper", open_keeper, capture_keeper__elf_bytes},
};

static void skeleton_done(struct skeleton *skeleton)
{
    if (skeleton->self)
        skeleton->destroy(skeleton->self);
}

/* --- maps ------------------------------------------------------------------------------------- */

/* The descriptor outlives the object that it was made by. */
static int duplicate(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    return copy < 0 ? -errno : copy;
}

static struct bpf_map *find_map(const struct skeleton *skeleton, enum capture_map map)
{
    return bpf_object__find_map_by_name(skeleton->object, CAPTURE_MAP_NAMES[map]);
}

/* Maps that are open already are used instead of new ones. */
static int use_maps(const struct skeleton *skeleton, const struct capture_maps *maps)
{
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        struct bpf_map *own = find_map(skeleton, map);
        int r;

        if (maps->fd[map] < 0)
            continue;
        r = own ? bpf_map__reuse_fd(own, maps->fd[map]) : -ENOENT;
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_size(const struct skeleton *skeleton, enum capture_map map, uint32_t entries)
{
    return entries ? bpf_map__set_max_entries(find_map(skeleton, map), entries) : 0;
}

static int set_sizes(const struct skeleton *skeleton, const struct map_sizes *sizes)
{
    int r = set_size(skeleton, MAP_PENDING, sizes->pending);

    if (r == 0)
        r = set_size(skeleton, MAP_LIVE, sizes->live);
    if (r == 0)
        r = set_size(skeleton, MAP_ALIAS, sizes->live);
    if (r == 0)
        r = set_size(skeleton, MAP_CROWD, sizes->live);
    if (r == 0)
        r = set_size(skeleton, MAP_CAPTURED, sizes->captured);
    return r;
}

int map_shape_of(int fd, struct map_shape *ret_shape)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);

    if (bpf_obj_get_info_by_fd(fd, &info, &length) < 0)
        return -errno;
    *ret_shape = (struct map_shape){info.type, info.key_size, info.value_size, info.max_entries,
                                    info.map_flags};
    return 0;
}

static struct map_shape declared_shape(const struct bpf_map *map)
{
    return (struct map_shape){bpf_map__type(map), bpf_map__key_size(map), bpf_map__value_size(map),
                              bpf_map__max_entries(map), bpf_map__map_flags(map)};
}

int objects_map_shapes(const struct map_sizes *sizes, struct map_shape ret_shapes[MAP_COUNT_],
                       struct diag *diag)
{
    CLEANUP(skeleton_done) struct skeleton skeleton = {0};
    int r;

    load_error_listen();
    skeleton = OBJECTS[OBJECT_CGROUP].open();
    r = skeleton.object ? set_sizes(&skeleton, sizes) : -errno;
    if (r < 0)
        return load_error(diag, r);
    for (enum capture_map map = 0; map < MAP_COUNT_; map++)
        ret_shapes[map] = declared_shape(find_map(&skeleton, map));
    return 0;
}

/* Take what is new out of the object. */
static int keep_maps(const struct skeleton *skeleton, struct capture_maps *maps)
{
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        int fd;

        if (maps->fd[map] >= 0 || map == MAP_PENDING_BEFORE)
            continue;
        fd = duplicate(bpf_map__fd(find_map(skeleton, map)));
        if (fd < 0)
            return fd;
        maps->fd[map] = fd;
    }
    return 0;
}

/* The cgroup object's programs are left out and need nothing of the kernel, so that maps can be
 * made where programs could not be loaded; all objects declare the same maps. */
static int make_maps(const struct map_sizes *sizes, struct capture_maps *maps)
{
    CLEANUP(skeleton_done) struct skeleton skeleton = OBJECTS[OBJECT_CGROUP].open();
    struct bpf_program *program;
    int r;

    if (!skeleton.object)
        return -errno;
    bpf_object__for_each_program(program, skeleton.object)(void)
        bpf_program__set_autoload(program, false);
    r = bpf_map__set_autocreate(find_map(&skeleton, MAP_PENDING_BEFORE), false);
    if (r == 0)
        r = set_sizes(&skeleton, sizes);
    if (r == 0)
        r = use_maps(&skeleton, maps);
    if (r == 0)
        r = bpf_object__load(skeleton.object);
    return r == 0 ? keep_maps(&skeleton, maps) : r;
}

int objects_make_maps(const struct map_sizes *sizes, struct capture_maps *maps, struct diag *diag)
{
    int r;

    load_error_listen();
    r = make_maps(sizes, maps);
    return r < 0 ? load_error(diag, r) : 0;
}

/* --- programs --------------------------------------------------------------------------------- */

/* `pending_before` is `pending` itself where nothing was replaced. */
static int give_maps(const struct skeleton *skeleton, const struct capture_maps *maps)
{
    struct capture_maps given = *maps;

    if (given.fd[MAP_PENDING_BEFORE] < 0)
        given.fd[MAP_PENDING_BEFORE] = given.fd[MAP_PENDING];
    return use_maps(skeleton, &given);
}

/* Packets may lie in several buffers. */
static int accept_frags(const struct skeleton *skeleton)
{
    const struct capture_xdp *xdp = skeleton->self;

    xdp->rodata->has_frags = true;
    return bpf_program__set_flags(bpf_object__next_program(skeleton->object, NULL),
                                  BPF_F_XDP_HAS_FRAGS);
}

static int load_hook(enum object object, const struct capture_maps *maps, bool frags)
{
    CLEANUP(skeleton_done) struct skeleton skeleton = OBJECTS[object].open();
    int r;

    if (!skeleton.object)
        return -errno;
    r = give_maps(&skeleton, maps);
    if (r == 0 && frags)
        r = accept_frags(&skeleton);
    if (r == 0)
        r = bpf_object__load(skeleton.object);
    if (r < 0)
        return r;
    return duplicate(bpf_program__fd(bpf_object__next_program(skeleton.object, NULL)));
}

/* Kernels before 5.18 do not know of packets in several buffers and refuse the flag as invalid. */
int objects_load_hook(enum object object, const struct capture_maps *maps, struct diag *diag)
{
    int fd;

    load_error_listen();
    fd = load_hook(object, maps, object == OBJECT_XDP);
    if (fd == -EINVAL && object == OBJECT_XDP) {
        load_error_listen();
        fd = load_hook(object, maps, false);
    }
    return fd < 0 ? load_error(diag, fd) : fd;
}

static int load_tracker(const struct skeleton *skeleton, unsigned copy,
                        const struct capture_maps *maps, int programs[TRACKER_PROGRAMS])
{
    const struct capture_track *track = skeleton->self;
    struct bpf_program *program = NULL;
    int r = give_maps(skeleton, maps);

    track->rodata->copy = copy;

    if (r == 0)
        r = bpf_object__load(skeleton->object);
    for (int i = 0; r == 0 && i < TRACKER_PROGRAMS; i++) {
        program = bpf_object__next_program(skeleton->object, program);
        programs[i] = duplicate(bpf_program__fd(program));
        if (programs[i] < 0)
            r = programs[i];
    }
    return r;
}

int objects_load_tracker(unsigned copy, const struct capture_maps *maps,
                         int ret_programs[TRACKER_PROGRAMS], struct diag *diag)
{
    CLEANUP(skeleton_done) struct skeleton skeleton = OBJECTS[OBJECT_TRACK].open();
    int programs[TRACKER_PROGRAMS];
    int r;

    memset(programs, -1, sizeof(programs));
    load_error_listen();
    r = skeleton.object ? load_tracker(&skeleton, copy, maps, programs) : -errno;
    if (r == 0) {
        memcpy(ret_programs, programs, sizeof(programs));
        return 0;
    }
    for (int i = 0; i < TRACKER_PROGRAMS; i++)
        closep(&programs[i]);
    return load_error(diag, r);
}

void objects_embedded(struct embedded_object ret_objects[OBJECT_COUNT_])
{
    for (int i = 0; i < OBJECT_COUNT_; i++) {
        ret_objects[i].name = OBJECTS[i].name;
        ret_objects[i].bytes = OBJECTS[i].bytes(&ret_objects[i].size);
    }
}
