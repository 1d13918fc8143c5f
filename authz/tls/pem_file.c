/* SPDX-License-Identifier: Apache-2.0 */
#include "pem_file.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "cleanup.h"
#include "file.h"

enum { PEM_BYTES_MAX = 1 << 20 };

void certificate_stack_freep(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

void private_key_freep(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void bio_freep(BIO **bio)
{
    BIO_free_all(*bio);
}

/* Keys do not stay behind in freed memory. */
struct pem_bytes {
    char *bytes;
    size_t size;
};

static void pem_bytes_done(const struct pem_bytes *pem)
{
    OPENSSL_clear_free(pem->bytes, pem->size);
}

const char *pem_file_last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    ERR_clear_error();
    return reason ? reason : "no reason given";
}

static int no_memory(struct diag *diag)
{
    return diag_set(diag, -ENOMEM, "out of memory");
}

static int open_file(const char *path, struct pem_bytes *ret_pem, BIO **ret_bio, struct diag *diag)
{
    int r;

    diag_set_file(diag, path);
    r = file_read(path, PEM_BYTES_MAX, &ret_pem->bytes, &ret_pem->size, diag);
    if (r < 0)
        return r;
    *ret_bio = BIO_new_mem_buf(ret_pem->bytes, (int)ret_pem->size);
    ERR_clear_error();
    return *ret_bio ? 0 : no_memory(diag);
}

/* Did reading end because there is nothing more? */
static bool is_at_end(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

int pem_file_certificates(const char *path, STACK_OF(X509) * *ret_stack, struct diag *diag)
{
    CLEANUP(pem_bytes_done) struct pem_bytes pem = {0};
    CLEANUP(bio_freep) BIO *bio = NULL;
    CLEANUP(certificate_stack_freep) STACK_OF(X509) *stack = sk_X509_new_null();
    X509 *certificate;
    int r = open_file(path, &pem, &bio, diag);

    if (r < 0)
        return r;
    while (stack && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        if (!sk_X509_push(stack, certificate)) {
            X509_free(certificate);
            return no_memory(diag);
        }
    if (!stack)
        return no_memory(diag);
    if (!is_at_end())
        return diag_set(diag, -EINVAL, "certificate %d cannot be read: %s", sk_X509_num(stack) + 1,
                        pem_file_last_reason());
    ERR_clear_error();
    if (sk_X509_num(stack) == 0)
        return diag_set(diag, -EINVAL,
                        "there is no certificate in it: expected PEM, -----BEGIN CERTIFICATE-----");
    *ret_stack = TAKE_PTR(stack);
    return 0;
}

/* Without it the library would ask on the terminal. */
static int has_passphrase(char *buffer, int size, int for_writing, void *context)
{
    bool *is_encrypted = context;

    (void)buffer;
    (void)size;
    (void)for_writing;
    *is_encrypted = true;
    return -1;
}

int pem_file_key(const char *path, EVP_PKEY **ret_key, struct diag *diag)
{
    CLEANUP(pem_bytes_done) struct pem_bytes pem = {0};
    CLEANUP(bio_freep) BIO *bio = NULL;
    bool is_encrypted = false;
    EVP_PKEY *key;
    int r = open_file(path, &pem, &bio, diag);

    if (r < 0)
        return r;
    key = PEM_read_bio_PrivateKey(bio, NULL, has_passphrase, &is_encrypted);
    if (!key && is_encrypted)
        r = diag_set(diag, -EINVAL,
                     "the key needs a passphrase, which nobody is here to give: expected one "
                     "without (openssl pkey -in FILE -out NEW)");
    else if (!key)
        r = diag_set(diag, -EINVAL,
                     "there is no private key in it: expected PEM, -----BEGIN PRIVATE KEY-----");
    ERR_clear_error();
    if (r < 0)
        return r;
    *ret_key = key;
    return 0;
}
