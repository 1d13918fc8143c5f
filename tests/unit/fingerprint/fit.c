/* SPDX-License-Identifier: Apache-2.0 */
#include "fit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "syn_text.h"

static struct signature_pattern pattern_of(const char *text)
{
    struct signature_pattern pattern;

    assert_int_equal(signature_pattern_parse(str_from(text), &pattern, NULL, NULL), 0);
    return pattern;
}

static void a_syn_fits_exactly_fuzzily_or_not(void **state)
{
    static const char SYN[] = "4:54+10:0:1460:64240,7:mss:df,id+:0";
    static const struct {
        const char *syn, *pattern;
        enum fit fit;
    } ROWS[] = {
        {SYN, "4:64:0:1460:mss*44,7:mss:df,id+:0", FIT_EXACT},
        {SYN, "6:64:0:1460:mss*44,7:mss::0", FIT_NO},
        {"6:64+0:0:1460:64240,7:mss::0", "4:64:0:1460:mss*44,7:mss::0", FIT_EXACT}, /* as p0f */
        {SYN, "4:53:0:1460:mss*44,7:mss:df,id+:0", FIT_FUZZY},
        {SYN, "4:89:0:1460:mss*44,7:mss:df,id+:0", FIT_EXACT},
        {SYN, "4:90:0:1460:mss*44,7:mss:df,id+:0", FIT_FUZZY},
        {SYN, "4:53-:00:1460:mss*44,7:mss:df,id+:0", FIT_NO},
        {SYN, "4:255-:00:1460:mss*44,7:mss:df,id+:0", FIT_EXACT},
        {"4:64+0:0:1460:64240,7:mss::0", "4:64:0:1460:mss*44,7:mss:df,id+:0", FIT_FUZZY},
        {"4:64+0:0:1460:64240,7:mss:id-,ecn:0", "4:64:0:1460:mss*44,7:mss:df,id+:0", FIT_FUZZY},
        {"4:64+0:0:1460:64240,7:mss:df,id+:0", "4:64:0:1460:mss*44,7:mss:df,id+,ecn:0", FIT_NO},
        {"4:64+0:0:1460:64240,7:mss:df,id+,seq-:0", "4:64:0:1460:mss*44,7:mss:df,id+:0", FIT_NO},
        {"6:64+0:0:1460:64240,7:mss:flow:0", "*:64:0:*:*,*:mss:df,id+:0", FIT_NO},
        {"6:64+0:0:1460:64240,7:mss::0", "*:64:0:*:*,*:mss:df,id+:0", FIT_EXACT},
        {"6:64+0:0:1460:64240,7:mss::0", "*:64:0:*:*,*:mss:0+:0", FIT_NO},
        {"4:64+0:0:0:0,0:mss::0", "4:64:0:*:%1024,*:mss::0", FIT_EXACT}, /* 0 is a multiple */
        {"4:64+0:0:0:1025,0:mss::0", "4:64:0:*:%1024,*:mss::0", FIT_NO},
        {"4:64+0:0:0:1024,0:mss::+", "4:64:0:0:1024,0:mss::0", FIT_NO},
        {"4:64+0:0:0:1024,0:mss::+", "4:64:0:0:1024,0:mss::*", FIT_EXACT},
        {"4:64+0:0:0:1024,0:mss,eol+1::0", "4:64:0:0:1024,0:mss,eol+2::0", FIT_NO},
        {"4:64+0:4:0:1024,0:mss::0", "4:64:0:0:1024,0:mss::0", FIT_NO},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct signature_pattern pattern = pattern_of(ROWS[i].pattern);
        struct syn syn = syn_from_text(ROWS[i].syn);
        struct signature signature;
        struct fit_subject subject;

        print_message("%s  %s\n", ROWS[i].syn, ROWS[i].pattern);
        signature_from_syn(&syn, &signature);
        fit_subject_from_signature(&signature, &subject);
        assert_int_equal(fit_pattern(&pattern, &subject), ROWS[i].fit);
    }
}

static void a_pattern_covers_what_it_would_match(void **state)
{
    static const struct {
        const char *earlier, *later;
        bool covers;
    } ROWS[] = {
        {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss::0", true},
        {"*:64:0:*:*,*:mss::0", "*:64:0:1460:1024,0:mss::0", true},
        {"*:64:0:1460:1024,0:mss::0", "*:64:0:*:*,*:mss::0", false},
        {"*:64:0:*:1024,*:mss::0", "*:64:0:*:*,*:mss::0", false},
        {"*:64:0:*:*,*:mss::0", "*:64:0:*:mss*4,*:mss::0", false},
        {"*:64:0:*:mss*4,*:mss::0", "*:64:0:*:mss*4,*:mss::0", true},
        {"*:64:0:*:mss*4,*:mss::0", "*:64:0:*:mtu*4,*:mss::0", false},
        {"*:64:0:*:mss*4,*:mss::0", "*:64:0:1460:5840,*:mss::0", true},
        {"*:64:0:*:mss*4,*:mss::0", "*:64:0:*:5840,*:mss::0", false},
        {"*:64:0:*:%2,*:mss::0", "*:64:0:*:1024,*:mss::0", true},
        {"*:64:0:*:%2,*:mss::0", "*:64:0:*:%2,*:mss::0", true},
        {"*:64:0:*:%2,*:mss::0", "*:64:0:*:%4,*:mss::0", false},
        {"4:64:0:*:*,*:mss::0", "6:64:0:*:*,*:mss::0", true},
        {"*:64:0:*:*,*:mss:df:0", "*:64:0:*:*,*:mss:df:0", false}, /* p0f overlooks it */
        {"4:64:0:*:*,*:mss:df:0", "4:64:0:*:*,*:mss:df:0", true},
        {"*:64:0:*:*,*:mss::*", "*:64:0:*:*,*:mss::0", true},
        {"*:64:0:*:*,*:mss::0", "*:64:0:*:*,*:mss::*", false},
        {"*:64:0:*:*,*:mss::0", "*:65:0:*:*,*:mss::0", false},
        {"*:64:0:*:*,*:mss::0", "*:30:0:*:*,*:mss::0", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct signature_pattern earlier = pattern_of(ROWS[i].earlier);
        struct signature_pattern later = pattern_of(ROWS[i].later);
        struct fit_subject subject;

        print_message("%s  %s\n", ROWS[i].earlier, ROWS[i].later);
        fit_subject_from_pattern(&later, &subject);
        assert_int_equal(fit_pattern(&earlier, &subject) == FIT_EXACT, ROWS[i].covers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_syn_fits_exactly_fuzzily_or_not),
        cmocka_unit_test(a_pattern_covers_what_it_would_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
