/* SPDX-License-Identifier: Apache-2.0 */
#include "request_pieces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pbreader.h"
#include "pbwriter.h"

enum { BODY_BYTES = 100000, MESSAGE_MAX = 4 * BODY_BYTES, PIECES_MAX = MESSAGE_MAX };
enum { BODY = 11, RAW_BODY = 12 };

struct fixture {
    char message[MESSAGE_MAX], body[BODY_BYTES];
    struct str pieces[PIECES_MAX];
    struct arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    memset(f->body, 'b', sizeof(f->body));
    return arena_init(&f->arena, MESSAGE_MAX);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_done(&f->arena);
    free(f);
    return 0;
}

/* What is in a message, beside a method, a host and an extension. */
struct made {
    size_t body, raw_body; /* bytes */
    unsigned requests;     /* Envoy sends one */
};

/* The writer goes from the end to the beginning. */
static struct str make(struct fixture *f, const struct made *made)
{
    struct pbwriter writer;
    size_t attributes;

    pb_init(&writer, f->message, sizeof(f->message));
    attributes = pb_open(&writer);

    pb_put_bytes(&writer, 10, STR("an extension"));
    for (unsigned i = 0; i < made->requests; i++) {
        size_t request = pb_open(&writer), http = pb_open(&writer);

        pb_put_bytes(&writer, 13, STR("behind"));
        if (made->raw_body)
            pb_put_bytes(&writer, RAW_BODY, (struct str){f->body, made->raw_body});
        if (made->body)
            pb_put_bytes(&writer, BODY, (struct str){f->body, made->body});
        pb_put_bytes(&writer, 5, STR("host.test"));
        pb_put_uint(&writer, 9, 1234567);
        pb_put_bytes(&writer, 2, STR("POST"));
        pb_close(&writer, 2, http);
        pb_close(&writer, 4, request);
    }
    pb_close(&writer, 1, attributes);
    return pb_result(&writer);
}

static size_t cut(struct fixture *f, struct str message, size_t size)
{
    size_t count = 0;

    for (size_t at = 0; at < message.len; at += size) {
        size_t rest = message.len - at;

        f->pieces[count++] = (struct str){message.ptr + at, rest < size ? rest : size};
    }
    return count;
}

/* Are the fields of two messages the same, but for bodies, which the second one has empty?  `depth`
 * says how far from CheckRequest they are on the way to http.  What is no protobuf must be none in
 * the same place.  Returns the bytes of the bodies, or -1. */
static long difference(struct str before, struct str after, int depth)
{
    static const uint32_t PATH[] = {1, 4, 2};
    long sum = 0;

    for (;;) {
        struct pb_field one, other;
        int r = pb_next_field(&before, &one);

        if (pb_next_field(&after, &other) != r)
            return -1;
        if (r <= 0)
            return sum;
        if (one.number != other.number || one.is_bytes != other.is_bytes ||
            (!one.is_bytes && one.value != other.value))
            return -1;
        if (!one.is_bytes)
            continue;
        if (depth < 3 && one.number == PATH[depth]) {
            long inner = difference(one.bytes, other.bytes, depth + 1);

            if (inner < 0)
                return -1;
            sum += inner;
        } else if (depth == 3 && (one.number == BODY || one.number == RAW_BODY) &&
                   other.bytes.len == 0) {
            sum += (long)one.bytes.len;
        } else if (!str_eq(one.bytes, other.bytes)) {
            return -1;
        }
    }
}

static void bodies_are_left_out_and_nothing_else(void **state)
{
    static const struct made ROWS[] = {
        {.requests = 1, .body = BODY_BYTES},
        {.requests = 1, .raw_body = BODY_BYTES},
        {.requests = 1, .body = BODY_BYTES, .raw_body = 1},
        {.requests = 2, .body = BODY_BYTES - 1},
        {.requests = 1, .body = 1, .raw_body = BODY_BYTES},
    };
    static const size_t SIZES[] = {1, 2, 3, 7, 100, 4096, 8192, 65536, MESSAGE_MAX};
    struct fixture *f = *state;

    for (size_t row = 0; row < sizeof(ROWS) / sizeof(ROWS[0]); row++) {
        struct str message = make(f, &ROWS[row]);

        for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
            const long bodies = (long)((ROWS[row].body + ROWS[row].raw_body) * ROWS[row].requests);
            struct str joined;

            arena_reset(&f->arena);
            assert_true(
                request_pieces_join(f->pieces, cut(f, message, SIZES[i]), &f->arena, &joined));
            assert_int_equal(difference(message, joined, 0), bodies);
            assert_int_equal(joined.len, message.len - (size_t)bodies);
        }
    }
}

/* More bodies than are looked for: what is copied is right all the same. */
static void bodies_beyond_the_first_few_are_copied(void **state)
{
    const struct made made = {.requests = 3, .body = BODY_BYTES - 1, .raw_body = 0};
    struct fixture *f = *state;
    struct str message = make(f, &made), joined;

    assert_true(request_pieces_join(f->pieces, cut(f, message, 5000), &f->arena, &joined));
    assert_int_equal(difference(message, joined, 0), 2 * (BODY_BYTES - 1));
}

static void a_small_message_is_copied_whole(void **state)
{
    const struct made made = {.requests = 1, .body = 1000};
    struct fixture *f = *state;
    struct str message = make(f, &made), joined;

    assert_true(request_pieces_join(f->pieces, cut(f, message, 10), &f->arena, &joined));
    assert_true(str_eq(joined, message));
}

static void an_arena_too_small_is_said(void **state)
{
    const struct made made = {.requests = 1, .body = BODY_BYTES};
    struct fixture *f = *state;
    struct str message = make(f, &made), joined;
    size_t count = cut(f, message, 1000);

    f->arena.cap = message.len - BODY_BYTES - 1;
    assert_false(request_pieces_join(f->pieces, count, &f->arena, &joined));
    arena_reset(&f->arena);
    f->arena.cap++;
    assert_true(request_pieces_join(f->pieces, count, &f->arena, &joined));
}

/* Whatever the bytes are: what a decoder finds before and after is the same. */
static void damaged_messages_are_as_readable_as_before(void **state)
{
    const struct made made = {.requests = 1, .body = BODY_BYTES, .raw_body = 5};
    struct fixture *f = *state;
    unsigned changed = 0;

    srand(1);
    for (int i = 0; i < 3000; i++) {
        struct str message = make(f, &made), joined;
        char *bytes = f->message + (message.ptr - f->message);
        /* near the ends, where the lengths and the small fields are */
        size_t at = (size_t)rand() % 60;

        bytes[i % 2 ? at : message.len - 1 - at] ^= (char)(1 << rand() % 8);
        arena_reset(&f->arena);
        if (i % 3 == 0)
            message.len -= (size_t)rand() % 100;
        assert_true(request_pieces_join(f->pieces, cut(f, message, 1 + (size_t)rand() % 9000),
                                        &f->arena, &joined));
        if (str_eq(joined, message))
            continue;
        assert_true(difference(message, joined, 0) >= 0);
        changed++;
    }
    assert_in_range(changed, 100, 2900); /* both have been seen */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bodies_are_left_out_and_nothing_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_beyond_the_first_few_are_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_small_message_is_copied_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_arena_too_small_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_messages_are_as_readable_as_before, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
