/* SPDX-License-Identifier: Apache-2.0 */
/* The end of it all: what agents of any version left in a pin folder. */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "keeper.h"
#include "node_private.h"
#include "oplog.h"
#include "pin_names.h"
#include "set_owner.h"

struct cleanup {
    struct pins *pins;
    const char *set;
    unsigned *removed;
    bool ended; /* there was a set that readers may have */
};

struct owner {
    const struct pins *pins;
    uint32_t pid; /* 0: not known */
};

/* --- who is there ----------------------------------------------------------------------------- */

static int on_set_to_ask(const char *name, void *context)
{
    struct owner *owner = context;
    CLEANUP(closep)
    int fd = set_is_ours(owner->pins, name) ? pins_get(owner->pins, name, PINS_META) : -1;
    struct capture_meta meta;
    struct map_shape shape;

    if (fd >= 0 && map_shape_of(fd, &shape) == 0 && shape.value_size == sizeof(meta) &&
        bpf_map_lookup_elem(fd, &(uint32_t){0}, &meta) == 0 && meta.owner_pid)
        owner->pid = meta.owner_pid;
    return 0;
}

int node_say_busy(const char *pin_dir, struct diag *diag)
{
    CLEANUP(pins_close) struct pins pins = {.folder = ""};
    struct owner owner = {.pins = &pins};

    if (pins_look(pin_dir, &pins, NULL) == 0)
        (void)pins_each(&pins, NULL, on_set_to_ask, &owner);
    if (owner.pid == 0)
        return diag_set(diag, -EBUSY, "%s: another agent uses this folder; stop it first", pin_dir);
    return diag_set(diag, -EBUSY,
                    "%s: another agent, process %u, uses this folder; stop it first, or give this "
                    "one another --pin-dir",
                    pin_dir, owner.pid);
}

/* --- taking it away --------------------------------------------------------------------------- */

void node_wait_for_readers(void)
{
    const struct timespec notice = {.tv_sec = PIN_NOTICE_MS / 1000,
                                    .tv_nsec = PIN_NOTICE_MS % 1000 * 1000000L};

    (void)nanosleep(&notice, NULL);
}

int node_end_set(const struct pins *pins, const char *set)
{
    CLEANUP(closep) int keeper = pins_get(pins, set, PIN_KEEPER);

    return keeper < 0 ? 0 : keeper_end(keeper);
}

static int on_set_to_end(const char *name, void *context)
{
    struct cleanup *cleanup = context;

    if (!set_is_ours(cleanup->pins, name))
        return 0;
    cleanup->ended = true;
    return node_end_set(cleanup->pins, name);
}

/* Trackers cannot be detached by force; they go with their last pin. */
static int on_pin(const char *name, void *context)
{
    const struct cleanup *cleanup = context;
    struct hook_place place;
    struct hook_link link;

    if (!hook_pin_parse(name, &place) ||
        hook_pin_open(cleanup->pins, cleanup->set, &place, &link) < 0)
        return 0;
    hook_detach(&place, &link);
    hook_link_done(&link);
    return 0;
}

static int on_set_to_remove(const char *name, void *context)
{
    struct cleanup cleanup = *(const struct cleanup *)context;
    int r;

    if (!set_is_ours(cleanup.pins, name))
        return 0;
    cleanup.set = name;
    r = pins_each(cleanup.pins, name, on_pin, &cleanup);
    if (r == 0)
        r = pins_remove_set(cleanup.pins, name, cleanup.removed);
    return r == -ENOTEMPTY ? 0 : r; /* what is left there is somebody else's */
}

static void say_what_stays(const struct pins *pins)
{
    char names[256];
    int count = pins_list_foreign(pins, false, names, sizeof(names));

    if (count > 0)
        oplog_info("%s: %d left alone, not made by an agent or not empty: %s", pins->folder, count,
                   names);
}

static int remove_all(struct pins *pins, unsigned *removed)
{
    struct cleanup cleanup = {.pins = pins, .removed = removed};
    int r = pins_each(pins, NULL, on_set_to_end, &cleanup);

    if (cleanup.ended)
        node_wait_for_readers();
    if (r == 0)
        r = pins_each(pins, NULL, on_set_to_remove, &cleanup);
    if (r == 0)
        r = pins_remove_empty(pins, PIN_LOCK_WATCH);
    if (r < 0)
        return r;
    say_what_stays(pins);
    return pins_unlock(pins);
}

/* Else no set could be told from somebody else's. */
static int check_bpf(struct diag *diag)
{
    if (bpf_obj_get_opts("", NULL) != -EPERM)
        return 0;
    return diag_set(diag, -EPERM,
                    "the kernel refuses bpf() to this process, so an agent's pins cannot be told "
                    "from others'; before Linux 5.19, and with most seccomp profiles, it takes "
                    "CAP_BPF");
}

int node_cleanup(const char *pin_dir, unsigned *ret_removed, struct diag *diag)
{
    struct diag refusal = {.text = ""};
    unsigned removed = 0;
    struct pins pins;
    int r = pins_lock(pin_dir, &pins, &refusal);

    *ret_removed = 0;
    if (r == -ENOENT)
        return 0; /* nothing can be pinned there */
    if (r == -EBUSY)
        return node_say_busy(pin_dir, diag);
    if (r < 0)
        return diag_set(diag, r, "%s", refusal.text);
    r = check_bpf(diag);
    if (r == 0)
        r = remove_all(&pins, &removed);
    pins_close(&pins);
    if (r < 0)
        return diag_set(diag, r, "%s: cannot remove what is pinned there: %s", pin_dir,
                        strerror(-r));
    bpffs_remove(pin_dir);
    *ret_removed = removed;
    return 0;
}
