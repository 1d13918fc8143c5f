/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

#include "test_certificates.h"

enum { DAY_S = 86400 };

struct fixture {
    struct test_folder folder;
    struct test_issuer ca, other_ca;
    const char *ca_file, *other_ca_file, *empty_file;
    struct test_identity server, client, late, early;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    test_folder_make(&f->folder);
    f->ca = test_issuer_make("ca");
    f->other_ca = test_issuer_make("other ca");
    f->ca_file = test_write_issuer(&f->folder, "ca.pem", &f->ca);
    f->other_ca_file = test_write_issuer(&f->folder, "other-ca.pem", &f->other_ca);
    f->empty_file = test_folder_write(&f->folder, "empty.pem", "nothing\n");
    f->server =
        test_identity_make(&f->folder, "server", &f->ca, "DNS:synauthz.test,IP:127.0.0.1", 0);
    f->client = test_identity_make(&f->folder, "client", &f->ca,
                                   "DNS:envoy.test,URI:spiffe://a/ns/x/sa/y", 0);
    f->late = test_identity_make(&f->folder, "late", &f->ca, "URI:spiffe://a/ns/x/sa/y", -DAY_S);
    f->early = test_identity_make(&f->folder, "early", &f->ca, NULL, DAY_S);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    test_folder_remove(&f->folder);
    test_issuer_free(&f->ca);
    test_issuer_free(&f->other_ca);
    free(f);
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

static void assert_refused(const struct credential_files *files, const char *file, const char *says)
{
    struct credentials *credentials = NULL;
    struct diag diag = {0};

    assert_true(credentials_read(files, &credentials, &diag) < 0);
    assert_null(credentials);
    assert_string_equal(diag.file, file);
    assert_non_null(strstr(diag.text, says));
}

static void what_is_wrong_with_a_file_is_said(void **state)
{
    const struct fixture *f = *state;
    const struct {
        const char *certificate, *key, *trusted;
        const char *file, *says;
    } ROWS[] = {
        {"/no/such.pem", f->server.key, NULL, "/no/such.pem", "No such file"},
        {f->folder.path, f->server.key, NULL, f->folder.path, "is a directory"},
        {f->empty_file, f->server.key, NULL, f->empty_file, "there is no certificate in it"},
        {f->server.key, f->server.key, NULL, f->server.key, "there is no certificate in it"},
        {f->server.certificate, "/no/such.key", NULL, "/no/such.key", "No such file"},
        {f->server.certificate, f->empty_file, NULL, f->empty_file, "there is no private key"},
        {f->server.certificate, f->client.key, NULL, f->client.key,
         "the key does not belong to the (first) certificate in"},
        {f->late.certificate, f->late.key, NULL, f->late.certificate, "has expired"},
        {f->early.certificate, f->early.key, NULL, f->early.certificate, "is not valid yet"},
        {f->server.certificate, f->server.key, f->empty_file, f->empty_file,
         "there is no certificate in it"},
        {f->server.certificate, f->server.key, "/no/ca.pem", "/no/ca.pem", "No such file"},
    };

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct credential_files files = {.role = TLS_SERVER,
                                               .certificate = ROWS[i].certificate,
                                               .key = ROWS[i].key,
                                               .trusted = ROWS[i].trusted};

        assert_refused(&files, ROWS[i].file, ROWS[i].says);
    }
}

/* Nothing is asked on the terminal. */
static void a_key_with_a_passphrase_is_refused(void **state)
{
    struct fixture *f = *state;
    struct credential_files files = {.role = TLS_SERVER, .certificate = f->server.certificate};
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *file;

    files.key = test_folder_file(&f->folder, "locked.key");
    file = fopen(files.key, "w");
    assert_int_equal(PEM_write_PrivateKey(file, key, EVP_aes_128_cbc(),
                                          (const unsigned char *)"secret", 6, NULL, NULL),
                     1);
    (void)fclose(file);
    EVP_PKEY_free(key);
    assert_refused(&files, files.key, "needs a passphrase");
}

