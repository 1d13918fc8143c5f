/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void what_fits_is_aligned_and_apart(void **state)
{
    struct arena arena;
    char *first, *second;

    (void)state;
    assert_int_equal(arena_init(&arena, 256), 0);
    first = arena_alloc(&arena, 1);
    second = arena_alloc(&arena, 1);
    assert_non_null(first);
    assert_non_null(second);
    assert_int_equal((uintptr_t)first % _Alignof(max_align_t), 0);
    assert_int_equal((uintptr_t)second % _Alignof(max_align_t), 0);
    assert_true(second > first);
    assert_false(arena.exhausted);
    arena_done(&arena);
}

static void the_cap_is_hard_and_remembered_until_the_reset(void **state)
{
    struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 64), 0);
    assert_non_null(arena_alloc(&arena, 64));
    assert_null(arena_alloc(&arena, 1));
    assert_true(arena.exhausted);
    assert_non_null(arena_alloc(&arena, 0));
    assert_true(arena.exhausted);
    arena_reset(&arena);
    assert_false(arena.exhausted);
    assert_non_null(arena_alloc(&arena, 64));
    arena_done(&arena);
}

static void a_size_that_overflows_is_too_much(void **state)
{
    struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 1024), 0);
    (void)arena_alloc(&arena, 1);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 4));
    assert_true(arena.exhausted);
    arena_done(&arena);
}

static void arrays_are_zeroed_and_copies_are_copies(void **state)
{
    struct arena arena;
    char text[] = "abc";
    struct str copy;
    unsigned char *zeroes;

    (void)state;
    assert_int_equal(arena_init(&arena, 128), 0);
    memset(arena_alloc(&arena, 100), 0xff, 100);
    arena_reset(&arena);
    zeroes = arena_calloc(&arena, 10, 4);
    assert_non_null(zeroes);
    for (int i = 0; i < 40; i++)
        assert_int_equal(zeroes[i], 0);
    copy = arena_copy(&arena, str_from(text));
    text[0] = 'x';
    assert_true(str_eq(copy, STR("abc")));
    copy = arena_copy(&arena, (struct str){text, 1000});
    assert_null(copy.ptr);
    assert_int_equal(copy.len, 0);
    arena_done(&arena);
}

static void only_the_newest_piece_grows_and_only_to_the_cap(void **state)
{
    struct arena arena;
    char *first, *newest, *added;

    (void)state;
    assert_int_equal(arena_init(&arena, 256), 0);
    first = arena_alloc(&arena, 5);
    newest = arena_alloc(&arena, 5);
    assert_null(arena_extend(&arena, first, 5, 1));
    assert_null(arena_extend(&arena, newest, 4, 1));
    assert_null(arena_extend(&arena, "elsewhere", 5, 1));
    added = arena_extend(&arena, newest, 5, 100);
    assert_ptr_equal(added, newest + 5);
    memset(added, 0x55, 100);
    assert_null(arena_extend(&arena, newest, 105, 256 - 16 - 105 + 1));
    assert_false(arena.exhausted);
    assert_ptr_equal(arena_extend(&arena, newest, 105, 256 - 16 - 105), newest + 105);
    assert_null(arena_alloc(&arena, 1));
    arena_done(&arena);
}

static void every_cap_ends_in_memory_or_in_null(void **state)
{
    (void)state;
    for (size_t cap = 0; cap <= 128; cap++) {
        struct arena arena;
        size_t served = 0;

        assert_int_equal(arena_init(&arena, cap), 0);
        for (char *memory; (memory = arena_alloc(&arena, 7)); served++)
            memset(memory, 0x55, 7); /* AddressSanitizer sees a byte too many */
        assert_true(served <= cap / 7);
        assert_true(arena.exhausted);
        arena_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_aligned_and_apart),
        cmocka_unit_test(the_cap_is_hard_and_remembered_until_the_reset),
        cmocka_unit_test(a_size_that_overflows_is_too_much),
        cmocka_unit_test(arrays_are_zeroed_and_copies_are_copies),
        cmocka_unit_test(only_the_newest_piece_grows_and_only_to_the_cap),
        cmocka_unit_test(every_cap_ends_in_memory_or_in_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
