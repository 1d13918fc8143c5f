/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed bytes.  There is no C library in the module. */
#ifndef FILTER_TEXT_H
#define FILTER_TEXT_H

#include <stdbool.h>
#include <stdint.h>

struct text {
    const char *ptr;
    uint32_t len;
};

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline bool text_eq(struct text a, struct text b)
{
    if (a.len != b.len)
        return false;
    for (uint32_t i = 0; i < a.len; i++)
        if (a.ptr[i] != b.ptr[i])
            return false;
    return true;
}

static inline struct text text_trim(struct text text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text.ptr++;
        text.len--;
    }
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t' ||
                        text.ptr[text.len - 1] == '\r'))
        text.len--;
    return text;
}

/* Cuts off what stands before the first `end`, and `end`; all of it when there is none. */
static inline struct text text_take(struct text *rest, char end)
{
    struct text taken = {rest->ptr, 0};

    while (taken.len < rest->len && rest->ptr[taken.len] != end)
        taken.len++;
    rest->ptr += taken.len + (taken.len < rest->len);
    rest->len -= taken.len + (taken.len < rest->len);
    return taken;
}

/* May it be the value of a header? */
static inline bool text_is_printable(struct text text)
{
    for (uint32_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] > '~')
            return false;
    return text.len > 0;
}

#endif