static void a_broken_certificate_behind_a_good_one_is_not_passed_over(void **state)
{
    struct fixture *f = *state;
    struct credential_files files = {.role = TLS_SERVER, .key = f->server.key};
    char text[8192];
    FILE *file = fopen(f->server.certificate, "r");
    size_t length = fread(text, 1, sizeof(text) - 128, file);

    (void)fclose(file);
    (void)snprintf(text + length, 128,
                   "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    files.certificate = test_folder_write(&f->folder, "half.pem", text);
    assert_refused(&files, files.certificate, "certificate 2 cannot be read");
}

static void certificate_and_key_may_be_one_file(void **state)
{
    struct fixture *f = *state;
    struct credential_files files = {.role = TLS_SERVER};
    struct credentials *credentials;
    struct diag diag = {0};
    char text[8192];
    size_t length = 0;
    const char *const parts[] = {f->server.key, f->server.certificate};

    for (unsigned i = 0; i < 2; i++) {
        FILE *file = fopen(parts[i], "r");

        length += fread(text + length, 1, sizeof(text) / 2 - 1, file);
        (void)fclose(file);
    }
    text[length] = '\0';
    files.certificate = files.key = test_folder_write(&f->folder, "both.pem", text);
    assert_int_equal(credentials_read(&files, &credentials, &diag), 0);
    assert_true(credentials_expiry(credentials) > time(NULL) + 3000);
    assert_true(credentials_expiry(credentials) < time(NULL) + 3700);
    credentials_freep(&credentials);
}

/* --- handshakes ------------------------------------------------------------------------------- */

struct handshake {
    const char *client_ca; /* NULL: the server asks for no certificate */
    const char *names[2];  /* that it allows */
    const struct test_identity *client;
    const char *server_name;
};

static struct credentials *read_server(const struct fixture *f, const struct handshake *handshake)
{
    const char *names[2] = {handshake->names[0], handshake->names[1]};
    const struct credential_files files = {
        .role = TLS_SERVER,
        .certificate = f->server.certificate,
        .key = f->server.key,
        .trusted = handshake->client_ca,
        .client_names = names,
        .client_name_count = (names[0] ? 1u : 0u) + (names[1] ? 1u : 0u),
    };
    struct credentials *credentials;

    assert_int_equal(credentials_read(&files, &credentials, NULL), 0);
    return credentials;
}

static struct credentials *read_client(const struct fixture *f, const struct handshake *handshake)
{
    const struct credential_files files = {
        .role = TLS_CLIENT,
        .certificate = handshake->client ? handshake->client->certificate : NULL,
        .key = handshake->client ? handshake->client->key : NULL,
        .trusted = f->ca_file,
        .server_name = handshake->server_name,
    };
    struct credentials *credentials;

    assert_int_equal(credentials_read(&files, &credentials, NULL), 0);
    return credentials;
}

/* One step; returns whether it was the last. */
static bool step(SSL *session, bool *succeeded, char why[HANDSHAKE_WHY_MAX])
{
    int r = SSL_do_handshake(session), error = SSL_get_error(session, r);

    *succeeded = r == 1;
    if (r == 1 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return r == 1;
    credentials_explain(session, why);
    return true;
}

struct outcome {
    bool server, client; /* succeeded */
    char server_why[HANDSHAKE_WHY_MAX], client_why[HANDSHAKE_WHY_MAX];
};

static struct outcome shake_hands(struct credentials *at_server, struct credentials *at_client)
{
    struct outcome outcome = {false, false, "", ""};
    bool server_ended = false, client_ended = false;
    SSL *server, *client;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    server = credentials_begin_session(at_server, pair[0]);
    client = credentials_begin_session(at_client, pair[1]);
    credentials_freep(&at_server); /* the sessions keep them */
    credentials_freep(&at_client);
    for (unsigned i = 0; i < 100 && !(server_ended && client_ended); i++) {
        if (!client_ended)
            client_ended = step(client, &outcome.client, outcome.client_why);
        if (!server_ended)
            server_ended = step(server, &outcome.server, outcome.server_why);
        if (server_ended && !outcome.server)
            (void)shutdown(pair[0], SHUT_WR); /* what a server does then */
        if (client_ended && !outcome.client)
            (void)shutdown(pair[1], SHUT_WR);
    }
    if (outcome.server) {
        assert_true(credentials_speaks_h2(server));
        assert_true(SSL_version(server) >= TLS1_2_VERSION);
        assert_false(SSL_session_reused(server));
    }
    credentials_end_session(server);
    credentials_end_session(client);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return outcome;
}

static void clients_are_let_in_by_their_certificates(void **state)
{
    struct fixture *f = *state;
    const struct test_identity nameless =
        test_identity_make(&f->folder, "nameless", &f->ca, NULL, 0);
    const struct test_identity foreign =
        test_identity_make(&f->folder, "foreign", &f->other_ca, "URI:spiffe://a/ns/x/sa/y", 0);
    const struct {
        struct handshake handshake;
        const char *why; /* NULL: let in */
    } ROWS[] = {
        {{.client_ca = NULL}, NULL},
        {{.client_ca = NULL, .client = &f->client}, NULL},
        {{.client_ca = f->ca_file, .client = &f->client}, NULL},
        {{.client_ca = f->ca_file, .names = {"spiffe://a/ns/x/sa/y"}, .client = &f->client}, NULL},
        {{.client_ca = f->ca_file, .names = {"spiffe://a/ns/x/*"}, .client = &f->client}, NULL},
        {{.client_ca = f->ca_file, .names = {"no", "envoy.test"}, .client = &f->client}, NULL},
        {{.client_ca = f->ca_file, .names = {"no"}, .client = &f->client}, "has no allowed name"},
        {{.client_ca = f->ca_file, .names = {"client"}, .client = &f->client},
         "has no allowed name"}, /* its common name is nothing */
        {{.client_ca = f->ca_file, .names = {"nameless"}, .client = &nameless},
         "no URI and no DNS name"},
        {{.client_ca = f->ca_file, .client = &nameless}, NULL},
        {{.client_ca = f->ca_file}, "it has shown no certificate"},
        {{.client_ca = f->ca_file, .client = &foreign}, "unable to get local issuer certificate"},
        {{.client_ca = f->other_ca_file, .client = &f->client},
         "unable to get local issuer certificate"},
        {{.client_ca = f->other_ca_file, .names = {"spiffe://a/ns/x/*"}, .client = &foreign}, NULL},
    };

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct outcome outcome =
            shake_hands(read_server(f, &ROWS[i].handshake), read_client(f, &ROWS[i].handshake));

        assert_int_equal(outcome.server, ROWS[i].why == NULL);
        if (ROWS[i].why)
            assert_non_null(strstr(outcome.server_why, ROWS[i].why));
    }
}

static void a_client_looks_at_the_servers_name(void **state)
{
    struct fixture *f = *state;
    const struct {
        const char *name;
        const char *why;
    } ROWS[] = {
        {"synauthz.test", NULL},
        {"127.0.0.1", NULL},
        {"other.test", "hostname mismatch"},
        {"127.0.0.2", "IP address mismatch"},
        {"::1", "IP address mismatch"},
    };

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct handshake handshake = {.server_name = ROWS[i].name};
        const struct outcome outcome =
            shake_hands(read_server(f, &handshake), read_client(f, &handshake));

        assert_int_equal(outcome.client, ROWS[i].why == NULL);
        if (ROWS[i].why) {
            assert_non_null(strstr(outcome.client_why, ROWS[i].why));
            assert_non_null(strstr(outcome.server_why, "it says `"));
        }
    }
}

