/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys out of PEM files, as OpenSSL has them.  Private to this folder. */
#ifndef PEM_FILE_H
#define PEM_FILE_H

#include <openssl/x509.h>

#include "diag.h"

/* For CLEANUP. */
void certificate_stack_freep(STACK_OF(X509) * *stack);
void private_key_freep(EVP_PKEY **key);

/* All certificates of a file, in its order, at least one; private keys and what else is in it are
 * passed over.  Returns 0, or a negative errno with a message that names the file. */
int pem_file_certificates(const char *path, STACK_OF(X509) * *ret_stack, struct diag *diag);

/* The first private key of a file, which must not be encrypted. */
int pem_file_key(const char *path, EVP_PKEY **ret_key, struct diag *diag);

/* The library's newest reason, and forgets all of them. */
const char *pem_file_last_reason(void);

#endif
