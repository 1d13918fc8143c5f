/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_tls.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* A command line, split at blanks. */
struct run {
    char *line, *argv[32];
    int argc;
    struct serve_options options;
    struct credential_files files;
    struct text_list operands;
    struct options_given given;
    struct diag diag;
};

static int read_line(struct run *run, const char *line)
{
    int r;

    *run = (struct run){.line = str_dup(str_from(line))};
    for (char *word = strtok(run->line, " "); word; word = strtok(NULL, " "))
        run->argv[run->argc++] = word;
    r = options_parse(&SERVE_OPTIONS, run->argc, run->argv, &run->options, &run->operands,
                      &run->given, &run->diag);
    return r < 0 ? r : serve_tls_files(&run->options, &run->files, &run->diag);
}

static void done(struct run *run)
{
    options_done(&SERVE_OPTIONS, &run->options);
    free(run->operands.items);
    free(run->line);
}

static void options_that_do_not_fit_say_what_to_do(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"--listen 127.0.0.1:1 --tls-cert c --tls-key k",
         "--tls-cert is for TLS, which no --listen speaks: write --listen IP:PORT,tls"},
        {"--listen unix:/a --tls-key k",
         "--tls-key is for TLS, which no --listen speaks: write --listen IP:PORT,tls"},
        {"--listen unix:/a --tls-client-ca k",
         "--tls-client-ca is for TLS, which no --listen speaks: write --listen IP:PORT,tls"},
        {"--listen unix:/a --tls-client-san x",
         "--tls-client-san is for TLS, which no --listen speaks: write --listen IP:PORT,tls"},
        {"--listen unix:/a --listen 127.0.0.1:1,tls",
         "--listen 127.0.0.1:1,tls needs a certificate: --tls-cert FILE is missing"},
        {"--listen 127.0.0.1:1,tls --tls-key k",
         "--listen 127.0.0.1:1,tls needs a certificate: --tls-cert FILE is missing"},
        {"--listen 127.0.0.1:1,tls --tls-cert c",
         "--tls-cert c needs its key: --tls-key FILE is missing (it may be the same file)"},
        {"--listen 127.0.0.1:1,tls --tls-cert c --tls-key k --tls-client-san x",
         "--tls-client-san needs --tls-client-ca FILE: names count only in certificates that "
         "somebody trusted has signed"},
        {"--listen unix:/a,tls",
         "--listen unix:/a,tls: unknown option `tls`, there are mode= and group="},
        {"--listen 127.0.0.1:1,ssl",
         "--listen 127.0.0.1:1,ssl: behind the port there may be `,tls` and nothing else"},
        {"--admin 127.0.0.1:1,tls", "--admin 127.0.0.1:1,tls: there is no TLS here, only on "
                                    "--listen: expected no `,tls`"},
        {"--tls-client-san *.test",
         "--tls-client-san *.test: a DNS name is compared as it is: expected no `*`"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_int_equal(read_line(&run, ROWS[i].line), -EINVAL);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

/* Only a configuration file can say so. */
static void an_empty_allow_list_is_not_no_allow_list(void **state)
{
    const char *nobody[1] = {NULL};
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--listen 127.0.0.1:1,tls --tls-cert c --tls-key k "
                                     "--tls-client-ca ca"),
                     0);
    assert_int_equal(run.files.client_name_count, 0);
    run.options.tls_client_san = (struct text_list){.items = nobody};
    assert_int_equal(serve_tls_files(&run.options, &run.files, &run.diag), -EINVAL);
    assert_string_equal(run.diag.text,
                        "tls-client-san: an empty list would let in whoever has a certificate of "
                        "--tls-client-ca: name somebody, or leave the key out");
    run.options.tls_client_san = (struct text_list){.items = NULL};
    done(&run);
}

static void what_is_given_is_what_is_read(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--listen [::1]:1,tls --listen unix:/a --tls-cert c "
                                     "--tls-key k --tls-client-ca ca --tls-client-san spiffe://a/* "
                                     "--tls-client-san x.test"),
                     0);
    assert_int_equal(run.files.role, TLS_SERVER);
    assert_string_equal(run.files.certificate, "c");
    assert_string_equal(run.files.key, "k");
    assert_string_equal(run.files.trusted, "ca");
    assert_int_equal(run.files.client_name_count, 2);
    assert_string_equal(run.files.client_names[1], "x.test");
    done(&run);
}

static void without_tls_there_are_no_files(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--listen unix:/a --listen 127.0.0.1:1"), 0);
    assert_null(run.files.certificate);
    done(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_that_do_not_fit_say_what_to_do),
        cmocka_unit_test(an_empty_allow_list_is_not_no_allow_list),
        cmocka_unit_test(what_is_given_is_what_is_read),
        cmocka_unit_test(without_tls_there_are_no_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
