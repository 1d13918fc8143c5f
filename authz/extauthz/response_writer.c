/* SPDX-License-Identifier: Apache-2.0 */
#include "response_writer.h"

enum {
    STATUS_CODE = 1,
    HEADER_OPTION_HEADER = 1,
    HEADER_OPTION_APPEND = 2,
    HEADER_KEY = 1,
    HEADER_VALUE = 2,
    STRUCT_FIELDS = 1,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
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

    for (size_t i = 0; room && i < value.len; i++) {
        char c = value.ptr[i];

        room[i] = c == '\t' || (c >= 0x20 && c <= 0x7e) ? c : '?';
    }
    pb_close(writer, HEADER_VALUE, mark);
}

void response_put_header(struct pbwriter *writer, struct str name, struct str value)
{
    size_t option = pb_open(writer), header;

    pb_put_bytes(writer, HEADER_OPTION_APPEND, STR("")); /* BoolValue{false}: present and empty */
    header = pb_open(writer);
    put_header_value(writer, header_value_trim(value));
    pb_put_text(writer, HEADER_KEY, name);
    pb_close(writer, HEADER_OPTION_HEADER, header);
    pb_close(writer, HTTP_RESPONSE_HEADERS, option);
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

void response_close_struct(struct pbwriter *writer, struct str key, size_t mark)
{
    pb_close(writer, VALUE_STRUCT, mark);
    close_entry(writer, key, mark);
}
