/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers: the whole text, decimal digits only, inside a range; no sign, blank or prefix.
 * For configuration and wire input alike.
 *
 * Durations and sizes are a number and its unit, "200ms", "64MiB": which unit a bare number would
 * have been meant in is never guessed. */
#ifndef NUM_H
#define NUM_H

#include <stdint.h>

#include "str.h"

/* Returns 0; -EINVAL when `text` is empty or holds anything but digits; -ERANGE when the number is
 * outside `min`..`max`.  Leading zeros are allowed ("007" is 7). */
int num_parse_u64(struct str text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Same for a TCP port: 1..65535. */
int num_parse_port(struct str text, uint16_t *ret_port);

/* A duration in ms, s, m, h or d.  Without a unit there is "0" alone.  Returns as num_parse_u64(),
 * with the range in milliseconds. */
int num_parse_duration_ms(struct str text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms);

/* A size in B, KiB, MiB or GiB, which are powers of 1024.  Without a unit there is "0" alone. */
int num_parse_size(struct str text, uint64_t min, uint64_t max, uint64_t *ret_bytes);

/* As they are parsed, in the largest unit that holds the value exactly: "90s", "1536KiB".  Both
 * return `text`. */
enum { NUM_TEXT_MAX = 32 };
const char *num_format_duration_ms(uint64_t ms, char text[NUM_TEXT_MAX]);
const char *num_format_size(uint64_t bytes, char text[NUM_TEXT_MAX]);

#endif