/* A client of the library's making, with less than what we ask for. */
static const char *refusal_of(const struct fixture *f, void (*weaken)(SSL *session),
                              char why[HANDSHAKE_WHY_MAX])
{
    const struct handshake handshake = {.client_ca = NULL};
    struct credentials *credentials = read_server(f, &handshake);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *client = SSL_new(context), *server;
    bool succeeded = false, ended = false;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    server = credentials_begin_session(credentials, pair[0]);
    SSL_set_connect_state(client);
    (void)SSL_set_fd(client, pair[1]);
    weaken(client);
    why[0] = '\0';
    for (unsigned i = 0; i < 100 && !ended; i++) {
        (void)SSL_do_handshake(client);
        ended = step(server, &succeeded, why);
    }
    if (succeeded && !credentials_speaks_h2(server))
        (void)snprintf(why, HANDSHAKE_WHY_MAX, "no h2");
    credentials_end_session(server);
    credentials_freep(&credentials);
    SSL_free(client);
    SSL_CTX_free(context);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return why;
}

static void offer_http1(SSL *session)
{
    (void)SSL_set_alpn_protos(session, (const unsigned char *)"\x08http/1.1", 9);
}

static void offer_nothing(SSL *session)
{
    (void)session;
}

static void offer_old_tls(SSL *session)
{
    (void)SSL_set_alpn_protos(session, (const unsigned char *)"\x02h2", 3);
    SSL_set_security_level(session, 0);
    (void)SSL_set_min_proto_version(session, TLS1_VERSION);
    (void)SSL_set_max_proto_version(session, TLS1_1_VERSION);
}

static void offer_old_ciphers(SSL *session)
{
    (void)SSL_set_alpn_protos(session, (const unsigned char *)"\x02h2", 3);
    (void)SSL_set_max_proto_version(session, TLS1_2_VERSION);
    (void)SSL_set_cipher_list(session, "AES128-SHA:ECDHE-ECDSA-AES128-SHA");
}

static void offer_tls12(SSL *session)
{
    (void)SSL_set_alpn_protos(session, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    (void)SSL_set_max_proto_version(session, TLS1_2_VERSION);
}

static void clients_that_offer_less_are_refused(void **state)
{
    static const struct {
        void (*weaken)(SSL *session);
        const char *why;
    } ROWS[] = {
        {offer_http1, "it does not speak HTTP/2"},
        {offer_nothing, "no h2"},
        {offer_old_tls, "unsupported protocol"},
        {offer_old_ciphers, "no shared cipher"},
        {offer_tls12, ""},
    };
    char why[HANDSHAKE_WHY_MAX];

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        (void)refusal_of(*state, ROWS[i].weaken, why);
        if (ROWS[i].why[0])
            assert_non_null(strstr(why, ROWS[i].why));
        else
            assert_string_equal(why, "");
    }
}

#define CREDENTIALS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CREDENTIALS_TEST(what_is_wrong_with_a_file_is_said),
        CREDENTIALS_TEST(a_key_with_a_passphrase_is_refused),
        CREDENTIALS_TEST(a_broken_certificate_behind_a_good_one_is_not_passed_over),
        CREDENTIALS_TEST(certificate_and_key_may_be_one_file),
        CREDENTIALS_TEST(clients_are_let_in_by_their_certificates),
        CREDENTIALS_TEST(a_client_looks_at_the_servers_name),
        CREDENTIALS_TEST(clients_that_offer_less_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
