/* SPDX-License-Identifier: Apache-2.0 */
#include "listen_option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void a_socket_is_opened_by_its_option(void **state)
{
    struct listener listener, second;
    struct diag diag = {0};
    char spec[64], wanted[160];

    (void)state;
    (void)snprintf(spec, sizeof(spec), "unix:@synauthz-listen-option-%d", getpid());
    assert_int_equal(listen_option_open("--admin", spec, &listener, &diag), 0);
    assert_true(listen_option_open("--admin", spec, &second, &diag) < 0);
    (void)snprintf(wanted, sizeof(wanted), "--admin %s: cannot bind: Address already in use", spec);
    assert_string_equal(diag.text, wanted);
    listener_done(&listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_socket_is_opened_by_its_option)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
