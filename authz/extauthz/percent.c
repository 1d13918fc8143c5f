/* SPDX-License-Identifier: Apache-2.0 */
#include "percent.h"

#include <stdint.h>

static bool is_kept(char c, enum percent_kept kept)
{
    char lower = char_lower(c);

    if (char_is_digit(c) || (lower >= 'a' && lower <= 'z'))
        return true;
    if (!c)
        return false;
    return strchr(kept == PERCENT_KEEP_URI ? "-._~:/?#[]@!$&'()*+,;=%" : "*-._", c);
}

size_t percent_encoded_length(struct str text, enum percent_kept kept)
{
    size_t length = 0;

    for (size_t i = 0; i < text.len; i++)
        length += is_kept(text.ptr[i], kept) ? 1 : 3;
    return length;
}

void percent_encode(struct str text, enum percent_kept kept, char *buffer)
{
    static const char HEX[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];

        if (is_kept(text.ptr[i], kept)) {
            *buffer++ = text.ptr[i];
            continue;
        }
        *buffer++ = '%';
        *buffer++ = HEX[byte >> 4];
        *buffer++ = HEX[byte & 0xf];
    }
}

void percent_replace(struct str text, enum percent_kept kept, char *buffer)
{
    for (size_t i = 0; i < text.len; i++)
        buffer[i] = is_kept(text.ptr[i], kept) ? text.ptr[i] : '_';
}

/* -1: no hex digit. */
static int hex_value(char c)
{
    c = char_lower(c);
    if (char_is_digit(c))
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t percent_decode(struct str text, char *buffer, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (length == size)
            return SIZE_MAX;
        if (c == '%' && text.len - i > 2 && hex_value(text.ptr[i + 1]) >= 0 &&
            hex_value(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(text.ptr[i + 1]) << 4 | hex_value(text.ptr[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        buffer[length++] = c;
    }
    return length;
}
