/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_privileges.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <unistd.h>

#include "privileges.h"

enum { NEEDED_COUNT = 3 };

/* The first ones always, the others as far as they are there. */
static const struct {
    cap_value_t cap;
    const char *name;
} USED[] = {
    {CAP_BPF, "CAP_BPF"},     {CAP_NET_ADMIN, "CAP_NET_ADMIN"}, {CAP_PERFMON, "CAP_PERFMON"},
    {CAP_CHOWN, "CAP_CHOWN"}, {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
};

enum { BEGIN_COUNT = sizeof(USED) / sizeof(USED[0]), WITH_CHOWN_COUNT = NEEDED_COUNT + 1 };

static bool has(cap_t caps, cap_value_t cap)
{
    cap_flag_value_t value = CAP_CLEAR;

    return cap_get_flag(caps, cap, CAP_PERMITTED, &value) == 0 && value == CAP_SET;
}

static int refuse_missing(cap_t caps, struct diag *diag)
{
    char missing[128] = "";
    size_t used = 0;

    for (size_t i = 0; i < NEEDED_COUNT; i++)
        if (!has(caps, USED[i].cap))
            used += (size_t)snprintf(missing + used, sizeof(missing) - used, "%s%s",
                                     used ? ", " : "", USED[i].name);
    if (used == 0)
        return 0;
    return diag_set(diag, -EPERM,
                    "the agent loads BPF programs and attaches them; missing: %s; start it as "
                    "root, in a container with capabilities BPF, NET_ADMIN and PERFMON",
                    missing);
}

/* Of the first `count` of USED, those that are there. */
static int keep_only(cap_t caps, size_t count, struct diag *diag)
{
    cap_t kept = cap_init();
    int r = kept ? 0 : -ENOMEM;

    for (size_t i = 0; i < count && r == 0; i++)
        if (has(caps, USED[i].cap) &&
            (cap_set_flag(kept, CAP_PERMITTED, 1, &USED[i].cap, CAP_SET) < 0 ||
             cap_set_flag(kept, CAP_EFFECTIVE, 1, &USED[i].cap, CAP_SET) < 0))
            r = -errno;
    if (r == 0 && cap_set_proc(kept) < 0)
        r = -errno;
    (void)cap_free(kept);
    return r < 0 ? diag_set(diag, r, "cannot limit the capabilities: %s", strerror(-r)) : 0;
}

static int limit(size_t count, struct diag *diag)
{
    cap_t caps = cap_get_proc();
    int r;

    if (!caps)
        return diag_set(diag, -errno, "cannot read the capabilities: %s", strerror(errno));
    r = refuse_missing(caps, diag);
    if (r == 0)
        r = keep_only(caps, count, diag);
    (void)cap_free(caps);
    return r;
}

int agent_privileges_begin(struct diag *diag)
{
    int r;

    if (geteuid() != 0)
        return diag_set(diag, -EPERM,
                        "started as user %u: the agent's pins are believed only when they are "
                        "root's; start it as root (capabilities BPF, NET_ADMIN and PERFMON are "
                        "enough)",
                        (unsigned)geteuid());
    r = privileges_lock(diag);
    return r < 0 ? r : limit(BEGIN_COUNT, diag);
}

int agent_privileges_settle(bool gives_pins_away, struct diag *diag)
{
    return limit(gives_pins_away ? WITH_CHOWN_COUNT : NEEDED_COUNT, diag);
}
