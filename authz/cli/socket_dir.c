/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "trusted_path.h"

enum { SOCKET_DIR_MODE = 01775, GROUP_MAKES_SOCKETS = S_IWGRP | S_IXGRP, SETTLED_MS = 500 };

static int fail(struct diag *diag, int error, const char *path, const char *what)
{
    return diag_set(diag, error, "--socket-dir %s: %s: %s", path, what, strerror(-error));
}

/* --- beside the pins -------------------------------------------------------------------------- */

/* The next name of a path, as trusted_path.h reads it. */
static bool next_name(struct str *rest, struct str *ret_name)
{
    while (str_next_field(rest, '/', ret_name))
        if (ret_name->len > 0 && !str_eq(*ret_name, STR(".")))
            return true;
    return false;
}

int socket_dir_check(const char *path, const char *pin_dir, struct diag *diag)
{
    struct str socket_rest = str_from(path), pin_rest = str_from(pin_dir), socket_name, pin_name;

    for (;;) {
        bool more = next_name(&socket_rest, &socket_name);

        if (!next_name(&pin_rest, &pin_name) || !more)
            return diag_set(diag, -EINVAL,
                            "--socket-dir %s and --pin-dir %s: one must not be in the other, since "
                            "the group may write to the first and must not touch the second; name "
                            "two folders beside each other",
                            path, pin_dir);
        if (!str_eq(socket_name, pin_name))
            return 0;
    }
}

/* --- one that is there ------------------------------------------------------------------------ */

/* Calls `visit` for each name, until it returns true.  Returns 0 or a negative errno. */
static int each_name(int folder, bool (*visit)(int folder, const char *name, void *context),
                     void *context)
{
    CLEANUP(closep) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool is_done = false;

    if (!entries)
        return -errno;
    (void)take_fd(&fd); /* closedir() closes it */
    while (!is_done && (entry = readdir(entries)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            is_done = visit(folder, entry->d_name, context);
    (void)closedir(entries);
    return 0;
}

static bool is_socket(int folder, const char *name, struct stat *ret_found)
{
    return fstatat(folder, name, ret_found, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISSOCK(ret_found->st_mode);
}

static bool on_name(int folder, const char *name, void *context)
{
    char *other = context;
    struct stat found;

    if (is_socket(folder, name, &found))
        return false;
    (void)snprintf(other, NAME_MAX + 1, "%s", name);
    return true;
}

/* The name of something else than a socket, or "". */
static int find_other(int folder, char ret_name[NAME_MAX + 1])
{
    ret_name[0] = '\0';
    return each_name(folder, on_name, ret_name);
}

/* Is there nobody behind the socket, whom we may ask? */
static bool is_dead(int folder, const char *name)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[FOLDER_ENTRY_MAX];

    if (fd < 0 || !folder_entry_path(folder, name, path) ||
        strlen(path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, strlen(path) + 1);
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
           errno == ECONNREFUSED;
}

static long age_ms(const struct stat *found)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return 0;
    return (now.tv_sec - found->st_mtim.tv_sec) * 1000 +
           (now.tv_nsec - found->st_mtim.tv_nsec) / 1000000;
}

/* One that was just bound may be about to listen. */
static bool on_old_socket(int folder, const char *name, void *context)
{
    struct stat found;

    (void)context;
    if (is_socket(folder, name, &found) && age_ms(&found) > SETTLED_MS && is_dead(folder, name))
        (void)unlinkat(folder, name, 0);
    return false;
}

/* In a sticky folder a server can replace its own socket only, not one that was left by a server
 * of another user. */
static void remove_dead(int folder)
{
    (void)each_name(folder, on_old_socket, NULL);
}

static int check_owner(const struct stat *found, const char *path, struct diag *diag)
{
    if (found->st_uid != 0)
        return diag_set(diag, -EPERM,
                        "--socket-dir %s: it belongs to user %u, who could replace the socket; "
                        "remove it, or choose another",
                        path, (unsigned)found->st_uid);
    if (found->st_mode & S_IWOTH)
        return diag_set(diag, -EEXIST,
                        "--socket-dir %s: everybody may write to it (mode %04o), and make the "
                        "socket before the server does; choose a folder of its own",
                        path, (unsigned)found->st_mode & 07777);
    return 0;
}

static bool suits(const struct stat *found, gid_t group)
{
    return found->st_gid == group && (found->st_mode & GROUP_MAKES_SOCKETS) == GROUP_MAKES_SOCKETS;
}

/* Not one with bits that somebody chose: setgid, or sticky but for our own. */
static bool may_change(const struct stat *found, const char *other)
{
    mode_t mode = found->st_mode & 07777;

    return !other[0] && (mode == SOCKET_DIR_MODE || mode < 01000);
}

/* The group first: a change of owner or group takes bits of the mode away. */
static int set_access(int fd, const struct stat *found, const char *path, gid_t group,
                      struct diag *diag)
{
    bool is_moved = found->st_gid != group;

    if (is_moved && fchown(fd, (uid_t)-1, group) < 0)
        return fail(diag, -errno, path,
                    "cannot give it to the group (run the agent in that group, or with CAP_CHOWN)");
    if ((is_moved || (found->st_mode & 07777) != SOCKET_DIR_MODE) &&
        fchmod(fd, SOCKET_DIR_MODE) < 0)
        return fail(diag, -errno, path, "cannot set its mode");
    return 0;
}

static int adapt(int fd, const char *path, gid_t group, struct diag *diag)
{
    char other[NAME_MAX + 1];
    struct stat found;
    int r;

    if (fstat(fd, &found) < 0)
        return fail(diag, -errno, path, "cannot see what it is");
    r = check_owner(&found, path, diag);
    if (r < 0)
        return r;
    r = find_other(fd, other);
    if (r < 0)
        return fail(diag, r, path, "cannot see what is in it");
    if (may_change(&found, other)) {
        r = set_access(fd, &found, path, group, diag);
        if (r == 0)
            remove_dead(fd);
        return r;
    }
    if (suits(&found, group))
        return 0;
    return diag_set(diag, -EEXIST,
                    "--socket-dir %s: it is in use for something else (%s%.64s%smode %04o), and "
                    "group %u may not write to it; choose a folder of its own",
                    path, other[0] ? "it holds `" : "", other, other[0] ? "`, " : "",
                    (unsigned)found.st_mode & 07777, (unsigned)group);
}

int socket_dir_prepare(const char *path, gid_t group, struct diag *diag)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    CLEANUP(closep) int fd = -1;
    struct diag why = {.text = ""};
    int r = trusted_path_find(path, &place, &why);

    if (r == -EPERM || r == -EINVAL)
        return diag_set(diag, r, "--socket-dir: %s", why.text);
    if (r < 0)
        return fail(diag, r, path, "cannot make it");
    if (mkdirat(place.parent, place.name, 0755) < 0 && errno != EEXIST)
        return fail(diag, -errno, path, "cannot make it");
    fd = trusted_path_open(&place);
    if (fd < 0)
        return fail(diag, fd, path, "cannot open it as a folder");
    return adapt(fd, path, group, diag);
}
