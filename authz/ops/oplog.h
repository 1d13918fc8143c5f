/* SPDX-License-Identifier: Apache-2.0 */
/* The operational log: what the operator should know, a line for each event, on standard error.
 *
 * Only cli, server and the rooms of bpf/ write to it, once per event.  A line is written by one write(), so
 * lines of several threads do not mix.  The text is cut at 1,000 bytes and holds no control
 * characters.  Where standard error is a file that is appended to, a line begins with the time:
 * there nobody else would say it. */
#ifndef OPLOG_H
#define OPLOG_H

#include "diag.h"

/* A file takes the place of standard error from now on, for lines of all threads and also for what
 * libraries say there; by the same name again when a log was rotated away.  It is made (0640) when
 * it is not there, and appended to.  Pipes and sockets, which somebody may be slow to read, are
 * refused.  Returns 0, or a negative errno with a message, and nothing has changed. */
int oplog_to_file(const char *path, struct diag *diag);

void oplog_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void oplog_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
