/* SPDX-License-Identifier: Apache-2.0 */
/* The options of `serve` that are about TLS: do they fit together, and the files that they name. */
#ifndef SERVE_TLS_H
#define SERVE_TLS_H

#include "credentials.h"
#include "serve_settings.h"

/* Which files TLS listeners have; all NULL where no listener speaks TLS.  Borrowed from `options`.
 * Returns 0, or -EINVAL with a message about the option that is missing or too much. */
int serve_tls_files(const struct serve_options *options, struct credential_files *ret_files,
                    struct diag *diag);

#endif
