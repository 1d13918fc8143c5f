/* SPDX-License-Identifier: Apache-2.0 */
#include "trusted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"

enum { MODE_PARENT = 0755, MODE_OTHERS_WRITE = S_IWGRP | S_IWOTH };

/* --- the way ---------------------------------------------------------------------------------- */

struct walk {
    const char *path;
    bool makes;
    int folder;      /* where it is now */
    struct str done; /* of `path`, the part that leads there */
    struct str rest;
};

/* The next name on the way, or false at its end. */
static bool next_name(struct walk *walk, char ret_name[NAME_MAX + 1], int *ret_error)
{
    struct str name;

    *ret_error = 0;
    do {
        if (!str_next_field(&walk->rest, '/', &name))
            return false;
    } while (name.len == 0 || str_eq(name, STR(".")));
    if (name.len > NAME_MAX)
        *ret_error = -ENAMETOOLONG;
    else if (str_eq(name, STR("..")))
        *ret_error = -EINVAL;
    else
        (void)snprintf(ret_name, NAME_MAX + 1, "%" PRIstr, STR_ARG(name));
    walk->done = (struct str){walk->path, (size_t)(name.ptr + name.len - walk->path)};
    return *ret_error == 0;
}

static bool is_last(const struct walk *walk)
{
    struct str rest = walk->rest, name;

    while (str_next_field(&rest, '/', &name))
        if (name.len > 0 && !str_eq(name, STR(".")))
            return false;
    return true;
}

/* May what is reached from here be relied on? */
static int check_parent(const struct walk *walk, struct diag *diag)
{
    struct stat found;

    if (fstat(walk->folder, &found) < 0)
        return diag_set(diag, -errno, "%" PRIstr ": %s", STR_ARG(walk->done), strerror(errno));
    if (found.st_uid != 0)
        return diag_set(diag, -EPERM,
                        "%" PRIstr " belongs to user %u, who could put another folder in place of "
                        "%s; give it to root (chown root), or name a folder all of whose parents "
                        "are root's",
                        STR_ARG(walk->done), (unsigned)found.st_uid, walk->path);
    if ((found.st_mode & MODE_OTHERS_WRITE) && !(found.st_mode & S_ISVTX))
        return diag_set(diag, -EPERM,
                        "%" PRIstr " can be written by others than root (mode %04o), who could put "
                        "another folder in place of %s; take that right away (chmod go-w), or name "
                        "a folder elsewhere",
                        STR_ARG(walk->done), (unsigned)found.st_mode & 07777, walk->path);
    return 0;
}

/* A link would lead along another way, which nobody has checked. */
static int explain_step(int error, const struct walk *walk, const char *name, struct diag *diag)
{
    char target[FOLDER_ENTRY_MAX];
    ssize_t length = readlinkat(walk->folder, name, target, sizeof(target) - 1);

    if (length < 0)
        return diag_set(diag, -error, "%" PRIstr ": %s", STR_ARG(walk->done), strerror(error));
    target[length] = '\0';
    return diag_set(diag, -EPERM,
                    "%" PRIstr " is a symbolic link (to %s), which is not followed; name the "
                    "folder itself",
                    STR_ARG(walk->done), target);
}

/* Readers must get through, whatever the umask is. */
static int make_step(int folder, const char *name)
{
    CLEANUP(closep) int made = -1;

    if (mkdirat(folder, name, MODE_PARENT) < 0)
        return errno == EEXIST ? 0 : -errno;
    made = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return made < 0 || fchmod(made, MODE_PARENT) < 0 ? -errno : 0;
}

static int step(struct walk *walk, const char *name, struct diag *diag)
{
    enum { FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };
    int fd = openat(walk->folder, name, FLAGS);

    if (fd < 0 && errno == ENOENT && walk->makes) {
        int r = make_step(walk->folder, name);

        if (r < 0)
            return diag_set(diag, r, "%" PRIstr ": cannot make the folder: %s", STR_ARG(walk->done),
                            strerror(-r));
        fd = openat(walk->folder, name, FLAGS);
    }
    if (fd < 0)
        return explain_step(errno, walk, name, diag);
    closep(&walk->folder);
    walk->folder = fd;
    return 0;
}

static int say_bad_path(const char *path, int error, struct diag *diag)
{
    if (error == -ENAMETOOLONG)
        return diag_set(diag, error, "%s: a name in it is too long", path);
    return diag_set(diag, error, "%s: expected the absolute path of a folder, without `..` in it",
                    path);
}

/* Leaves the name of the last folder in `ret_name`, and the walk in the one above it. */
static int go(struct walk *walk, char ret_name[NAME_MAX + 1], struct diag *diag)
{
    int r = check_parent(walk, diag), error = 0;

    while (r == 0 && next_name(walk, ret_name, &error)) {
        if (is_last(walk))
            return 0;
        r = step(walk, ret_name, diag);
        if (r == 0)
            r = check_parent(walk, diag);
    }
    return r < 0 ? r : say_bad_path(walk->path, error ? error : -EINVAL, diag);
}

static void closed_walk(struct walk *walk)
{
    closep(&walk->folder);
}

static int find(const char *path, bool makes, struct trusted_path *ret_place, struct diag *diag)
{
    CLEANUP(closed_walk)
    struct walk walk = {
        .path = path, .makes = makes, .folder = -1, .done = STR("/"), .rest = str_from(path)};
    struct trusted_path place;
    int r;

    if (path[0] != '/')
        return say_bad_path(path, -EINVAL, diag);
    walk.folder = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (walk.folder < 0)
        return diag_set(diag, -errno, "/: %s", strerror(errno));
    r = go(&walk, place.name, diag);
    if (r < 0)
        return r;
    place.parent = take_fd(&walk.folder);
    *ret_place = place;
    return 0;
}

int trusted_path_find(const char *path, struct trusted_path *ret_place, struct diag *diag)
{
    return find(path, false, ret_place, diag);
}

int trusted_path_make_parents(const char *path, struct trusted_path *ret_place, struct diag *diag)
{
    return find(path, true, ret_place, diag);
}

void trusted_path_done(struct trusted_path *place)
{
    closep(&place->parent);
    place->parent = -1;
}

/* --- its end ---------------------------------------------------------------------------------- */

int trusted_path_open(const struct trusted_path *place)
{
    int fd = openat(place->parent, place->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    return errno == ELOOP ? -ENOTDIR : -errno;
}

bool folder_entry_path(int folder, const char *name, char ret_path[FOLDER_ENTRY_MAX])
{
    int length = snprintf(ret_path, FOLDER_ENTRY_MAX, "/proc/self/fd/%d/%s", folder, name);

    return length > 0 && length < FOLDER_ENTRY_MAX;
}

int trusted_check(int folder, const char *name, const char *path, struct diag *diag)
{
    struct stat found;

    if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
    if (S_ISLNK(found.st_mode))
        return diag_set(diag, -EPERM, "%s is a symbolic link; name the folder itself", path);
    if (found.st_uid != 0)
        return diag_set(diag, -EPERM,
                        "%s belongs to user %u, who could have put anything there; it must be "
                        "root's: remove it, or name another folder",
                        path, (unsigned)found.st_uid);
    if (found.st_mode & MODE_OTHERS_WRITE)
        return diag_set(diag, -EPERM,
                        "%s can be written by others than root (mode %04o); take that right away "
                        "(chmod go-w), or name another folder",
                        path, (unsigned)found.st_mode & 07777);
    return 0;
}
