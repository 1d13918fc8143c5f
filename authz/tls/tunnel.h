/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS connection that we make, as a client, with its bytes in clear on a unix socket. */
#ifndef TUNNEL_H
#define TUNNEL_H

#include "credentials.h"

struct endpoint;
struct tunnel;

/* Connects to `server` and makes the handshake, for at most `timeout_ms`.  Returns 0 and the
 * tunnel; -ECONNREFUSED with what the other end did or did not do in `ret_why`; or another negative
 * errno when it was our fault. */
int tunnel_open(const struct endpoint *server, struct credentials *credentials, unsigned timeout_ms,
                struct tunnel **ret_tunnel, char ret_why[HANDSHAKE_WHY_MAX]);

/* Its end in clear: connected, non-blocking, and the caller's from now on. */
int tunnel_take_fd(struct tunnel *tunnel);

/* When the end that was taken is closed, or will be of no more use. */
void tunnel_closep(struct tunnel **tunnel);

#endif
