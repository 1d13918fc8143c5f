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
#include "oplog.h"
#include "set_owner.h"
#include "trusted_path.h"

enum {
    MODE_LOCK = 0700,
    MODE_MAP = 0640,
    MODE_PRIVATE = 0600,
    NAMES_SIZE_FIRST = 4096,
    LOCK_ATTEMPTS = 3
};

/* How messages call it. */
struct path {
    char text[BPFFS_PATH_MAX + NAME_MAX + 2];
};

static struct path path_of(const struct pins *pins, const char *name)
{
    struct path path;

    (void)snprintf(path.text, sizeof(path.text), "%s/%s", pins->folder, name);
    return path;
}

/* --- whose it is ------------------------------------------------------------------------------ */

/* Is the descriptor the folder that has the name now? */
static bool is_at(int fd, int folder, const char *name)
{
    struct stat held, named;

    return fstat(fd, &held) == 0 && fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

/* Returns the locked descriptor, or -EAGAIN when somebody removed the folder meanwhile. */
static int try_lock(const struct pins *pins)
{
    CLEANUP(closep) int fd = -1;

    if (mkdirat(pins->dir, PINS_LOCK, MODE_LOCK) < 0 && errno != EEXIST)
        return -errno;
    fd = openat(pins->dir, PINS_LOCK, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -EAGAIN : -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? -EBUSY : -errno;
    if (!is_at(fd, pins->dir, PINS_LOCK))
        return -EAGAIN;
    return take_fd(&fd);
}

/* The folder itself is open; on failure it stays so. */
static int lock_folder(struct pins *pins, struct diag *diag)
{
    int fd = -EAGAIN;

    for (int attempt = 0; fd == -EAGAIN && attempt < LOCK_ATTEMPTS; attempt++)
        fd = try_lock(pins);
    if (fd == -EBUSY)
        return diag_set(diag, fd, "%s: another agent uses the folder", pins->folder);
    if (fd < 0)
        return diag_set(diag, fd, "%s: cannot lock the folder for pins: %s", pins->folder,
                        strerror(-fd));
    pins->lock = fd;
    return trusted_check(fd, "", path_of(pins, PINS_LOCK).text, diag);
}

/* Takes the descriptor. */
static struct pins pins_at(const char *folder, int dir, gid_t group)
{
    struct pins pins = {.group = group, .dir = dir, .lock = -1};

    (void)snprintf(pins.folder, sizeof(pins.folder), "%s", folder);
    return pins;
}

/* What is made next has this name. */
static int check_unfinished(const struct pins *pins, struct diag *diag)
{
    if (!pins_has(pins, NULL, PINS_UNFINISHED) || set_is_ours(pins, PINS_UNFINISHED))
        return 0;
    return diag_set(diag, -EEXIST,
                    "%s/%s is no agent's, and has the name that an agent needs; move it away, or "
                    "name another folder",
                    pins->folder, PINS_UNFINISHED);
}

static void say_what_is_left(const struct pins *pins)
{
    char names[256];

    if (pins_list_foreign(pins, true, names, sizeof(names)) > 0)
        oplog_info("%s: left alone, since no agent made them: %s", pins->folder, names);
}

int pins_open(const char *folder, gid_t group, struct pins *ret_pins, struct diag *diag)
{
    CLEANUP(pins_close) struct pins pins = {.folder = ""};
    int dir = bpffs_prepare(folder, group, diag), r;

    if (dir < 0)
        return dir;
    pins = pins_at(folder, dir, group);
    r = lock_folder(&pins, diag);
    if (r == 0)
        r = check_unfinished(&pins, diag);
    if (r < 0)
        return r;
    say_what_is_left(&pins);
    *ret_pins = pins;
    pins.folder[0] = '\0'; /* the caller owns it from here */
    return 0;
}

int pins_look(const char *folder, struct pins *ret_pins, struct diag *diag)
{
    int dir = bpffs_open(folder, diag);

    if (dir < 0)
        return dir;
    *ret_pins = pins_at(folder, dir, 0);
    return 0;
}

int pins_lock(const char *folder, struct pins *ret_pins, struct diag *diag)
{
    CLEANUP(pins_close) struct pins pins = {.folder = ""};
    int r = pins_look(folder, &pins, diag);

    if (r == 0)
        r = lock_folder(&pins, diag);
    if (r < 0)
        return r;
    *ret_pins = pins;
    pins.folder[0] = '\0';
    return 0;
}

int pins_unlock(struct pins *pins)
{
    int r = unlinkat(pins->dir, PINS_LOCK, AT_REMOVEDIR) < 0 ? -errno : 0;

    pins_close(pins);
    return r;
}

bool pins_are_ours(const struct pins *pins)
{
    CLEANUP(closep) int dir = bpffs_open(pins->folder, NULL);

    return dir >= 0 && is_at(pins->lock, dir, PINS_LOCK);
}

void pins_close(struct pins *pins)
{
    if (!pins->folder[0])
        return;
    closep(&pins->lock);
    closep(&pins->dir);
    pins->folder[0] = '\0';
    pins->lock = pins->dir = -1;
}

/* --- what is in it ---------------------------------------------------------------------------- */

/* `set` NULL: the pin folder itself, of which nobody else holds a descriptor then.  A folder that
 * others than root may write to is none of ours: -EPERM. */
static int open_set(const struct pins *pins, const char *set)
{
    CLEANUP(closep)
    int fd = openat(pins->dir, set ? set : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int r = fd < 0 ? -errno : trusted_check(fd, "", set ? set : ".", NULL);

    return r < 0 ? r : take_fd(&fd);
}

int pins_make_set(const struct pins *pins, const char *set)
{
    int r = mkdirat(pins->dir, set, PINS_MODE_SET) < 0 && errno != EEXIST ? -errno : 0;
    CLEANUP(closep) int fd = r < 0 ? r : open_set(pins, set);

    return fd < 0 ? fd : bpffs_set_access(fd, "", pins->group, PINS_MODE_SET);
}

int pins_rename_set(const struct pins *pins, const char *from, const char *to)
{
    return renameat(pins->dir, from, pins->dir, to) < 0 ? -errno : 0;
}

/* The group is the same for all: root's would take CAP_CHOWN. */
static int give(int folder, const char *name, gid_t group, enum pin_kind kind)
{
    return bpffs_set_access(folder, name, group, kind == PIN_MAP ? MODE_MAP : MODE_PRIVATE);
}

/* The name is another one for a moment: what has it now goes only when the new one is there, with
 * the mode that it shall have. */
int pins_put(const struct pins *pins, const char *set, const char *name, int fd, enum pin_kind kind)
{
    CLEANUP(closep) int folder = open_set(pins, set);
    char fresh[64], path[FOLDER_ENTRY_MAX];
    int r;

    if (folder < 0)
        return folder;
    (void)snprintf(fresh, sizeof(fresh), PINS_FRESH "%s", name);
    if (unlinkat(folder, fresh, 0) < 0 && errno != ENOENT)
        return -errno;
    if (!folder_entry_path(folder, fresh, path))
        return -ENAMETOOLONG;
    if (bpf_obj_pin(fd, path) < 0)
        return -errno;
    r = give(folder, fresh, pins->group, kind);
    if (r == 0 && renameat(folder, fresh, folder, name) < 0)
        r = -errno;
    if (r < 0)
        (void)unlinkat(folder, fresh, 0);
    return r;
}

bool pins_has(const struct pins *pins, const char *set, const char *name)
{
    CLEANUP(closep) int folder = open_set(pins, set);
    struct stat found;

    return folder >= 0 && fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) == 0;
}

int pins_remove(const struct pins *pins, const char *set, const char *name)
{
    CLEANUP(closep) int folder = open_set(pins, set);

    if (folder < 0)
        return folder == -ENOENT ? 0 : folder;
    return unlinkat(folder, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int pins_get(const struct pins *pins, const char *set, const char *name)
{
    CLEANUP(closep) int folder = open_set(pins, set);
    char path[FOLDER_ENTRY_MAX];
    int r = folder < 0 ? folder : trusted_check(folder, name, name, NULL);

    if (r < 0)
        return r;
    if (!folder_entry_path(folder, name, path))
        return -ENAMETOOLONG;
    r = bpf_obj_get_opts(path, NULL);
    return r < 0 ? -errno : r;
}

/* --- going through it ------------------------------------------------------------------------- */

/* All names first, since whoever visits them may remove them; one behind the other, each with a NUL
 * at its end. */
struct names {
    char *text;
    size_t used, size;
};

static void names_done(struct names *names)
{
    free(names->text);
}

static int add_name(struct names *names, const char *name)
{
    size_t length = strlen(name) + 1;

    if (names->size - names->used < length) {
        size_t size = names->size ? 2 * names->size : NAMES_SIZE_FIRST;
        char *more = realloc(names->text, size);

        if (!more)
            return -ENOMEM;
        names->text = more;
        names->size = size;
    }
    memcpy(names->text + names->used, name, length);
    names->used += length;
    return 0;
}

static int list_names(const struct pins *pins, const char *set, struct names *ret_names)
{
    int fd = open_set(pins, set);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int r = 0;

    if (!directory) {
        r = fd < 0 ? fd : -errno;
        closep(&fd);
        return r;
    }
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
    int r = list_names(pins, set, &names);

    for (size_t at = 0; r >= 0 && at < names.used; at += strlen(names.text + at) + 1)
        r = visit(names.text + at, context);
    return r < 0 ? r : 0;
}

/* --- the end of it ---------------------------------------------------------------------------- */

struct removal {
    int folder;
    unsigned *removed;
};

/* A folder that somebody made there stays. */
static int remove_pin(const struct removal *removal, const char *name)
{
    if (unlinkat(removal->folder, name, 0) < 0)
        return errno == ENOENT || errno == EISDIR ? 0 : -errno;
    ++*removal->removed;
    return 0;
}

static int on_pin(const char *name, void *context)
{
    return strcmp(name, PINS_META) == 0 ? 0 : remove_pin(context, name);
}

/* When it is interrupted the set is still known to be ours. */
int pins_remove_set(const struct pins *pins, const char *set, unsigned *removed)
{
    CLEANUP(closep) int folder = open_set(pins, set);
    struct removal removal = {folder, removed};
    int r;

    if (folder < 0)
        return folder == -ENOENT ? 0 : folder;
    if (!set_is_ours(pins, set))
        return -EPERM;
    r = pins_each(pins, set, on_pin, &removal);
    if (r == 0)
        r = remove_pin(&removal, PINS_META);
    if (r == 0 && unlinkat(pins->dir, set, AT_REMOVEDIR) < 0)
        r = -errno;
    return r;
}

int pins_remove_empty(const struct pins *pins, const char *name)
{
    if (unlinkat(pins->dir, name, AT_REMOVEDIR) == 0)
        return 0;
    return errno == ENOENT || errno == ENOTEMPTY || errno == ENOTDIR ? 0 : -errno;
}
