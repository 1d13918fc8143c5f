/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes: a pointer and a length, not NUL-terminated, owned by somebody else.
 *
 * Everything that came over a wire or out of a file travels as `struct str`.  {NULL, 0} is the
 * empty string.  Letter case means ASCII only. */
#ifndef STR_H
#define STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

/* Of a string literal, at compile time. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }

/* For printf: printf("%" PRIstr, STR_ARG(s)).  Longer than INT_MAX bytes is cut. */
#define PRIstr     ".*s"
#define STR_ARG(s) str_int_len(s), ((s).ptr ? (s).ptr : "")

static inline int str_int_len(struct str s)
{
    return s.len > 0x7fffffff ? 0x7fffffff : (int)s.len;
}

static inline struct str str_from(const char *cstr)
{
    return (struct str){cstr, cstr ? strlen(cstr) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_has_prefix(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

static inline bool str_has_suffix(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

static inline char char_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The part of `s` from `offset` on; empty when `offset` is beyond the end. */
static inline struct str str_from_offset(struct str s, size_t offset)
{
    if (offset >= s.len)
        return (struct str){s.ptr ? s.ptr + s.len : NULL, 0};
    return (struct str){s.ptr + offset, s.len - offset};
}

bool str_eq_nocase(struct str a, struct str b);
bool str_contains(struct str s, struct str needle);

/* Offset of the first `c`, or -1. */
ptrdiff_t str_find_char(struct str s, char c);

/* Takes what precedes the first `separator` off the front of `*rest`, and the separator with it;
 * without one takes all.  Returns false once `*rest` was used up: the loop
 *     while (str_next_field(&rest, ',', &field))
 * sees "a,,b" as three fields, "a," as two, and "" as one empty field; to tell "used up" from
 * "empty", a used-up rest has ptr NULL. */
bool str_next_field(struct str *rest, char separator, struct str *ret_field);

/* Edit distance (insert, delete, replace, swap of neighbours), for "did you mean".  Texts longer
 * than 64 bytes count as infinitely far apart (returns SIZE_MAX). */
size_t str_distance(struct str a, struct str b);

/* Heap copy with a NUL at the end, or NULL without memory. */
char *str_dup(struct str s);

#endif
