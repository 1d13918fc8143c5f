/* SPDX-License-Identifier: Apache-2.0 */
#include "set_owner.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "pin_names.h"
#include "record.h"
#include "set_name.h"

enum { META_SIZE_MAX = 4096 };

/* --- sets ------------------------------------------------------------------------------------- */

/* All layouts begin with the magic number. */
static bool has_magic(const struct pins *pins, const char *set, const char *name)
{
    CLEANUP(closep) int fd = pins_get(pins, set, name);
    struct bpf_map_info info = {0};
    uint32_t size = sizeof(info), magic;
    unsigned char value[META_SIZE_MAX];

    if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
        return false;
    if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < sizeof(magic) ||
        info.value_size > sizeof(value) || bpf_map_lookup_elem(fd, &(uint32_t){0}, value) < 0)
        return false;
    memcpy(&magic, value, sizeof(magic));
    return magic == META_MAGIC;
}

static int stop_at_any(const char *name, void *context)
{
    (void)name;
    (void)context;
    return -EEXIST;
}

static bool is_left_empty(const struct pins *pins, const char *set)
{
    struct stat found;

    return fstatat(pins->dir, set, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           (found.st_mode & 07777) == PINS_MODE_SET && pins_each(pins, set, stop_at_any, NULL) == 0;
}

static bool is_set_name(const char *name)
{
    struct set_name ignored;

    return strcmp(name, PINS_UNFINISHED) == 0 || set_name_parse(name, &ignored);
}

bool set_is_ours(const struct pins *pins, const char *set)
{
    return is_set_name(set) &&
           (has_magic(pins, set, PINS_META) || has_magic(pins, set, PINS_FRESH PINS_META) ||
            is_left_empty(pins, set));
}

/* --- what else there is ----------------------------------------------------------------------- */

struct listing {
    const struct pins *pins;
    bool sets;
    char *buffer;
    size_t size, used;
    bool is_full;
    int count;
};

/* Names with dots are the kernel's. */
static bool is_foreign(const struct listing *listing, const char *name)
{
    if (is_set_name(name))
        return !set_is_ours(listing->pins, name);
    return !listing->sets && !strchr(name, '.') && strcmp(name, PINS_LOCK) != 0 &&
           strcmp(name, PIN_LOCK_WATCH) != 0;
}

static int on_name(const char *name, void *context)
{
    struct listing *listing = context;
    size_t room = listing->size - listing->used;
    bool fits;

    if (!is_foreign(listing, name))
        return 0;
    fits = strlen(name) + sizeof(", , ...") <= room;
    if (!listing->is_full)
        listing->used += (size_t)snprintf(listing->buffer + listing->used, room, "%s%s",
                                          listing->count ? ", " : "", fits ? name : "...");
    listing->is_full = listing->is_full || !fits;
    listing->count++;
    return 0;
}

int pins_list_foreign(const struct pins *pins, bool sets, char *buffer, size_t size)
{
    struct listing listing = {.pins = pins, .sets = sets, .buffer = buffer, .size = size};
    int r;

    buffer[0] = '\0';
    r = pins_each(pins, NULL, on_name, &listing);
    return r < 0 ? r : listing.count;
}
