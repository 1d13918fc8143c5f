/* SPDX-License-Identifier: Apache-2.0 */
/* What this host lets us do, found out by doing it: small maps are made, the real programs are
 * loaded, nothing is attached.  What cannot be found out from here (for want of a privilege, or a
 * file system that is not mounted) is unknown, never a guess.  For `doctor` and for the choice that
 * `agent` makes. */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

#include "node.h"

enum probe_answer { PROBE_UNKNOWN = 0, PROBE_YES, PROBE_NO };

/* One thing that was looked at. */
struct probe_check {
    const char *id; /* "capabilities", "load_xdp", "lockdown", ... */
    enum probe_answer ok;
    char why[256];
    char fix[256]; /* empty where nothing needs to be done */
};

enum { PROBE_CHECKS_MAX = 40 };

struct probe_report {
    struct probe_check checks[PROBE_CHECKS_MAX];
    size_t count;
    enum probe_answer tracking, xdp, tcx, clsact, cgroup; /* could they be loaded (and attached)? */
    char cgroup2_path[256];                               /* empty: not mounted */
};

struct probe_config {
    const char *pin_dir;
    const char *const *interfaces; /* whose XDP hook is looked at; none: all devices that are up */
    size_t interface_count;
};

void probe_host(const struct probe_config *config, struct probe_report *ret_report);

/* Where cgroup2 is mounted, by /proc/self/mountinfo; of several places the one that reaches highest
 * (in a container: the host's, if it was given to it).  Returns 0 with a path, or -ENOENT. */
int probe_cgroup2(char ret_path[256]);

/* May this thread call bpf() at all?  Before Linux 5.19 nobody may without CAP_BPF where
 * unprivileged_bpf_disabled is set; seccomp or a security module may refuse it, too.  Found out by
 * a call that fails otherwise in every case. */
bool probe_bpf_is_allowed(void);

/* May this process once it has dropped all capabilities?  Changes none of its own.  When not, a
 * reader keeps CAP_BPF. */
bool probe_bpf_is_allowed_without_capabilities(void);

/* Does this errno of bpf() mean "you may not"?  (Anything else comes from behind that gate.) */
bool probe_bpf_was_refused(int error);

#endif
