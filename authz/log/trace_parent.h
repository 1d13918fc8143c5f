/* SPDX-License-Identifier: Apache-2.0 */
/* The header `traceparent`.  Source: W3C Trace Context 1, 3.2. */
#ifndef TRACE_PARENT_H
#define TRACE_PARENT_H

#include <stdbool.h>

#include "str.h"

/* Lower-case hex digits, borrowed from the header. */
struct trace_parent {
    struct str trace_id; /* 32 */
    struct str span_id;  /* 16 */
    struct str flags;    /* 2 */
};

/* Returns false for what the specification says to ignore: any other length, upper case, zero ids,
 * version ff. */
bool trace_parent_parse(struct str header, struct trace_parent *ret_parent);

#endif
