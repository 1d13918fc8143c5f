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
#include "trusted_path.h"

/* The name of the device that is shown in lists of mounts: by it we know our own. */
#define MOUNT_SOURCE "synauthz"

enum { MODE_FOLDER = 0750 };

static bool is_bpf(const struct statfs *system)
{
    return system->f_type == (__typeof__(system->f_type))BPF_FS_MAGIC;
}

bool bpffs_holds(const char *folder)
{
    struct statfs system;

    return statfs(folder, &system) == 0 && is_bpf(&system);
}

static bool is_on_bpffs(int folder)
{
    struct statfs system;

    return fstatfs(folder, &system) == 0 && is_bpf(&system);
}

/* By names in folders that only root can write to, so that it is still the same thing. */
int bpffs_set_access(int folder, const char *name, gid_t group, mode_t mode)
{
    struct stat found;
    int r;

    if (fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return -errno;
    if (found.st_gid != group &&
        fchownat(folder, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return -errno;
    if ((found.st_mode & 07777) == mode)
        return 0;
    r = name[0] ? fchmodat(folder, name, mode, 0) : fchmod(folder, mode);
    return r < 0 ? -errno : 0;
}

/* --- what is mounted there -------------------------------------------------------------------- */

struct search {
    uint64_t id;
    bool is_root, is_own; /* of a whole file system; of one that an agent mounted */
};

static int on_mount(const struct mount *mount, void *context)
{
    struct search *search = context;

    if (mount->id != search->id)
        return 0;
    search->is_root = strcmp(mount->root, "/") == 0;
    search->is_own = search->is_root && strcmp(mount->type, "bpf") == 0 &&
                     strcmp(mount->source, MOUNT_SOURCE) == 0;
    return 1;
}

struct mounted {
    bool is_mount; /* something is mounted exactly here */
    bool is_root;  /* it is the root of its file system */
    bool is_own;   /* which an agent mounted */
};

/* Returns 0 or a negative errno. */
static int look_at(int folder, struct mounted *ret_mounted)
{
    struct search search = {0};
    struct statx found;
    int r;

    if (statx(folder, "", AT_EMPTY_PATH, STATX_MNT_ID, &found) < 0)
        return -errno;
    search.id = found.stx_mnt_id;
    r = mountinfo_each(on_mount, &search);
    if (r < 0)
        return r;
    *ret_mounted = (struct mounted){.is_mount = found.stx_attributes & STATX_ATTR_MOUNT_ROOT};
    if (ret_mounted->is_mount) {
        ret_mounted->is_root =
            search.is_root || r == 0; /* not in the list: nothing is known of it */
        ret_mounted->is_own = search.is_own;
    }
    return 0;
}

/* On a BPF file system only the kernel makes names with dots: "maps.debug" and "progs.debug" are in
 * the root of each. */
static bool is_empty(int folder)
{
    CLEANUP(closep) int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    bool is_bpffs = is_on_bpffs(folder), found = false;
    const struct dirent *entry;

    if (!entries)
        return false;
    (void)take_fd(&fd); /* closedir() closes it */
    while (!found && (entry = readdir(entries)))
        found = is_bpffs ? !strchr(entry->d_name, '.')
                         : strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void)closedir(entries);
    return !found;
}

/* --- making it -------------------------------------------------------------------------------- */

static int explain_open(int error, const char *folder, struct diag *diag)
{
    if (error == -ENOTDIR)
        return diag_set(diag, -EPERM,
                        "%s is no folder, or a symbolic link, which is not followed; name the "
                        "folder itself",
                        folder);
    return diag_set(diag, error, "%s: %s", folder, strerror(-error));
}

static int open_checked(const struct trusted_path *place, const char *folder, int *ret_fd,
                        struct diag *diag)
{
    CLEANUP(closep) int fd = trusted_path_open(place);
    int r = fd < 0 ? explain_open(fd, folder, diag) : trusted_check(fd, "", folder, diag);

    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

static int check_length(const char *folder, struct diag *diag)
{
    if (strlen(folder) < BPFFS_PATH_MAX)
        return 0;
    return diag_set(diag, -ENAMETOOLONG, "the path of the folder for pins has more than %d bytes",
                    BPFFS_PATH_MAX - 1);
}

/* By the folder above, where what is mounted is found by the folder's name. */
static int mount_own(const struct trusted_path *place, int at, const char *folder,
                     struct diag *diag)
{
    char path[FOLDER_ENTRY_MAX];
    int r;

    if (!is_empty(at))
        return diag_set(diag, -ENOTEMPTY,
                        "%s is on no BPF file system and not empty, so none is mounted there; name "
                        "an empty or new folder",
                        folder);
    if (!folder_entry_path(place->parent, place->name, path))
        return diag_set(diag, -ENAMETOOLONG, "%s: its name is too long", folder);
    if (mount(MOUNT_SOURCE, path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0750") == 0)
        return 0;
    r = -errno;
    if (r == -EPERM || r == -EACCES)
        return diag_set(diag, r,
                        "%s is on no BPF file system, and mounting one takes CAP_SYS_ADMIN; mount "
                        "it before (`mount -t bpf -o mode=0750 synauthz %s`), or name a folder "
                        "below /sys/fs/bpf",
                        folder, folder);
    return diag_set(diag, r, "%s: cannot mount a BPF file system: %s", folder, strerror(-r));
}

/* Opens the folder as it is, on whatever file system. */
static int make_folder(const char *folder, struct trusted_path *ret_place, int *ret_fd,
                       struct diag *diag)
{
    int r = check_length(folder, diag);

    if (r == 0)
        r = trusted_path_make_parents(folder, ret_place, diag);
    if (r < 0)
        return r;
    if (mkdirat(ret_place->parent, ret_place->name, MODE_FOLDER) < 0 && errno != EEXIST)
        return diag_set(diag, -errno, "%s: cannot make the folder for pins: %s", folder,
                        strerror(errno));
    return open_checked(ret_place, folder, ret_fd, diag);
}

/* /sys/fs/bpf is where others expect theirs, whoever may get in today. */
static bool is_hosts(int fd)
{
    struct stat found, host;

    return fstat(fd, &found) == 0 && stat("/sys/fs/bpf", &host) == 0 &&
           found.st_dev == host.st_dev && found.st_ino == host.st_ino;
}

static int refuse_hosts(int fd, const char *folder, struct diag *diag)
{
    if (!is_hosts(fd))
        return 0;
    return diag_set(diag, -EINVAL,
                    "%s is the host's BPF file system, which others use as well; name a folder "
                    "in it, such as /sys/fs/bpf/synauthz",
                    folder);
}

/* May members of the group list what is in it, as it is? */
static bool lets_in(const struct stat *found, gid_t group)
{
    mode_t wanted = found->st_gid == group ? S_IRGRP | S_IXGRP : S_IROTH | S_IXOTH;

    return (found->st_mode & wanted) == wanted;
}

static int check_shared_root(int fd, const char *folder, gid_t group, struct diag *diag)
{
    struct stat found;

    if (fstat(fd, &found) < 0)
        return diag_set(diag, -errno, "%s: %s", folder, strerror(errno));
    if (lets_in(&found, group))
        return 0;
    return diag_set(diag, -EINVAL,
                    "%s is a BPF file system that others use as well, and its mode (%04o) keeps "
                    "readers in group %u out; name a folder in it, such as %s/synauthz, or mount "
                    "it for the agent (`mount -t bpf -o mode=0750 synauthz ...`)",
                    folder, (unsigned)found.st_mode & 07777, (unsigned)group, folder);
}

static int give_access(int fd, const char *folder, gid_t group, struct diag *diag)
{
    struct mounted mounted;
    int r = look_at(fd, &mounted);

    if (r < 0)
        return diag_set(diag, r, "%s: cannot find out what is mounted there: %s", folder,
                        strerror(-r));
    if (mounted.is_root && !mounted.is_own)
        return check_shared_root(fd, folder, group, diag);
    r = bpffs_set_access(fd, "", group, MODE_FOLDER);
    if (r < 0)
        return diag_set(diag, r,
                        "%s: cannot give the pins to group %u: %s; it takes CAP_CHOWN, unless the "
                        "group is the agent's own",
                        folder, (unsigned)group, strerror(-r));
    return 0;
}

int bpffs_prepare(const char *folder, gid_t group, struct diag *diag)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    CLEANUP(closep) int fd = -1;
    int r = make_folder(folder, &place, &fd, diag);

    if (r == 0)
        r = refuse_hosts(fd, folder, diag);
    if (r == 0 && !is_on_bpffs(fd)) {
        r = mount_own(&place, fd, folder, diag);
        if (r == 0) {
            closep(&fd); /* what is below it now */
            fd = -1;
            r = open_checked(&place, folder, &fd, diag);
        }
    }
    if (r == 0)
        r = give_access(fd, folder, group, diag);
    return r < 0 ? r : take_fd(&fd);
}

int bpffs_open(const char *folder, struct diag *diag)
{
    CLEANUP(trusted_path_done) struct trusted_path place = {.parent = -1};
    CLEANUP(closep) int fd = -1;
    int r = trusted_path_find(folder, &place, diag);

    if (r == 0)
        r = open_checked(&place, folder, &fd, diag);
    if (r == 0 && !is_on_bpffs(fd))
        r = diag_set(diag, -ENOENT, "%s is on no BPF file system", folder);
    return r < 0 ? r : take_fd(&fd);
}

/* --- taking it away --------------------------------------------------------------------------- */

static void unmount(const struct trusted_path *place)
{
    char path[FOLDER_ENTRY_MAX];

    if (folder_entry_path(place->parent, place->name, path) && umount2(path, UMOUNT_NOFOLLOW) < 0)
        (void)umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH); /* somebody looks into it */
}

/* Is it empty, and nobody else's? */
static bool is_to_go(const struct trusted_path *at, struct mounted *ret_mounted)
{
    CLEANUP(closep) int fd = trusted_path_open(at);

    return fd >= 0 && is_on_bpffs(fd) && is_empty(fd) && look_at(fd, ret_mounted) == 0 &&
           (!ret_mounted->is_mount || ret_mounted->is_own);
}

void bpffs_remove(const char *folder)
{
    CLEANUP(trusted_path_done) struct trusted_path at = {.parent = -1};
    struct mounted mounted;

    if (trusted_path_find(folder, &at, NULL) < 0 || !is_to_go(&at, &mounted))
        return;
    if (mounted.is_own)
        unmount(&at);
    (void)unlinkat(at.parent, at.name, AT_REMOVEDIR);
}
