/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "num.h"

int identity_parse(struct str text, struct identity *ret_identity, struct diag *diag)
{
    CLEANUP(freep) char *name = str_dup(text);
    const struct passwd *account;
    struct identity identity;
    uint64_t number;

    if (!name)
        return -ENOMEM;
    account = getpwnam(name);
    if (!account && num_parse_u64(text, 0, UINT32_MAX - 1, &number) == 0) {
        account = getpwuid((uid_t)number);
        identity = (struct identity){.uid = (uid_t)number, .gid = (gid_t)number};
    } else if (!account) {
        return diag_set(diag, -ENOENT, "there is no such user");
    }
    if (account)
        identity = (struct identity){.uid = account->pw_uid, .gid = account->pw_gid};
    if (identity.uid == 0 || identity.gid == 0)
        return diag_set(diag, -EINVAL, "the server does not run as root");
    *ret_identity = identity;
    return 0;
}

static bool has_capability(cap_value_t cap)
{
    cap_flag_value_t permitted = CAP_CLEAR;
    cap_t caps = cap_get_proc();

    if (caps)
        (void)cap_get_flag(caps, cap, CAP_PERMITTED, &permitted);
    (void)cap_free(caps);
    return permitted == CAP_SET;
}

/* Needs CAP_SETPCAP.  Root has it, but in most containers not, and a start with ambient
 * capabilities usually not; no_new_privs already keeps the bounding set from mattering there. */
static int empty_bounding_set(struct diag *diag)
{
    for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
        if (cap_get_bound(cap) > 0 && cap_drop_bound(cap) < 0) {
            if (errno == EPERM && !has_capability(CAP_SETPCAP))
                return 0;
            return diag_set(diag, -errno, "cannot drop a capability from the bounding set: %s",
                            strerror(errno));
        }
    return 0;
}

static int clear_inheritable(struct diag *diag)
{
    cap_t caps = cap_get_proc();
    int r = 0;

    if (!caps || cap_clear_flag(caps, CAP_INHERITABLE) < 0 || cap_set_proc(caps) < 0)
        r = diag_set(diag, -errno, "cannot clear the inheritable capabilities: %s",
                     strerror(errno));
    (void)cap_free(caps);
    return r;
}

int privileges_lock(struct diag *diag)
{
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return diag_set(diag, -errno, "cannot set no_new_privs: %s", strerror(errno));
    r = empty_bounding_set(diag);
    if (r < 0)
        return r;
    if (cap_reset_ambient() < 0)
        return diag_set(diag, -errno, "cannot clear the ambient capabilities: %s", strerror(errno));
    return clear_inheritable(diag);
}

/* --- what a reader of pins keeps ---------------------------------------------------------------
 */

gid_t identity_default_group(void)
{
    const struct group *group = getgrnam("synauthz");

    if (!group)
        group = getgrnam("nogroup");
    return group ? group->gr_gid : 0;
}

/* The group of a folder that only root can have put there; 0 without one. */
static gid_t group_of_folder(const char *pin_dir)
{
    CLEANUP(closep) int fd = open(pin_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct statfs system;
    struct stat status;

    if (fd < 0 || fstatfs(fd, &system) < 0 || fstat(fd, &status) < 0)
        return 0;
    return system.f_type == BPF_FS_MAGIC && status.st_uid == 0 ? status.st_gid : 0;
}

/* How the child of is_allowed_without() ends. */
enum { CHILD_ALLOWED = 0, CHILD_REFUSED, CHILD_FAILED };

/* Returns 1 or 0, or a negative errno with a message. */
static int is_allowed_without(const struct identity *identity, bool (*bpf_is_allowed)(void),
                              struct diag *diag)
{
    pid_t child = fork();
    int status;

    if (child < 0)
        return diag_set(diag, -errno, "cannot fork: %s", strerror(errno));
    if (child == 0) {
        if (privileges_drop(identity, NULL) < 0)
            _exit(CHILD_FAILED);
        _exit(bpf_is_allowed() ? CHILD_ALLOWED : CHILD_REFUSED);
    }
    if (waitpid(child, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) >= CHILD_FAILED)
        return diag_set(diag, -ECHILD, "cannot find out whether bpf() is allowed to user %u",
                        (unsigned)identity->uid);
    return WEXITSTATUS(status) == CHILD_ALLOWED;
}

int privileges_for_pins(const char *pin_dir, bool (*bpf_is_allowed)(void),
                        struct identity *identity, struct diag *diag)
{
    gid_t group = group_of_folder(pin_dir);
    int r;

    identity->pin_group = group ? group : identity_default_group();
    identity->keeps_bpf = false;
    r = is_allowed_without(identity, bpf_is_allowed, diag);
    if (r < 0)
        return r;
    identity->keeps_bpf = r == 0 && has_capability(CAP_BPF);
    return 0;
}

/* --- the drop ----------------------------------------------------------------------------------
 */

static int set_capabilities(bool keeps_bpf, struct diag *diag)
{
    const cap_value_t kept = CAP_BPF;
    cap_t caps = cap_init();
    int r = 0;

    if (caps && keeps_bpf) {
        (void)cap_set_flag(caps, CAP_PERMITTED, 1, &kept, CAP_SET); /* both cannot fail on a */
        (void)cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept, CAP_SET); /* capability that exists */
    }
    if (!caps || cap_set_proc(caps) < 0)
        r = diag_set(diag, -errno, "cannot drop the capabilities: %s", strerror(errno));
    (void)cap_free(caps);
    return r;
}

