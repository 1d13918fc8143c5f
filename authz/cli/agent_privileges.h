/* SPDX-License-Identifier: Apache-2.0 */
/* The few capabilities that `agent` works with, and none besides.
 *
 *     agent_privileges_begin()   at the start: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and so far
 * as the process has them CAP_SYS_ADMIN (mounting a bpffs) and CAP_CHOWN (pins of a foreign group)
 *
 *     agent_privileges_settle()  once capture runs: CAP_SYS_ADMIN is gone for good, and CAP_CHOWN
 *                                unless pins that are made later have to be given away
 *
 * Before there are other threads (Linux keeps credentials per thread).  With no_new_privs, and
 * bounding, inheritable and ambient sets empty, nothing comes back. */
#ifndef AGENT_PRIVILEGES_H
#define AGENT_PRIVILEGES_H

#include <stdbool.h>

#include "diag.h"

/* Returns 0; or -EPERM with a message that names what is missing. */
int agent_privileges_begin(struct diag *diag);
int agent_privileges_settle(bool gives_pins_away, struct diag *diag);

#endif
