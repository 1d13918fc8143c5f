/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

enum { SOCKET_DIR_MODE = 0775 };

static int fail(struct diag *diag, int error, const char *path, const char *what)
{
    return diag_set(diag, error, "--socket-dir %s: %s: %s", path, what, strerror(-error));
}

/* The group first: a change of owner or group takes bits of the mode away. */
static int set_access(int fd, const struct stat *st, const char *path, gid_t group,
                      struct diag *diag)
{
    bool is_moved = st->st_gid != group;

    if (is_moved && fchown(fd, (uid_t)-1, group) < 0)
        return fail(diag, -errno, path,
                    "cannot give it to the group (run the agent in that group, or with CAP_CHOWN)");
    if ((is_moved || (st->st_mode & 07777) != SOCKET_DIR_MODE) && fchmod(fd, SOCKET_DIR_MODE) < 0)
        return fail(diag, -errno, path, "cannot set its mode");
    return 0;
}

int socket_dir_prepare(const char *path, gid_t group, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    struct stat st;

    if (mkdir(path, SOCKET_DIR_MODE) < 0 && errno != EEXIST)
        return fail(diag, -errno, path, "cannot make it");
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(diag, -errno, path, "cannot open it as a folder");
    if (st.st_uid != geteuid())
        return diag_set(diag, -EPERM,
                        "--socket-dir %s: it belongs to user %u, who could replace the socket; "
                        "remove it, or choose another",
                        path, (unsigned)st.st_uid);
    return set_access(fd, &st, path, group, diag);
}
