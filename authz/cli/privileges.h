/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up every privilege, in the order that works and cannot be undone:
 *
 *     privileges_lock()   no_new_privs, bounding set empty, inheritable and ambient sets empty;
 *                         what root may do now still works
 *     ...                 load, attach, seal, bind
 *     privileges_drop()   groups, group and user change; leaving uid 0 clears the capabilities
 *     privileges_check()  /proc/self/status says that nothing is left
 *
 * All in one thread, before any other is started (Linux keeps credentials per thread). */
#ifndef PRIVILEGES_H
#define PRIVILEGES_H

#include <sys/types.h>

#include "diag.h"

struct identity {
    uid_t uid;
    gid_t gid;
};

/* "nobody", "65534": a name's own group, or the number for both where no account has it.  Refuses
 * root. */
int identity_parse(struct str text, struct identity *ret_identity, struct diag *diag);

int privileges_lock(struct diag *diag);

/* As root becomes `identity`; anybody else stays who they are.  Either way no capability is left.
 */
int privileges_drop(const struct identity *identity, struct diag *diag);

int privileges_check(struct diag *diag);

#endif
