/* SPDX-License-Identifier: Apache-2.0 */
#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
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
        identity = (struct identity){(uid_t)number, (gid_t)number};
    } else if (!account) {
        return diag_set(diag, -ENOENT, "--user %s: there is no such user", name);
    }
    if (account)
        identity = (struct identity){account->pw_uid, account->pw_gid};
    if (identity.uid == 0 || identity.gid == 0)
        return diag_set(diag, -EINVAL, "--user %s: the server does not run as root", name);
    *ret_identity = identity;
    return 0;
}

/* Needs CAP_SETPCAP: root has it, a start with ambient capabilities usually not; no_new_privs
 * already keeps the bounding set from mattering there. */
static int empty_bounding_set(struct diag *diag)
{
    for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
        if (cap_get_bound(cap) > 0 && cap_drop_bound(cap) < 0) {
            if (errno == EPERM && geteuid() != 0)
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

static int clear_all_capabilities(struct diag *diag)
{
    cap_t none = cap_init();
    int r = 0;

    if (!none || cap_set_proc(none) < 0)
        r = diag_set(diag, -errno, "cannot drop the capabilities: %s", strerror(errno));
    (void)cap_free(none);
    return r;
}

int privileges_drop(const struct identity *identity, struct diag *diag)
{
    if (geteuid() == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(identity->gid, identity->gid, identity->gid) < 0 ||
            setresuid(identity->uid, identity->uid, identity->uid) < 0)
            return diag_set(diag, -errno, "cannot become user %u: %s", (unsigned)identity->uid,
                            strerror(errno));
    }
    return clear_all_capabilities(diag);
}

/* One line of /proc/self/status: the privileges that it shows, as a message, or nothing. */
static int check_status_line(const char *line, struct diag *diag)
{
    static const char *const EMPTY_SETS[] = {"CapInh:", "CapPrm:", "CapEff:", "CapAmb:"};
    unsigned real, effective, saved, fs;

    if (sscanf(line, "Uid: %u %u %u %u", &real, &effective, &saved, &fs) == 4 &&
        (real == 0 || effective == 0 || saved == 0 || fs == 0))
        return diag_set(diag, -EPERM, "still root after giving up privileges (%.60s)", line);
    if (strncmp(line, "NoNewPrivs:", 11) == 0 && strtoul(line + 11, NULL, 10) != 1)
        return diag_set(diag, -EPERM, "no_new_privs is not set");
    for (size_t i = 0; i < sizeof(EMPTY_SETS) / sizeof(EMPTY_SETS[0]); i++)
        if (strncmp(line, EMPTY_SETS[i], 7) == 0 && strtoull(line + 7, NULL, 16) != 0)
            return diag_set(diag, -EPERM, "capabilities are left after dropping them (%.60s)",
                            line);
    return 0;
}

int privileges_check(struct diag *diag)
{
    CLEANUP(fclosep) FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    unsigned lines = 0;

    if (!status)
        return diag_set(diag, -errno, "cannot read /proc/self/status: %s", strerror(errno));
    while (fgets(line, sizeof(line), status)) {
        int r = check_status_line(line, diag);

        if (r < 0)
            return r;
        lines += strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0;
    }
    if (lines < 5) /* five sets and no_new_privs, or this is not the file we know */
        return diag_set(diag, -EPERM, "/proc/self/status does not list the capabilities");
    return 0;
}
