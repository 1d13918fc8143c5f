/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>

#include "addr.h"
#include "cleanup.h"
#include "client_name.h"
#include "pem_file.h"

/* TLS 1.2; those of TLS 1.3 are all good.  RFC 9113 9.2.2 wants no others for HTTP/2. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static const unsigned char ALPN_H2[] = {2, 'h', '2'};

struct credentials {
    atomic_uint references;
    SSL_CTX *context;
    time_t expiry;
    char **client_names;
    size_t client_name_count;
    char *server_name;
};

/* What hangs on a session. */
struct session_notes {
    struct credentials *credentials; /* a reference */
    char why[HANDSHAKE_WHY_MAX];     /* the peer's certificate was refused by our own rule */
};

/* --- life ------------------------------------------------------------------------------------- */

struct credentials *credentials_ref(struct credentials *credentials)
{
    (void)atomic_fetch_add(&credentials->references, 1);
    return credentials;
}

void credentials_freep(struct credentials **slot)
{
    struct credentials *credentials = TAKE_PTR(*slot);

    if (!credentials || atomic_fetch_sub(&credentials->references, 1) != 1)
        return;
    SSL_CTX_free(credentials->context);
    for (size_t i = 0; i < credentials->client_name_count; i++)
        free(credentials->client_names[i]);
    free(credentials->client_names);
    free(credentials->server_name);
    free(credentials);
}

time_t credentials_expiry(const struct credentials *credentials)
{
    return credentials->expiry;
}

/* --- our own certificate ---------------------------------------------------------------------- */

static time_t time_of(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

/* Everybody would refuse it: that is better said here. */
static int check_dates(const X509 *certificate, struct diag *diag)
{
    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return diag_set(diag, -EINVAL, "the certificate has expired");
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return diag_set(diag, -EINVAL, "the certificate is not valid yet: is the clock right?");
    return 0;
}

static int use_certificate(struct credentials *credentials, const struct credential_files *files,
                           struct diag *diag)
{
    CLEANUP(certificate_stack_freep) STACK_OF(X509) *chain = NULL;
    CLEANUP(private_key_freep) EVP_PKEY *key = NULL;
    X509 *own;
    int r = pem_file_certificates(files->certificate, &chain, diag);

    if (r < 0)
        return r;
    r = check_dates(sk_X509_value(chain, 0), diag);
    if (r < 0)
        return r;
    r = pem_file_key(files->key, &key, diag);
    if (r < 0)
        return r;
    if (X509_check_private_key(sk_X509_value(chain, 0), key) != 1) {
        ERR_clear_error();
        return diag_set(diag, -EINVAL, "the key does not belong to the (first) certificate in %s",
                        files->certificate);
    }
    own = sk_X509_shift(chain);
    credentials->expiry = time_of(X509_get0_notAfter(own));
    r = SSL_CTX_use_cert_and_key(credentials->context, own, key, chain, 1);
    X509_free(own);
    if (r == 1)
        return 0;
    diag_set_file(diag, files->certificate);
    return diag_set(diag, -EINVAL, "the certificate cannot be used: %s", pem_file_last_reason());
}

/* --- the other end's certificate -------------------------------------------------------------- */

/* The texts of both kinds are IA5 strings, with their length. */
static struct str text_of(const GENERAL_NAME *name, enum client_name_kind *ret_kind)
{
    const ASN1_IA5STRING *text;

    switch (name->type) {
    case GEN_URI:
        *ret_kind = CLIENT_NAME_URI;
        text = name->d.uniformResourceIdentifier;
        break;
    case GEN_DNS:
        *ret_kind = CLIENT_NAME_DNS;
        text = name->d.dNSName;
        break;
    default:
        return (struct str){NULL, 0};
    }
    return (struct str){(const char *)ASN1_STRING_get0_data(text),
                        (size_t)ASN1_STRING_length(text)};
}

static bool is_allowed(const struct credentials *credentials, enum client_name_kind kind,
                       struct str name)
{
    for (size_t i = 0; i < credentials->client_name_count; i++)
        if (client_name_matches(str_from(credentials->client_names[i]), kind, name))
            return true;
    return false;
}

static bool has_allowed_name(const struct credentials *credentials, X509 *certificate,
                             char ret_why[HANDSHAKE_WHY_MAX])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    struct str shown = {NULL, 0};
    bool allowed = false;

    for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !allowed; i++) {
        enum client_name_kind kind = CLIENT_NAME_DNS;
        struct str name = text_of(sk_GENERAL_NAME_value(names, i), &kind);

        if (name.len == 0)
            continue;
        shown = shown.len ? shown : name;
        allowed = is_allowed(credentials, kind, name);
    }
    if (!allowed)
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX,
                       "its certificate has no allowed name, but %" PRIstr,
                       STR_ARG(shown.len ? shown : STR("no URI and no DNS name")));
    GENERAL_NAMES_free(names);
    return allowed;
}

