/* SPDX-License-Identifier: Apache-2.0 */
#include "bpffs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "mountinfo.h"

/* The name of the device that is shown in lists of mounts: by it we know our own. */
#define MOUNT_SOURCE "synauthz"

enum { MODE_FOLDER = 0750, MODE_PARENT = 0755 };

bool bpffs_holds(const char *folder)
{
    struct statfs fs;

    return statfs(folder, &fs) == 0 && fs.f_type == (__typeof__(fs.f_type))BPF_FS_MAGIC;
}

int bpffs_check_owner(const char *path, struct diag *diag)
{
    struct stat found;

    if (lstat(path, &found) < 0)
        return diag_set(diag, -errno, "%s: %s", path, strerror(errno));
    if (S_ISLNK(found.st_mode))
        return diag_set(diag, -EPERM, "%s is a symbolic link; name the folder itself", path);
    if (found.st_uid != 0)
        return diag_set(diag, -EPERM,
                        "%s belongs to user %u, who could have put anything there; it must be "
                        "root's: remove it, or name another folder",
                        path, (unsigned)found.st_uid);
    if (found.st_mode & (S_IWGRP | S_IWOTH))
        return diag_set(diag, -EPERM,
                        "%s can be written by others than root (mode %04o); take that right away "
                        "(chmod go-w), or name another folder",
                        path, (unsigned)found.st_mode & 07777);
    return 0;
}

int bpffs_set_access(const char *path, gid_t group, mode_t mode)
{
    struct stat found;

    if (lstat(path, &found) < 0)
        return -errno;
    if (found.st_gid != group && lchown(path, (uid_t)-1, group) < 0)
        return -errno;
    if ((found.st_mode & 07777) != mode && chmod(path, mode) < 0)
        return -errno;
    return 0;
}

/* Make the folders above the last one. */
static int make_parents(const char *folder)
{
    char path[BPFFS_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, MODE_PARENT) == 0)
            (void)chmod(path, MODE_PARENT); /* readers must get through, whatever the umask is */
        else if (errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static int make_folder(const char *folder, struct diag *diag)
{
    int r = make_parents(folder);

    if (r == 0 && mkdir(folder, MODE_FOLDER) < 0 && errno != EEXIST)
        r = -errno;
    if (r < 0)
        return diag_set(diag, r, "%s: cannot make the folder for pins: %s", folder, strerror(-r));
    return 0;
}

/* On a BPF file system only the kernel makes names with dots: "maps.debug" and "progs.debug" are in
 * the root of each. */
static bool is_empty(const char *folder)
{
    DIR *directory = opendir(folder);
    const struct dirent *entry;
    bool is_bpffs = bpffs_holds(folder), found = false;

    if (!directory)
        return false;
    while (!found && (entry = readdir(directory)))
        found = is_bpffs ? !strchr(entry->d_name, '.')
                         : strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(directory);
    return !found;
}

static int mount_own(const char *folder, struct diag *diag)
{
    int r;

    if (!is_empty(folder))
        return diag_set(diag, -ENOTEMPTY,
                        "%s is on no BPF file system and not empty, so none is mounted there; name "
                        "an empty or new folder",
                        folder);
    if (mount(MOUNT_SOURCE, folder, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0750") == 0)
        return 0;
    r = -errno;
    if (r == -EPERM || r == -EACCES)
        return diag_set(diag, r,
                        "%s is on no BPF file system, and mounting one takes CAP_SYS_ADMIN; mount "
                        "it before (`mount -t bpf bpf %s`), or name a folder below /sys/fs/bpf",
                        folder, folder);
    return diag_set(diag, r, "%s: cannot mount a BPF file system: %s", folder, strerror(-r));
}

/* Other programs have their pins there, and its mode is their business. */
static bool is_hosts_root(const char *folder)
{
    struct stat found, host;

    return stat(folder, &found) == 0 && stat("/sys/fs/bpf", &host) == 0 &&
           found.st_dev == host.st_dev && found.st_ino == host.st_ino;
}

static int check_path(const char *folder, struct diag *diag)
{
    if (folder[0] != '/')
        return diag_set(diag, -EINVAL, "%s: the folder for pins must be an absolute path", folder);
    if (strlen(folder) >= BPFFS_PATH_MAX)
        return diag_set(diag, -ENAMETOOLONG,
                        "the path of the folder for pins has more than %d bytes",
                        BPFFS_PATH_MAX - 1);
    if (is_hosts_root(folder))
        return diag_set(diag, -EINVAL,
                        "%s is the host's BPF file system, which others use as well; name a folder "
                        "in it, such as /sys/fs/bpf/synauthz",
                        folder);
    return 0;
}

int bpffs_prepare(const char *folder, gid_t group, struct diag *diag)
{
    int r = check_path(folder, diag);

    if (r == 0)
        r = make_folder(folder, diag);
    if (r == 0)
        r = bpffs_check_owner(folder, diag);
    if (r == 0 && !bpffs_holds(folder))
        r = mount_own(folder, diag);
    if (r < 0)
        return r;
    r = bpffs_set_access(folder, group, MODE_FOLDER);
    if (r < 0)
        return diag_set(diag, r,
                        "%s: cannot give the pins to group %u: %s; it takes CAP_CHOWN, unless the "
                        "group is the agent's own",
                        folder, (unsigned)group, strerror(-r));
    return 0;
}

/* --- taking it away --------------------------------------------------------------------------- */

struct search {
    const char *folder;
    bool is_mount, is_own;
};

static int on_mount(const struct mount *mount, void *context)
{
    struct search *search = context;

    if (strcmp(mount->path, search->folder) != 0)
        return 0;
    search->is_mount = true; /* the last one is on top */
    search->is_own = strcmp(mount->type, "bpf") == 0 && strcmp(mount->source, MOUNT_SOURCE) == 0;
    return 0;
}

void bpffs_remove(const char *folder)
{
    struct search search = {.folder = folder};

    if (!bpffs_holds(folder) || !is_empty(folder) || mountinfo_each(on_mount, &search) < 0)
        return;
    if (search.is_mount && !search.is_own)
        return;
    if (search.is_own && umount2(folder, UMOUNT_NOFOLLOW) < 0)
        (void)umount2(folder, UMOUNT_NOFOLLOW | MNT_DETACH); /* somebody looks into it */
    (void)rmdir(folder);
}
