/* SPDX-License-Identifier: Apache-2.0 */
#include "str.h"

#include <stdint.h>
#include <stdlib.h>

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (char_lower(a.ptr[i]) != char_lower(b.ptr[i]))
            return false;
    return true;
}

bool str_contains(struct str s, struct str needle)
{
    if (needle.len == 0)
        return true;
    if (s.len < needle.len)
        return false;
    return memmem(s.ptr, s.len, needle.ptr, needle.len) != NULL;
}

ptrdiff_t str_find_char(struct str s, char c)
{
    const char *found = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return found ? found - s.ptr : -1;
}

bool str_next_field(struct str *rest, char separator, struct str *ret_field)
{
    ptrdiff_t end;

    if (!rest->ptr)
        return false;
    end = str_find_char(*rest, separator);
    if (end < 0) {
        *ret_field = *rest;
        *rest = (struct str){NULL, 0};
    } else {
        *ret_field = (struct str){rest->ptr, (size_t)end};
        *rest = (struct str){rest->ptr + end + 1, rest->len - (size_t)end - 1};
    }
    return true;
}

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

enum { DISTANCE_MAX_LEN = 64 };

size_t str_distance(struct str a, struct str b)
{
    size_t rows[3][DISTANCE_MAX_LEN + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];

    if (a.len > DISTANCE_MAX_LEN || b.len > DISTANCE_MAX_LEN)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *oldest = before;

        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t changed = a.ptr[i - 1] != b.ptr[j - 1];

            now[j] = min_of(min_of(last[j] + 1, now[j - 1] + 1), last[j - 1] + changed);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                now[j] = min_of(now[j], before[j - 2] + 1);
        }
        before = last;
        last = now;
        now = oldest;
    }
    return last[b.len];
}

char *str_dup(struct str s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}
