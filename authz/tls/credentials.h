/* SPDX-License-Identifier: Apache-2.0 */
/* One set of what a TLS end needs, read from PEM files: its certificate and key, whom it trusts,
 * and which names it lets in.  Built whole or not at all, immutable, reference-counted: a set that
 * another one has replaced lives as long as the sessions that began with it.
 *
 * TLS 1.2 or newer, forward secrecy and AEAD ciphers only, ALPN h2, no resumption (a resumed
 * session would not look at the peer's certificate again).
 *
 * The library's own type is `struct ssl_st`, which it calls SSL. */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H

#include <stdbool.h>
#include <time.h>

#include "diag.h"

struct credentials;
struct ssl_st;

enum tls_role { TLS_SERVER, TLS_CLIENT };

/* All borrowed. */
struct credential_files {
    enum tls_role role;
    const char *certificate; /* the chain, our own first; a client may have none (NULL) */
    const char *key;         /* of the certificate; without a passphrase */
    /* Who signs the certificates that the other end must show.  NULL: a server's clients need none.
     * A client always has it. */
    const char *trusted;
    /* Server: names of which a client's certificate must have one (client_name.h); none: any that
     * `trusted` signed. */
    const char **client_names;
    size_t client_name_count;
    /* Client: the name that the server's certificate must be for, a DNS name or an IP address. */
    const char *server_name;
};

/* Returns 0; or -errno with a message that names the file and says what is wrong with it: that it
 * cannot be read, holds no certificate or key, that the key belongs to another certificate, that
 * the certificate has expired. */
int credentials_read(const struct credential_files *files, struct credentials **ret_credentials,
                     struct diag *diag);

struct credentials *credentials_ref(struct credentials *credentials);
void credentials_freep(struct credentials **credentials); /* gives up a reference */

/* When the own certificate ends; 0 without one. */
time_t credentials_expiry(const struct credentials *credentials);

/* A session on a connected, non-blocking socket, before its handshake; NULL without memory.  It
 * keeps `credentials` alive; credentials_end_session() ends it, not the socket. */
struct ssl_st *credentials_begin_session(struct credentials *credentials, int fd);
void credentials_end_session(struct ssl_st *session);

/* Why the last step of a handshake failed, in words for the operator: the peer's certificate, or
 * the library's reason.  By the thread that took the step, at once. */
enum { HANDSHAKE_WHY_MAX = 192 };
void credentials_explain(struct ssl_st *session, char ret_why[HANDSHAKE_WHY_MAX]);

/* After the handshake: was HTTP/2 agreed on? */
bool credentials_speaks_h2(struct ssl_st *session);

#endif
