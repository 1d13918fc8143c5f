/* SPDX-License-Identifier: Apache-2.0 */
/* Three-valued truth: what cannot be observed is neither yes nor no (Kleene's logic).
 *
 *     and   N U Y      or    N U Y      not
 *      N    N N N       N    N U Y      N  Y
 *      U    N U U       U    U U Y      U  U
 *      Y    N U Y       Y    Y Y Y      Y  N
 *
 * A rule fires on TRI_YES only; one place (policy.c) turns TRI_UNKNOWN into an outcome.  Compare by
 * name; never use a tri as a bool. */
#ifndef TRI_H
#define TRI_H

#include <stdbool.h>

enum tri { TRI_NO = -1, TRI_UNKNOWN = 0, TRI_YES = 1 }; /* zeroed memory is UNKNOWN */

static inline enum tri tri_and(enum tri a, enum tri b)
{
    return a < b ? a : b;
}

static inline enum tri tri_or(enum tri a, enum tri b)
{
    return a > b ? a : b;
}

static inline enum tri tri_not(enum tri a)
{
    return (enum tri)(-(int)a);
}

static inline enum tri tri_from_bool(bool known)
{
    return known ? TRI_YES : TRI_NO;
}

#endif
