/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made for a test, in PEM files of a folder that goes with it. */
#ifndef TEST_CERTIFICATES_H
#define TEST_CERTIFICATES_H

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TEST_PATH_MAX = 128, TEST_FILES_MAX = 32 };

struct test_issuer {
    X509 *certificate;
    EVP_PKEY *key;
};

struct test_folder {
    char path[64];
    char files[TEST_FILES_MAX][TEST_PATH_MAX];
    unsigned file_count;
};

static inline void test_folder_make(struct test_folder *folder)
{
    *folder = (struct test_folder){.path = "/tmp/synauthz-tls-XXXXXX"};
    assert(mkdtemp(folder->path));
}

static inline void test_folder_remove(const struct test_folder *folder)
{
    for (unsigned i = 0; i < folder->file_count; i++)
        (void)unlink(folder->files[i]);
    assert(rmdir(folder->path) == 0);
}

/* The path of a file that is removed with the folder. */
static inline const char *test_folder_file(struct test_folder *folder, const char *name)
{
    char *path = folder->files[folder->file_count++];

    assert(folder->file_count <= TEST_FILES_MAX);
    assert(snprintf(path, TEST_PATH_MAX, "%s/%s", folder->path, name) < TEST_PATH_MAX);
    return path;
}

static inline const char *test_folder_write(struct test_folder *folder, const char *name,
                                            const char *text)
{
    const char *path = test_folder_file(folder, name);
    FILE *file = fopen(path, "w");

    assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static inline void test_add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static inline X509 *test_new_certificate(const char *name, EVP_PKEY *key, long from_s, long to_s)
{
    static long serial;
    X509 *certificate = X509_new();
    X509_NAME *subject = X509_get_subject_name(certificate);

    (void)X509_set_version(certificate, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    (void)X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1,
                                     -1, 0);
    (void)X509_set_pubkey(certificate, key);
    return certificate;
}

static inline struct test_issuer test_issuer_make(const char *name)
{
    struct test_issuer issuer = {.key = EVP_EC_gen("P-256")};

    issuer.certificate = test_new_certificate(name, issuer.key, -60, 3600);
    (void)X509_set_issuer_name(issuer.certificate, X509_get_subject_name(issuer.certificate));
    test_add_extension(issuer.certificate, NID_basic_constraints, "critical,CA:TRUE");
    assert(X509_sign(issuer.certificate, issuer.key, EVP_sha256()) > 0);
    return issuer;
}

static inline void test_issuer_free(struct test_issuer *issuer)
{
    X509_free(issuer->certificate);
    EVP_PKEY_free(issuer->key);
}

static inline const char *test_write_issuer(struct test_folder *folder, const char *name,
                                            const struct test_issuer *issuer)
{
    const char *path = test_folder_file(folder, name);
    FILE *file = fopen(path, "w");

    assert(file && PEM_write_X509(file, issuer->certificate) == 1 && fclose(file) == 0);
    return path;
}

struct test_identity {
    const char *certificate, *key; /* paths */
};

/* NAME.pem and NAME.key, replaced as a whole; `names` as in openssl.cnf ("DNS:x,URI:y"), NULL:
 * none. Valid from a minute ago for an hour, both moved by `shift_s`. */
static inline struct test_identity test_identity_make(struct test_folder *folder, const char *name,
                                                      const struct test_issuer *issuer,
                                                      const char *names, long shift_s)
{
    char file_name[64];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = test_new_certificate(name, key, shift_s - 60, shift_s + 3600);
    struct test_identity identity;
    FILE *file;

    (void)X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate));
    if (names)
        test_add_extension(certificate, NID_subject_alt_name, names);
    assert(X509_sign(certificate, issuer->key, EVP_sha256()) > 0);

    (void)snprintf(file_name, sizeof(file_name), "%s.pem", name);
    identity.certificate = test_folder_file(folder, file_name);
    file = fopen(identity.certificate, "w");
    assert(file && PEM_write_X509(file, certificate) == 1 && fclose(file) == 0);

    (void)snprintf(file_name, sizeof(file_name), "%s.key", name);
    identity.key = test_folder_file(folder, file_name);
    file = fopen(identity.key, "w");
    assert(file && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
           fclose(file) == 0);

    X509_free(certificate);
    EVP_PKEY_free(key);
    return identity;
}

#endif
