/* SPDX-License-Identifier: Apache-2.0 */
/* The allow list of client certificates: which names (subject alternative names) one must have.
 *
 *     spiffe://cluster.local/ns/x/sa/y    this URI, byte for byte
 *     spiffe://cluster.local/ns/x/…       with `*` for the dots: every URI that begins so
 *     envoy.example.org                   this DNS name, in any case
 *
 * What looks like a URI is compared with URI names only, anything else with DNS names only.  A
 * wildcard in a certificate's own name is a letter like any other: it proves who signed it, not who
 * it is. */
#ifndef CLIENT_NAME_H
#define CLIENT_NAME_H

#include <stdbool.h>

#include "diag.h"

enum client_name_kind { CLIENT_NAME_URI, CLIENT_NAME_DNS };

/* Is `allowed` written as above?  Returns 0, or -EINVAL with a message that says what was expected.
 */
int client_name_check(struct str allowed, struct diag *diag);

/* Does a certificate's `name` match `allowed`, which passed the check? */
bool client_name_matches(struct str allowed, enum client_name_kind kind, struct str name);

#endif
