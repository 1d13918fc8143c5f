/* SPDX-License-Identifier: Apache-2.0 */
/* Signals of a verb that runs until it is told to end.
 *
 *     signals_prepare()    SIGTERM and SIGINT end the program at once, also as the first process of
 * a container, which has no default action; SIGHUP waits; SIGPIPE is ignored
 *     ...                  start
 *     signals_collect()    all three are read from a descriptor
 *     ...                  run
 *     signals_let_end()    a second SIGTERM or SIGINT ends the program at once
 *
 * Before there are threads that the signals could go to instead, but for the last. */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "diag.h"

int signals_prepare(struct diag *diag);

/* A signalfd for SIGTERM, SIGINT and SIGHUP, which the caller owns. */
int signals_collect(int *ret_fd, struct diag *diag);

void signals_let_end(void);

#endif
