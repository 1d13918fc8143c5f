/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "cleanup.h"

#define LOCK "lock"

enum {
    MODE_LOCK = 0700,
    MODE_SET = 0750,
    MODE_MAP = 0640,
    MODE_PRIVATE = 0600,
    NAMES_MAX = 4096,
    LOCK_ATTEMPTS = 3
};

struct path {
    char text[PINS_PATH_MAX];
};

/* Any of `set` and `name` may be NULL. */
static struct path path_of(const struct pins *pins, const char *set, const char *name)
{
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%s%s%s%s%s", pins->folder, set ? "/" : "",
                   set ? set : "", name ? "/" : "", name ? name : "");
    return path;
}

/* --- whose it is ------------------------------------------------------------------------------ */

/* Is the descriptor the folder that has the name now? */
static bool is_at(int fd, const char *path)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

/* Returns the locked descriptor, or -EAGAIN when somebody removed the folder meanwhile. */
static int try_lock(const char *path)
{
    CLEANUP(closep) int fd = -1;

    if (mkdir(path, MODE_LOCK) < 0 && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (!is_at(fd, path))
        return -EAGAIN;
    return take_fd(&fd);
}

static int lock_folder(struct pins *pins, struct diag *diag)
{
    struct path path = path_of(pins, LOCK, NULL);
    int fd = -EAGAIN, r;

    for (int attempt = 0; fd == -EAGAIN && attempt < LOCK_ATTEMPTS; attempt++)
        fd = try_lock(path.text);
    if (fd == -EBUSY)
        return diag_set(diag, fd, "%s: another agent uses the folder", pins->folder);
    if (fd < 0)
        return diag_set(diag, fd, "%s: cannot lock the folder for pins: %s", pins->folder,
                        strerror(-fd));
    pins->lock = fd;
    r = bpffs_check_owner(path.text, diag);
    if (r < 0)
        pins_close(pins);
    return r;
}

static struct pins pins_at(const char *folder, gid_t group)
{
    struct pins pins = {.group = group, .lock = -1};

    (void)snprintf(pins.folder, sizeof(pins.folder), "%s", folder);
    return pins;
}

int pins_open(const char *folder, gid_t group, struct pins *ret_pins, struct diag *diag)
{
    struct pins pins = pins_at(folder, group);
    int r = bpffs_prepare(folder, group, diag);

    if (r == 0)
        r = lock_folder(&pins, diag);
    if (r == 0)
        *ret_pins = pins;
    return r;
}

int pins_lock(const char *folder, struct pins *ret_pins, struct diag *diag)
{
    struct pins pins = pins_at(folder, 0);
    int r = bpffs_check_owner(folder, diag);

    if (r == 0)
        r = lock_folder(&pins, diag);
    if (r == 0)
        *ret_pins = pins;
    return r;
}

int pins_unlock(struct pins *pins)
{
    struct path path = path_of(pins, LOCK, NULL);
    int r = rmdir(path.text) < 0 ? -errno : 0;

    pins_close(pins);
    return r;
}

bool pins_are_ours(const struct pins *pins)
{
    struct path path = path_of(pins, LOCK, NULL);

    return is_at(pins->lock, path.text);
}

void pins_close(struct pins *pins)
{
    closep(&pins->lock);
    pins->lock = -1;
}

/* --- what is in it ---------------------------------------------------------------------------- */

int pins_make_set(const struct pins *pins, const char *set)
{
    struct path path = path_of(pins, set, NULL);

    int r = mkdir(path.text, MODE_SET) < 0 && errno != EEXIST ? -errno : 0;

    if (r == 0)
        r = bpffs_check_owner(path.text, NULL);
    return r < 0 ? r : bpffs_set_access(path.text, pins->group, MODE_SET);
}

int pins_rename_set(const struct pins *pins, const char *from, const char *to)
{
    struct path old = path_of(pins, from, NULL), new = path_of(pins, to, NULL);

    return rename(old.text, new.text) < 0 ? -errno : 0;
}

/* The name is another one for a moment: what has it now goes only when the new one is there, with
 * the mode that it shall have. */
int pins_put(const struct pins *pins, const char *set, const char *name, int fd, enum pin_kind kind)
{
    struct path path = path_of(pins, set, name), fresh;
    char fresh_name[64];
    int r;

    (void)snprintf(fresh_name, sizeof(fresh_name), "new_%s", name);
    fresh = path_of(pins, set, fresh_name);
    if (unlink(fresh.text) < 0 && errno != ENOENT)
        return -errno;
    if (bpf_obj_pin(fd, fresh.text) < 0)
        return -errno;
    if (kind == PIN_MAP)
        r = bpffs_set_access(fresh.text, pins->group, MODE_MAP);
    else /* the same group: root's would take CAP_CHOWN */
        r = bpffs_set_access(fresh.text, pins->group, MODE_PRIVATE);
    if (r == 0 && rename(fresh.text, path.text) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(fresh.text);
    return r;
}

bool pins_has(const struct pins *pins, const char *set, const char *name)
{
    struct path path = path_of(pins, set, name);
    struct stat found;

    return lstat(path.text, &found) == 0;
}

int pins_remove(const struct pins *pins, const char *set, const char *name)
{
    struct path path = path_of(pins, set, name);

    return unlink(path.text) < 0 && errno != ENOENT ? -errno : 0;
}

int pins_get(const struct pins *pins, const char *set, const char *name)
{
    struct path path = path_of(pins, set, name);
    int r = bpffs_check_owner(path.text, NULL);

    if (r < 0)
        return r;
    r = bpf_obj_get_opts(path.text, NULL);
    return r < 0 ? -errno : r;
}

/* --- going through it ------------------------------------------------------------------------- */

/* All names first, since whoever visits them may remove them. */
struct names {
    char (*items)[NAME_MAX + 1];
    size_t count;
};

static void names_done(struct names *names)
{
    free(names->items);
}

static int add_name(struct names *names, const char *name)
{
    void *more;

    if (names->count == NAMES_MAX)
        return -E2BIG;
    more = reallocarray(names->items, names->count + 1, sizeof(*names->items));
    if (!more)
        return -ENOMEM;
    names->items = more;
    (void)snprintf(names->items[names->count++], sizeof(*names->items), "%s", name);
    return 0;
}

static int list_names(const char *path, struct names *ret_names)
{
    DIR *directory = opendir(path);
    struct dirent *entry;
    int r = 0;

    if (!directory)
        return -errno;
    while (r == 0 && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = add_name(ret_names, entry->d_name);
    (void)closedir(directory);
    return r;
}

int pins_each(const struct pins *pins, const char *set,
              int (*visit)(const char *name, void *context), void *context)
{
    CLEANUP(names_done) struct names names = {0};
    struct path path = path_of(pins, set, NULL);
    int r = list_names(path.text, &names);

    for (size_t i = 0; r >= 0 && i < names.count; i++)
        r = visit(names.items[i], context);
    return r < 0 ? r : 0;
}

struct removal {
    const struct pins *pins;
    const char *set;
    unsigned *removed;
};

static int on_pin(const char *name, void *context)
{
    const struct removal *removal = context;
    int r = pins_remove(removal->pins, removal->set, name);

    if (r == 0)
        ++*removal->removed;
    return r;
}

int pins_remove_set(const struct pins *pins, const char *set, unsigned *removed)
{
    struct removal removal = {pins, set, removed};
    struct path path = path_of(pins, set, NULL);
    int r = pins_each(pins, set, on_pin, &removal);

    if (r == 0 && rmdir(path.text) < 0)
        r = -errno;
    return r == -ENOENT ? 0 : r;
}
