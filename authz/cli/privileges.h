/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up every privilege, in the order that works and cannot be undone:
 *
 *     privileges_lock()      no_new_privs, bounding set empty, inheritable and ambient sets empty;
 *                            what root may do now still works
 *     privileges_for_pins()  only for a server that reads pins: the little that it needs
 *     ...                    load, attach, seal, bind
 *     privileges_drop()      groups, group and user change; leaving uid 0 clears the capabilities
 *     privileges_check()     /proc/self/status says that nothing else is left
 *
 * All in one thread, before any other is started (Linux keeps credentials per thread). */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#include <stdbool.h>
#include <sys/types.h>

#include "diag.h"

/* Who the server becomes.  identity_parse() leaves the last two empty: nothing is kept. */
struct identity {
    uid_t uid;
    gid_t gid;
    gid_t pin_group; /* its only supplementary group; 0: none (root's is never kept) */
    bool keeps_bpf;  /* CAP_BPF alone stays, permitted and effective */
};

/* "nobody", "65534": a name's own group, or the number for both where no account has it.  Refuses
 * root. */
int identity_parse(struct str text, struct identity *ret_identity, struct diag *diag);

/* The group that may read pins where nobody says otherwise: `synauthz` if there is such a group,
 * else `nogroup`; 0 without either. */
gid_t identity_default_group(void);

int privileges_lock(struct diag *diag);

/* What reading the pins in `pin_dir` takes, for `identity`:
 *
 *   pin_group   the folder's own group, when it is a bpffs folder of root's; else (no agent has run
 *               yet, or it is group root's) the default group: afterwards it is too late to choose
 *
 *   keeps_bpf   when a process that has given up everything is refused bpf() and this one could
 * keep CAP_BPF.  Linux before 5.19 refuses it wherever kernel.unprivileged_bpf_disabled is set. The
 * caller says so to the operator
 *
 * `bpf_is_allowed` is probe_bpf_is_allowed() (probe.h); it is asked in a child that has given up
 * everything.  Returns 0, or a negative errno with a message. */
int privileges_for_pins(const char *pin_dir, bool (*bpf_is_allowed)(void),
                        struct identity *identity, struct diag *diag);

/* As root becomes `identity`; anybody else stays who they are (and in their groups, unless they may
 * leave them).  Either way no capability is left but what `identity` keeps. */
int privileges_drop(const struct identity *identity, struct diag *diag);

int privileges_check(const struct identity *identity, struct diag *diag);

#endif
