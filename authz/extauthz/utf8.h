/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is certainly UTF-8 (RFC 3629: no surrogates, no overlong forms, nothing above
 * U+10FFFF). */
#ifndef UTF8_H
#define UTF8_H

#include "str.h"

/* Bytes that utf8_repair() writes: each byte that belongs to no valid sequence becomes U+FFFD (3
 * bytes). */
size_t utf8_repaired_length(struct str text);

/* `buffer` has that many bytes. */
void utf8_repair(struct str text, char *buffer);

#endif
