/* SPDX-License-Identifier: Apache-2.0 */
#include "cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

static int freed;

static void count_freed(char **slot)
{
    if (*slot)
        freed++;
    free(*slot);
}

static char *keep_or_lose(int keep)
{
    CLEANUP(count_freed) char *memory = malloc(1);

    if (keep)
        return TAKE_PTR(memory);
    return NULL;
}

static void what_is_not_taken_is_released_at_the_end_of_its_scope(void **state)
{
    (void)state;
    freed = 0;
    assert_null(keep_or_lose(0));
    assert_int_equal(freed, 1);
}

static void what_is_taken_belongs_to_the_taker(void **state)
{
    char *kept;

    (void)state;
    freed = 0;
    kept = keep_or_lose(1);
    assert_non_null(kept);
    assert_int_equal(freed, 0);
    free(kept);
}

static void descriptors_close_unless_taken(void **state)
{
    int kept, lost;

    (void)state;
    {
        CLEANUP(closep) int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP(closep) int second = open("/dev/null", O_RDONLY | O_CLOEXEC);
        CLEANUP(closep) int none = -1;

        assert_true(first >= 0 && second >= 0 && none < 0);
        lost = first;
        kept = take_fd(&second);
        assert_int_equal(second, -1);
    }
    assert_int_equal(fcntl(lost, F_GETFD), -1);
    assert_true(fcntl(kept, F_GETFD) >= 0);
    close(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_taken_is_released_at_the_end_of_its_scope),
        cmocka_unit_test(what_is_taken_belongs_to_the_taker),
        cmocka_unit_test(descriptors_close_unless_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
