/* SPDX-License-Identifier: Apache-2.0 */
#include "http_signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

static int add(struct http_signatures *signatures, const char *text, bool generic, size_t *offset)
{
    struct diag diag = {0};
    unsigned earlier = 0;
    int r = http_signatures_add(signatures, str_from(text), generic, 1, offset, &earlier, &diag);

    assert_int_equal(r == -EINVAL, diag.text[0] != '\0');
    assert_int_equal(r == -EEXIST, earlier == 1);
    return r;
}

static void bad_ones_are_refused_where_they_go_wrong(void **state)
{
    static const struct {
        const char *text;
        int result;
        size_t offset;
    } ROWS[] = {
        {"1:Host,User-Agent::", 0, 0},
        {"*:::", 0, 0},
        {"0:?a_b-c=[x:y],:d,:Mozilla", 0, 0},
        {"2:Host::", -EINVAL, 0},
        {"1Host::", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"1:", -EINVAL, 2},
        {"1::", -EINVAL, 3},
        {"1:Host", -EINVAL, 6},
        {"1:Host::a:b", -EINVAL, 8},
        {"1:Host=x::", -EINVAL, 7},
        {"1:Host=[]::", -EINVAL, 8},
        {"1:Host=[x::", -EINVAL, 8},
        {"1:,Host::", -EINVAL, 2},
        {"1:??a::", -EINVAL, 3},
        {"1:a b::", -EINVAL, 3},
        {"1::?a:", -EINVAL, 3},
        {"1:a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a::", -EINVAL, 66},
        {"1::a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a:", -EINVAL, 67},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct http_signatures signatures = {0};
        size_t offset = 0;

        print_message("%s\n", ROWS[i].text);
        assert_int_equal(add(&signatures, ROWS[i].text, false, &offset), ROWS[i].result);
        assert_int_equal(offset, ROWS[i].offset);
        assert_int_equal(signatures.count, ROWS[i].result == 0);
        http_signatures_done(&signatures);
    }
}

static void covered_ones_are_refused_as_p0f_does(void **state)
{
    static const struct {
        const char *earlier, *later;
        bool covers;
    } ROWS[] = {
        {"1:Host::", "1:Host::", true},
        {"1:Host::", "1:Host:Via:", true},
        {"1:Host:Via:", "1:Host::", false},
        {"1:?Host::", "1:Host::", true},
        {"1:Host::", "1:?Host::", false},
        {"*:Host::", "1:Host::", true},
        {"1:Host::", "*:Host::", false},
        {"1:?A::", "1:B::", true},
        {"1:::", "1:B::", true},
        {"1:B=[x]::", "1:B=[axb]::", true},
        {"1:B=[axb]::", "1:B=[x]::", false},
        {"1:B=[x]::", "1:B::", false},
        {"1:?B::", "1:?B::", true},
        {"1:A,?B::", "1:A,B::", true},
        {"1:A,?B::", "1:B,A::", false},
        {"1:A,B::", "1:A,C,B::", true},
        {"1::B:", "1:?B:B:", true},
        {"1::B:", "1:B:B:", false},
        {"1:a::", "1:A::", false},
        {"1::A:", "1::B:", false},
        {"0:::", "1:::", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct http_signatures signatures = {0};
        size_t offset;

        print_message("%s  %s\n", ROWS[i].earlier, ROWS[i].later);
        assert_int_equal(add(&signatures, ROWS[i].earlier, false, &offset), 0);
        assert_int_equal(add(&signatures, ROWS[i].later, false, &offset),
                         ROWS[i].covers ? -EEXIST : 0);
        http_signatures_done(&signatures);
    }
}

static void generic_ones_cover_nothing(void **state)
{
    struct http_signatures signatures = {0};
    size_t offset;

    (void)state;
    for (int i = 0; i < 40; i++)
        assert_int_equal(add(&signatures, "1:Host::", true, &offset), 0);
    assert_int_equal(signatures.count, 40);
    http_signatures_done(&signatures);
    assert_int_equal(signatures.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_ones_are_refused_where_they_go_wrong),
        cmocka_unit_test(covered_ones_are_refused_as_p0f_does),
        cmocka_unit_test(generic_ones_cover_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
