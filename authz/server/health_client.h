/* SPDX-License-Identifier: Apache-2.0 */
/* Asks a running server grpc.health.v1.Health/Check, once.
 *
 * No name is looked up, and no file is read but those of TLS, so it works where there is nothing
 * but the program. */
#ifndef HEALTH_CLIENT_H
#define HEALTH_CLIENT_H

#include <stdbool.h>

#include "diag.h"
#include "str.h"

struct credential_files;

struct health_question {
    const char *address; /* unix:/path, unix:@name, IP:PORT or [IP6]:PORT, the latter with ,tls */
    /* For an address with `,tls`: whom to trust, what to show; role TLS_CLIENT. */
    const struct credential_files *tls;
    const char *service; /* "": the server as a whole */
    unsigned timeout_ms; /* for all of it, the connection included */
};

/* Is it an address as above?  Returns 0 or -EINVAL, with a message that says what was expected. */
int health_address_check(struct str address, struct diag *diag);

/* Returns 0 and whether the server says
 * SERVING, and if not `why` what it said or did instead: "NOT_SERVING", "no such service",
 * "failed to connect to all addresses".  Returns a negative errno with a message only when there
 * was no way to ask. */
enum { HEALTH_WHY_MAX = 256 };
int health_client_ask(const struct health_question *question, bool *ret_is_serving,
                      char ret_why[HEALTH_WHY_MAX], struct diag *diag);

#endif
