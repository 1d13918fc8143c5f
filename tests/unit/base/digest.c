/* SPDX-License-Identifier: Apache-2.0 */
#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* FIPS 180-4's own examples */
static const char OF_NOTHING[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char OF_ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

static void it_is_sha256_in_lower_case_hex(void **state)
{
    char hex[DIGEST_HEX_SIZE];

    (void)state;
    digest_sha256_hex(&STR("abc"), 1, hex);
    assert_string_equal(hex, OF_ABC);
    digest_sha256_hex(NULL, 0, hex);
    assert_string_equal(hex, OF_NOTHING);
}

static void pieces_count_as_one(void **state)
{
    const struct str pieces[] = {STR_INIT("a"), {NULL, 0}, STR_INIT("bc")};
    char hex[DIGEST_HEX_SIZE];

    (void)state;
    digest_sha256_hex(pieces, 3, hex);
    assert_string_equal(hex, OF_ABC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_sha256_in_lower_case_hex),
        cmocka_unit_test(pieces_count_as_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
