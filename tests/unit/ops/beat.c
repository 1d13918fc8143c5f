/* SPDX-License-Identifier: Apache-2.0 */
#include "beat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

static void it_ages_until_the_next_beat(void **state)
{
    struct beat beat = {0};

    (void)state;
    assert_int_equal(beat_age_ms(&beat), 0); /* never beaten */
    beat_now(&beat);
    (void)usleep(300000);
    assert_in_range(beat_age_ms(&beat), 280, 20000);
    beat_now(&beat);
    assert_in_range(beat_age_ms(&beat), 0, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_ages_until_the_next_beat)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
