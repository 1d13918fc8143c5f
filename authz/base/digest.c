/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <stdint.h>
#include <sys/types.h>
#include <sha2.h>

void digest_sha256_hex(const struct str *pieces, size_t count, char ret_hex[DIGEST_HEX_SIZE])
{
    SHA2_CTX context;

    SHA256Init(&context);
    for (size_t i = 0; i < count; i++)
        SHA256Update(&context, (const uint8_t *)pieces[i].ptr, pieces[i].len);
    (void)SHA256End(&context, ret_hex);
}
