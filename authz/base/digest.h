/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4), by libmd, over several pieces as if they were one. */
#ifndef DIGEST_H
#define DIGEST_H

#include "str.h"

enum { DIGEST_HEX_SIZE = 64 + 1 };

/* Writes 64 lower-case hex digits and a NUL. */
void digest_sha256_hex(const struct str *pieces, size_t count, char ret_hex[DIGEST_HEX_SIZE]);

#endif
