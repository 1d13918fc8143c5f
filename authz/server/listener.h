/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that a server listens on.
 *
 *     unix:/path[,mode=0660][,group=NAME|GID]   unix:@name   IP:PORT[,tls]   [IP6]:PORT[,tls]
 *
 * A unix socket is bound under a unique temporary name, born with its mode (0600; 0660 when only a
 * group is given), gets its group, and is then renamed over the final path, so that a server can
 * take the path over from another one; it is not unlinked at the end.  A path that
 * exists and is no socket is refused.  Opened before privileges are given up and before there are
 * threads (the umask is the process's). */
#ifndef LISTENER_H
#define LISTENER_H

#include <stdbool.h>

#include "diag.h"
#include "str.h"

struct listener {
    int fd;
    bool is_tcp;
    bool is_tls; /* its connections begin with a TLS handshake; TCP only */
};

/* Is `spec` written as above, and is there such a group?  Returns 0, or a negative errno with a
 * message that says what was expected. */
int listener_check(struct str spec, struct diag *diag);

/* Same where there is no TLS: `,tls` is an error. */
int listener_check_plain(struct str spec, struct diag *diag);

/* Does `spec`, which passed listener_check(), end in `,tls`? */
bool listener_spec_is_tls(struct str spec);

/* Returns 0 and a listening, non-blocking socket; or a negative errno with a message that says what
 * is wrong with it, but not which option `spec` was given for. */
int listener_open(struct str spec, struct listener *ret_listener, struct diag *diag);
void listener_done(struct listener *listener);

#endif
