/* SPDX-License-Identifier: Apache-2.0 */
/* The live credentials of a server, which follow their files: all or nothing, and what is broken
 * leaves the last good ones in use.
 *
 * New handshakes take the credentials that are live when they begin; connections that are there
 * keep theirs.  Any thread may begin a session; the rest is for one thread. */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include "credentials.h"

struct certificates;

/* `files` is copied.  Returns 0, or a negative errno with a message: credentials_read(). */
int certificates_open(const struct credential_files *files, struct certificates **ret_certificates,
                      struct diag *diag);
void certificates_freep(struct certificates **certificates);

/* Reads the files again.  Returns 0; or a negative errno with a message, and the last good ones
 * stay in use. */
int certificates_read_again(struct certificates *certificates, struct diag *diag);

/* Same from other files, or for other names of clients; from now on these are followed. */
int certificates_move(struct certificates *certificates, const struct credential_files *files,
                      struct diag *diag);

/* Are the files others than when they were last read, or tried?  Asked about once a second: the
 * answer is true when they have stayed the same between two questions, so that a certificate and
 * its key which are replaced one after the other are read together.  Links are followed
 * (Kubernetes swaps one). */
bool certificates_have_changed(struct certificates *certificates);

/* credentials_begin_session() with the live ones. */
struct ssl_st *certificates_begin_session(struct certificates *certificates, int fd);

/* When the live certificate ends. */
time_t certificates_expiry(struct certificates *certificates);

#endif
