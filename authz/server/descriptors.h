/* SPDX-License-Identifier: Apache-2.0 */
/* How many of the process's descriptors connections may take. */
#ifndef DESCRIPTORS_H
#define DESCRIPTORS_H

#include "diag.h"

/* Raises the soft RLIMIT_NOFILE to the hard one.  Connections may then have descriptors below
 * `ret_limit`: room for `connections` and our own where the process may have as many, else fewer,
 * so that files can be opened in any case.  Returns 0; -EMFILE when the limit is too low for any
 * connection, or another negative errno. */
int descriptors_limit(unsigned connections, int *ret_limit, struct diag *diag);

#endif
