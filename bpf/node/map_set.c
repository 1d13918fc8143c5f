/* SPDX-License-Identifier: Apache-2.0 */
#include "map_set.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "set_owner.h"

void tracker_pin_name(unsigned copy, unsigned program, char ret_name[TRACKER_PIN_MAX])
{
    (void)snprintf(ret_name, TRACKER_PIN_MAX, "link_track_%u_%u", copy, program);
}

static bool has_trackers(const struct pins *pins, const char *set)
{
    for (unsigned i = 0; i < TRACKERS * TRACKER_PROGRAMS; i++) {
        char name[TRACKER_PIN_MAX];

        tracker_pin_name(i / TRACKER_PROGRAMS, i % TRACKER_PROGRAMS, name);
        if (!pins_has(pins, set, name))
            return false;
    }
    return true;
}

/* Leaves zeros where there is no such map, or it is none of ours. */
static void read_meta(const struct capture_maps *maps, struct capture_meta *ret_meta)
{
    struct map_shape shape;

    if (map_shape_of(maps->fd[MAP_META], &shape) < 0 || shape.value_size != sizeof(*ret_meta) ||
        bpf_map_lookup_elem(maps->fd[MAP_META], &(uint32_t){0}, ret_meta) < 0)
        *ret_meta = (struct capture_meta){0};
}

static void open_set(const struct pins *pins, struct set_name name, struct map_set *ret_set)
{
    char text[SET_NAME_MAX];

    set_name_format(name, text);
    ret_set->name = name;
    for (int map = 0; map < MAP_COUNT_; map++) {
        int fd = pins_get(pins, text, CAPTURE_MAP_NAMES[map]);

        ret_set->maps.fd[map] = fd < 0 ? -1 : fd;
    }
    read_meta(&ret_set->maps, &ret_set->meta);
    ret_set->has_trackers = has_trackers(pins, text);
}

struct search {
    const struct pins *pins;
    struct map_sets *sets;
};

static int add_set(struct search *search, struct set_name name)
{
    struct map_sets *sets = search->sets;
    void *more = reallocarray(sets->items, sets->count + 1, sizeof(*sets->items));

    if (!more)
        return -ENOMEM;
    sets->items = more;
    open_set(search->pins, name, &sets->items[sets->count++]);
    return 0;
}

static int add_taken(struct map_sets *sets, struct set_name name)
{
    void *more = reallocarray(sets->taken, sets->taken_count + 1, sizeof(*sets->taken));

    if (!more)
        return -ENOMEM;
    sets->taken = more;
    sets->taken[sets->taken_count++] = name;
    return 0;
}

static int on_name(const char *text, void *context)
{
    struct search *search = context;
    struct set_name name;

    if (!set_name_parse(text, &name))
        return 0;
    return set_is_ours(search->pins, text) ? add_set(search, name) : add_taken(search->sets, name);
}

/* By generation, which goes on from a set to the one that replaces it; else by name. */
static int compare(const void *a, const void *b)
{
    const struct map_set *left = a, *right = b;

    if (left->meta.generation != right->meta.generation)
        return left->meta.generation < right->meta.generation ? 1 : -1;
    return -set_name_compare(left->name, right->name);
}

int map_sets_open(const struct pins *pins, struct map_sets *ret_sets)
{
    CLEANUP(map_sets_done) struct map_sets sets = {0};
    struct search search = {pins, &sets};
    int r = pins_each(pins, NULL, on_name, &search);

    if (r < 0)
        return r;
    if (sets.count)
        qsort(sets.items, sets.count, sizeof(*sets.items), compare);
    *ret_sets = sets;
    sets = (struct map_sets){0};
    return 0;
}

void map_sets_done(struct map_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        capture_maps_close(&sets->items[i].maps);
    free(sets->items);
    free(sets->taken);
    *sets = (struct map_sets){0};
}

bool map_set_is_true(const struct map_set *set)
{
    const struct capture_meta *meta = &set->meta;

    return capture_meta_is_of_this_boot(meta) &&
           (meta->state == CAPTURE_RUNNING || meta->state == CAPTURE_DEGRADED) &&
           (!meta->tracked || set->has_trackers);
}

bool map_has_shape(const struct map_set *set, enum capture_map map, const struct map_shape *shape,
                   bool any_size)
{
    struct map_shape found;

    if (map_shape_of(set->maps.fd[map], &found) < 0)
        return false;
    if (any_size)
        found.entries = shape->entries;
    return memcmp(&found, shape, sizeof(found)) == 0; /* no padding: all of one type */
}

bool map_set_fits(const struct map_set *set, const struct map_shape shapes[MAP_COUNT_],
                  bool tracked)
{
    const struct capture_meta *meta = &set->meta;

    if (!map_set_is_true(set) || meta->layout != SYN_LAYOUT ||
        meta->reader_layout != READER_LAYOUT || meta->tracked != tracked)
        return false;
    for (int map = 0; map < MAP_COUNT_; map++)
        if (map != MAP_PENDING_BEFORE && !map_has_shape(set, map, &shapes[map], false))
            return false;
    return true;
}

static bool is_taken(const struct map_sets *sets, struct set_name name)
{
    for (size_t i = 0; i < sets->taken_count; i++)
        if (set_name_compare(sets->taken[i], name) == 0)
            return true;
    return false;
}

struct set_name map_sets_next_name(const struct map_sets *sets)
{
    struct set_name next = {.layout = SYN_LAYOUT};

    for (size_t i = 0; i < sets->count; i++)
        if (sets->items[i].name.layout == SYN_LAYOUT && sets->items[i].name.number >= next.number)
            next.number = sets->items[i].name.number + 1;
    while (is_taken(sets, next))
        next.number++;
    return next;
}
