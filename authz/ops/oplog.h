/* SPDX-License-Identifier: Apache-2.0 */
/* The operational log: what the operator should know, a line for each event, on standard error.
 *
 * Only cli, server and bpf/host write to it, once per event.  A line is written by one write(), so
 * lines of several threads do not mix.  The text is cut at 1,000 bytes and holds no control
 * characters. */
#ifndef OPLOG_H
#define OPLOG_H

void oplog_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void oplog_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
