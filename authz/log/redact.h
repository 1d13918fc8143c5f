/* SPDX-License-Identifier: Apache-2.0 */
/* What of a request is nobody's business, whoever asked for it to be logged. */
#ifndef REDACT_H
#define REDACT_H

#include <stdbool.h>

#include "str.h"

/* Stands where something was taken out. */
#define REDACTED "REDACTED"

/* A query may carry tokens, and their names may say what for. */
enum query_shown {
    QUERY_HIDDEN = 0, /* that there is one */
    QUERY_NAMES,      /* names of its parameters; one without "=" is all value */
    QUERY_FULL,
};

/* Credentials: authorization, proxy-authorization, cookie, set-cookie.  Of those a log says that
 * they were there, never what they were.  `name` in any letter case. */
bool redact_hides_header(struct str name);

/* The part of a query's parameter that may be shown, REDACTED stands for the rest: "name=" of
 * "name=value", and nothing of one without "=". */
struct str redact_parameter(struct str parameter);

#endif
