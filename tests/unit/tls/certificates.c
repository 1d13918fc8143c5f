/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

#include "test_certificates.h"

struct fixture {
    struct test_folder folder;
    struct test_issuer ca;
    struct test_identity first, second;
    struct credential_files files; /* links, as Kubernetes makes them */
    struct certificates *certificates;
};

static void point_to(const struct fixture *f, const struct test_identity *identity)
{
    (void)unlink(f->files.certificate);
    (void)unlink(f->files.key);
    assert_int_equal(symlink(identity->certificate, f->files.certificate), 0);
    assert_int_equal(symlink(identity->key, f->files.key), 0);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    test_folder_make(&f->folder);
    f->ca = test_issuer_make("ca");
    f->first = test_identity_make(&f->folder, "first", &f->ca, "DNS:a.test", 0);
    f->second = test_identity_make(&f->folder, "second", &f->ca, "DNS:a.test", -600);
    f->files = (struct credential_files){
        .role = TLS_SERVER,
        .certificate = test_folder_file(&f->folder, "tls.pem"),
        .key = test_folder_file(&f->folder, "tls.key"),
        .trusted = test_write_issuer(&f->folder, "ca.pem", &f->ca),
    };
    point_to(f, &f->first);
    assert_int_equal(certificates_open(&f->files, &f->certificates, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    certificates_freep(&f->certificates);
    test_folder_remove(&f->folder);
    test_issuer_free(&f->ca);
    free(f);
    return 0;
}

/* The first ends ten minutes after the second. */
static bool first_is_live(const struct fixture *f)
{
    return certificates_expiry(f->certificates) > time(NULL) + 3300;
}

static void a_change_of_links_is_seen_once_it_has_settled(void **state)
{
    struct fixture *f = *state;

    assert_false(certificates_have_changed(f->certificates));
    point_to(f, &f->second);
    assert_false(certificates_have_changed(f->certificates)); /* perhaps it still goes on */
    assert_true(certificates_have_changed(f->certificates));
    assert_true(certificates_have_changed(f->certificates)); /* until it is read */
    assert_true(first_is_live(f));
    assert_int_equal(certificates_read_again(f->certificates, NULL), 0);
    assert_false(first_is_live(f));
    assert_false(certificates_have_changed(f->certificates));
}

static void what_is_broken_leaves_the_last_good_ones_and_is_tried_once(void **state)
{
    struct fixture *f = *state;
    const struct test_identity halves = {f->second.certificate, f->first.key};
    struct diag diag = {0};
    int pair[2];
    struct ssl_st *session;

    point_to(f, &halves);
    assert_int_equal(certificates_read_again(f->certificates, &diag), -EINVAL);
    assert_non_null(strstr(diag.text, "does not belong"));
    assert_true(first_is_live(f));
    assert_false(certificates_have_changed(f->certificates));
    assert_false(certificates_have_changed(f->certificates));

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    session = certificates_begin_session(f->certificates, pair[0]);
    assert_non_null(session); /* it works as before */

    point_to(f, &f->second);
    assert_false(certificates_have_changed(f->certificates));
    assert_true(certificates_have_changed(f->certificates));
    assert_int_equal(certificates_read_again(f->certificates, NULL), 0);
    assert_false(first_is_live(f));
    credentials_end_session(session); /* of credentials that nobody else has any more */
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void files_that_have_gone_change_nothing(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->files.key);
    assert_false(certificates_have_changed(f->certificates));
    assert_true(certificates_have_changed(f->certificates));
    assert_true(certificates_read_again(f->certificates, NULL) < 0);
    assert_true(first_is_live(f));
    assert_false(certificates_have_changed(f->certificates));
}

static void other_files_are_followed_even_when_they_are_bad(void **state)
{
    struct fixture *f = *state;
    struct credential_files others = f->files;

    others.certificate = f->second.certificate;
    others.key = test_folder_write(&f->folder, "other.key", "not yet\n");
    assert_true(certificates_move(f->certificates, &others, NULL) < 0);
    assert_true(first_is_live(f));
    (void)unlink(others.key);
    assert_int_equal(symlink(f->second.key, others.key), 0);
    (void)certificates_have_changed(f->certificates);
    assert_true(certificates_have_changed(f->certificates));
    assert_int_equal(certificates_read_again(f->certificates, NULL), 0);
    assert_false(first_is_live(f));
}

static void names_are_copied(void **state)
{
    struct fixture *f = *state;
    char text[] = "spiffe://a/*";
    const char *name = text;
    struct credential_files named = f->files;

    named.client_names = &name;
    named.client_name_count = 1;
    assert_int_equal(certificates_move(f->certificates, &named, NULL), 0);
    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(certificates_read_again(f->certificates, NULL), 0);
}

#define CERTIFICATES_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CERTIFICATES_TEST(a_change_of_links_is_seen_once_it_has_settled),
        CERTIFICATES_TEST(what_is_broken_leaves_the_last_good_ones_and_is_tried_once),
        CERTIFICATES_TEST(files_that_have_gone_change_nothing),
        CERTIFICATES_TEST(other_files_are_followed_even_when_they_are_bad),
        CERTIFICATES_TEST(names_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
