/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers: the whole text, decimal digits only, inside a range; no sign, blank or prefix.
 * For configuration and wire input alike. */
#ifndef NUM_H
#define NUM_H

#include <stdint.h>

#include "str.h"

/* Returns 0; -EINVAL when `text` is empty or holds anything but digits; -ERANGE when the number is
 * outside `min`..`max`.  Leading zeros are allowed ("007" is 7). */
int num_parse_u64(struct str text, uint64_t min, uint64_t max, uint64_t *ret_value);

/* Same for a TCP port: 1..65535. */
int num_parse_port(struct str text, uint16_t *ret_port);

#endif
