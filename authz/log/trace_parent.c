/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_parent.h"

/* version "-" trace-id "-" parent-id "-" trace-flags */
enum {
    TRACE_AT = 3,
    TRACE_DIGITS = 32,
    SPAN_AT = TRACE_AT + TRACE_DIGITS + 1,
    SPAN_DIGITS = 16,
    FLAGS_AT = SPAN_AT + SPAN_DIGITS + 1,
    FLAGS_DIGITS = 2,
    LENGTH = FLAGS_AT + FLAGS_DIGITS,
};

static bool is_hex(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!char_is_digit(text.ptr[i]) && !(text.ptr[i] >= 'a' && text.ptr[i] <= 'f'))
            return false;
    return true;
}

static bool is_zero(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '0')
            return false;
    return true;
}

/* Version 00 has nothing behind the flags; what later ones have there begins with a dash. */
static bool has_length_of_version(struct str header)
{
    if (header.len == LENGTH)
        return true;
    return !str_has_prefix(header, STR("00")) && header.ptr[LENGTH] == '-';
}

bool trace_parent_parse(struct str header, struct trace_parent *ret_parent)
{
    const char *text = header.ptr;
    struct trace_parent parent;

    if (header.len < LENGTH || !has_length_of_version(header) || text[TRACE_AT - 1] != '-' ||
        text[SPAN_AT - 1] != '-' || text[FLAGS_AT - 1] != '-')
        return false;
    parent.trace_id = (struct str){text + TRACE_AT, TRACE_DIGITS};
    parent.span_id = (struct str){text + SPAN_AT, SPAN_DIGITS};
    parent.flags = (struct str){text + FLAGS_AT, FLAGS_DIGITS};
    if (!is_hex((struct str){text, 2}) || str_has_prefix(header, STR("ff")) ||
        !is_hex(parent.trace_id) || is_zero(parent.trace_id) || !is_hex(parent.span_id) ||
        is_zero(parent.span_id) || !is_hex(parent.flags))
        return false;
    *ret_parent = parent;
    return true;
}
