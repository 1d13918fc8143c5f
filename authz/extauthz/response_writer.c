/* SPDX-License-Identifier: Apache-2.0 */
#include "response_writer.h"

#include "percent.h"

enum {
    STATUS_CODE = 1,
    HEADER_OPTION_HEADER = 1,
    HEADER_OPTION_APPEND = 2,
    BOOL_VALUE = 1,
    HEADER_KEY = 1,
    HEADER_VALUE = 2,
    STRUCT_FIELDS = 1,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    PARAMETER_KEY = 1,
    PARAMETER_VALUE = 2,
    VALUE_NUMBER = 2,
    VALUE_STRING = 3,
    VALUE_STRUCT = 5,
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str header_value_trim(struct str value)
{
    while (value.len && is_blank(value.ptr[value.len - 1]))
        value.len--;
    while (value.len && is_blank(value.ptr[0]))
        value = str_from_offset(value, 1);
    return value;
}

/* Code 0 is proto3's default and takes no bytes: the status is then present and empty. */
static bool is_plain(char c)
{
    return c == '\t' || (c >= 0x20 && c <= 0x7e);
}

bool header_value_is_plain(struct str value)
{
    size_t i = 0;

    while (i < value.len && is_plain(value.ptr[i]))
        i++;
    return i == value.len;
}

static void put_code(struct pbwriter *writer, uint32_t number, unsigned code)
{
    size_t mark = pb_open(writer);

    if (code)
        pb_put_uint(writer, STATUS_CODE, code);
    pb_close(writer, number, mark);
}

void response_put_status(struct pbwriter *writer, unsigned code)
{
    put_code(writer, RESPONSE_STATUS, code);
}

void response_put_http_status(struct pbwriter *writer, unsigned status)
{
    put_code(writer, DENIED_STATUS, status);
}

static void put_header_value(struct pbwriter *writer, struct str value)
{
    size_t mark = pb_open(writer);
    char *room = pb_reserve(writer, value.len);

    for (size_t i = 0; room && i < value.len; i++)
        room[i] = is_plain(value.ptr[i]) ? value.ptr[i] : '?';
    pb_close(writer, HEADER_VALUE, mark);
}

void response_put_header(struct pbwriter *writer, uint32_t number, struct str name,
                         struct str value, bool append)
{
    size_t option = pb_open(writer), mark = option;

    if (append)
        pb_put_uint(writer, BOOL_VALUE, 1);
    pb_close(writer, HEADER_OPTION_APPEND, mark); /* BoolValue{false} is present and empty */
    mark = pb_open(writer);
    put_header_value(writer, header_value_trim(value));
    pb_put_text(writer, HEADER_KEY, name);
    pb_close(writer, HEADER_OPTION_HEADER, mark);
    pb_close(writer, number, option);
}

static void put_parameter_value(struct pbwriter *writer, struct str value, bool is_underscored)
{
    size_t mark = pb_open(writer);
    char *room = pb_reserve(
        writer, is_underscored ? value.len : percent_encoded_length(value, PERCENT_KEEP_FORM));

    if (room && is_underscored)
        percent_replace(value, PERCENT_KEEP_FORM, room);
    else if (room)
        percent_encode(value, PERCENT_KEEP_FORM, room);
    pb_close(writer, PARAMETER_VALUE, mark);
}

void response_put_parameter(struct pbwriter *writer, struct str name, struct str value,
                            bool is_underscored)
{
    size_t mark = pb_open(writer);

    put_parameter_value(writer, value, is_underscored);
    pb_put_text(writer, PARAMETER_KEY, name);
    pb_close(writer, OK_QUERY_TO_SET, mark);
}

/* The rest of an entry, whose Value has been written since `mark`. */
static void close_entry(struct pbwriter *writer, struct str key, size_t mark)
{
    pb_close(writer, ENTRY_VALUE, mark);
    pb_put_text(writer, ENTRY_KEY, key);
    pb_close(writer, STRUCT_FIELDS, mark);
}

void response_put_entry(struct pbwriter *writer, struct str key, struct str text)
{
    size_t mark = pb_open(writer);

    pb_put_text(writer, VALUE_STRING, text);
    close_entry(writer, key, mark);
}

void response_put_number(struct pbwriter *writer, struct str key, double number)
{
    size_t mark = pb_open(writer);

    pb_put_double(writer, VALUE_NUMBER, number);
    close_entry(writer, key, mark);
}

void response_close_struct(struct pbwriter *writer, struct str key, size_t mark)
{
    pb_close(writer, VALUE_STRUCT, mark);
    close_entry(writer, key, mark);
}