/* Whoever may not change their groups has them for life. */
static int set_groups(const struct identity *identity)
{
    if (setgroups(identity->pin_group != 0, &identity->pin_group) < 0)
        return errno == EPERM && geteuid() != 0 ? 0 : -errno;
    return 0;
}

static int become(const struct identity *identity)
{
    /* The capabilities stay permitted over the change of user, until set_capabilities(). */
    if (identity->keeps_bpf && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return -errno;
    if (setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
        setresuid(identity->uid, identity->uid, identity->uid) < 0)
        return -errno;
    return 0;
}

int privileges_drop(const struct identity *identity, struct diag *diag)
{
    int r = set_groups(identity);

    if (r == 0 && geteuid() == 0)
        r = become(identity);
    if (r < 0)
        return diag_set(diag, r, "cannot become user %u: %s", (unsigned)identity->uid,
                        strerror(-r));
    r = set_capabilities(identity->keeps_bpf, diag);
    if (r == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
        r = diag_set(diag, -errno, "cannot forget how to keep capabilities: %s", strerror(errno));
    return r;
}

/* One line of /proc/self/status: what it shows that should not be, as a message, or nothing. */
static int check_status_line(const char *line, const struct identity *identity, struct diag *diag)
{
    static const struct {
        const char *name;
        bool may_keep_bpf;
    } SETS[] = {{"CapInh:", false}, {"CapPrm:", true}, {"CapEff:", true}, {"CapAmb:", false}};
    unsigned real, effective, saved, fs;

    if (sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &fs) == 4 &&
        (real == 0 || effective == 0 || saved == 0 || fs == 0))
        return diag_set(diag, -EPERM, "still root after giving up privileges (%.60s)", line);
    if (strncmp(line, "NoNewPrivs:", 11) == 0 && strtoul(line + 11, NULL, 10) != 1)
        return diag_set(diag, -EPERM, "no_new_privs is not set");
    for (size_t i = 0; i < sizeof(SETS) / sizeof(SETS[0]); i++) {
        uint64_t wanted = SETS[i].may_keep_bpf && identity->keeps_bpf ? UINT64_C(1) << CAP_BPF : 0;

        if (strncmp(line, SETS[i].name, 7) == 0 && strtoull(line + 7, NULL, 16) != wanted)
            return diag_set(diag, -EPERM,
                            "other capabilities than intended are left after dropping them "
                            "(%.60s)",
                            line);
    }
    return 0;
}

int privileges_check(const struct identity *identity, struct diag *diag)
{
    CLEANUP(fclosep) FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned lines = 0;

    if (!status)
        return diag_set(diag, -errno, "cannot read /proc/self/status: %s", strerror(errno));
    while (fgets(line, sizeof(line), status)) {
        int r = check_status_line(line, identity, diag);

        if (r < 0)
            return r;
        lines += strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0;
    }
    if (lines < 5) /* five sets and no_new_privs, or this is not the file we know */
        return diag_set(diag, -EPERM, "/proc/self/status does not list the capabilities");
    return 0;
}