/* Within the handshake, so that the client is told. */
static int verify_client(X509_STORE_CTX *store, void *context)
{
    const struct credentials *credentials = context;
    const SSL *session = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct session_notes *notes = SSL_get_app_data(session);
    int r = X509_verify_cert(store);

    if (r != 1 || credentials->client_name_count == 0 ||
        has_allowed_name(credentials, X509_STORE_CTX_get0_cert(store), notes->why))
        return r;
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

/* An intermediate one may be the anchor: who is named here is trusted. */
static int trust(SSL_CTX *context, const char *path, struct diag *diag)
{
    CLEANUP(certificate_stack_freep) STACK_OF(X509) *anchors = NULL;
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    int r = pem_file_certificates(path, &anchors, diag);

    if (r < 0)
        return r;
    for (int i = 0; i < sk_X509_num(anchors); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(anchors, i)) != 1 ||
            SSL_CTX_add_client_CA(context, sk_X509_value(anchors, i)) != 1)
            return diag_set(diag, -EINVAL, "certificate %d cannot be trusted: %s", i + 1,
                            pem_file_last_reason());
    (void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return 0;
}

/* --- the handshake ---------------------------------------------------------------------------- */

static int choose_h2(SSL *session, const unsigned char **ret_name, unsigned char *ret_length,
                     const unsigned char *offered, unsigned length, void *context)
{
    unsigned char *chosen;

    (void)session;
    (void)context;
    if (SSL_select_next_proto(&chosen, ret_length, ALPN_H2, sizeof(ALPN_H2), offered, length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int new_context(enum tls_role role, SSL_CTX **ret_context)
{
    SSL_CTX *context = SSL_CTX_new(role == TLS_SERVER ? TLS_server_method() : TLS_client_method());

    if (!context)
        return -ENOMEM;
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_cipher_list(context, CIPHERS);
    (void)SSL_CTX_set_options(context,
                              SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    /* Many records for one read(); and a record that is no data ends the library's turn, else a
     * client that sends nothing else would keep the thread for itself. */
    SSL_CTX_set_read_ahead(context, 1);
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                        SSL_MODE_RELEASE_BUFFERS);
    if (role == TLS_SERVER)
        SSL_CTX_set_alpn_select_cb(context, choose_h2, NULL);
    else
        (void)SSL_CTX_set_alpn_protos(context, ALPN_H2, sizeof(ALPN_H2));
    *ret_context = context;
    return 0;
}

static int set_trust(struct credentials *credentials, const struct credential_files *files,
                     struct diag *diag)
{
    if (!files->trusted)
        return 0;
    SSL_CTX_set_verify(credentials->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
    if (files->role == TLS_SERVER)
        SSL_CTX_set_cert_verify_callback(credentials->context, verify_client, credentials);
    return trust(credentials->context, files->trusted, diag);
}

static int copy_names(struct credentials *credentials, const struct credential_files *files)
{
    if (files->server_name && !(credentials->server_name = str_dup(str_from(files->server_name))))
        return -ENOMEM;
    if (files->client_name_count == 0)
        return 0;
    credentials->client_names = calloc(files->client_name_count, sizeof(char *));
    if (!credentials->client_names)
        return -ENOMEM;
    for (; credentials->client_name_count < files->client_name_count;
         credentials->client_name_count++) {
        char *name = str_dup(str_from(files->client_names[credentials->client_name_count]));

        if (!name)
            return -ENOMEM;
        credentials->client_names[credentials->client_name_count] = name;
    }
    return 0;
}

int credentials_read(const struct credential_files *files, struct credentials **ret_credentials,
                     struct diag *diag)
{
    CLEANUP(credentials_freep) struct credentials *credentials = calloc(1, sizeof(*credentials));
    int r;

    if (!credentials)
        return -ENOMEM;
    credentials->references = 1;
    r = new_context(files->role, &credentials->context);
    if (r == 0)
        r = copy_names(credentials, files);
    if (r == 0 && files->certificate)
        r = use_certificate(credentials, files, diag);
    if (r == 0)
        r = set_trust(credentials, files, diag);
    if (r < 0)
        return r;
    *ret_credentials = TAKE_PTR(credentials);
    return 0;
}

/* --- sessions --------------------------------------------------------------------------------- */

static int expect_name(SSL *session, char *name)
{
    struct addr address;

    if (addr_parse(str_from(name), &address) == 0)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name);
    return SSL_set_tlsext_host_name(session, name) == 1 && SSL_set1_host(session, name) == 1;
}

struct ssl_st *credentials_begin_session(struct credentials *credentials, int fd)
{
    struct session_notes *notes = calloc(1, sizeof(*notes));
    SSL *session = notes ? SSL_new(credentials->context) : NULL;

    if (!session) {
        free(notes);
        return NULL;
    }
    notes->credentials = credentials_ref(credentials);
    (void)SSL_set_app_data(session, notes);
    if (SSL_set_fd(session, fd) != 1 ||
        (credentials->server_name && !expect_name(session, credentials->server_name))) {
        credentials_end_session(session);
        return NULL;
    }
    if (SSL_is_server(session))
        SSL_set_accept_state(session);
    else
        SSL_set_connect_state(session);
    return session;
}

void credentials_end_session(struct ssl_st *session)
{
    struct session_notes *notes;

    if (!session)
        return;
    notes = SSL_get_app_data(session);
    SSL_free(session);
    credentials_freep(&notes->credentials);
    free(notes);
}

/* What the library says when the peer does something usual, in our words. */
static const char *usual_reason(int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return "it does not speak TLS";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "it has shown no certificate";
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return "it does not speak HTTP/2 (ALPN h2)";
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return "it closed the connection";
    default:
        return NULL;
    }
}

static void explain_error(unsigned long error, char ret_why[HANDSHAKE_WHY_MAX])
{
    const int reason = ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0;
    const char *usual = usual_reason(reason), *theirs = ERR_reason_error_string(error);

    if (reason >= SSL_AD_REASON_OFFSET)
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "it says `%s`",
                       SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET));
    else if (usual || theirs)
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "%s", usual ? usual : theirs);
    else
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "it closed the connection");
}

void credentials_explain(struct ssl_st *session, char ret_why[HANDSHAKE_WHY_MAX])
{
    const struct session_notes *notes = SSL_get_app_data(session);
    const long verdict = SSL_get_verify_result(session);

    if (notes->why[0])
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "%s", notes->why);
    else if (verdict != X509_V_OK)
        (void)snprintf(ret_why, HANDSHAKE_WHY_MAX, "its certificate: %s",
                       X509_verify_cert_error_string(verdict));
    else
        explain_error(ERR_peek_error(), ret_why);
    ERR_clear_error();
}

bool credentials_speaks_h2(struct ssl_st *session)
{
    const unsigned char *name;
    unsigned length;

    SSL_get0_alpn_selected(session, &name, &length);
    return length == 2 && memcmp(name, "h2", 2) == 0;
}
