/* SPDX-License-Identifier: Apache-2.0 */
/* One connection and what is known of it: a line of `lookup` and of `watch`. */
#ifndef SIGHTING_H
#define SIGHTING_H

#include "databases.h"
#include "syn_source.h"

/* To standard output, as JSON (interfaces.md section 3) or as text.  `destination` may be NULL:
 * none is known.  The age is that at the time of the call. */
void sighting_print(const struct endpoint *source, const struct endpoint *destination,
                    const struct syn_answer *answer, const struct databases *databases,
                    enum output_format format);

#endif
