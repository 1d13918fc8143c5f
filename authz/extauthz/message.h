/* SPDX-License-Identifier: Apache-2.0 */
/* Read a message field by field: what the files that read a CheckRequest share.
 *
 * The depth is that of our readers: nothing in a message makes it deeper. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "pbreader.h"
#include "request.h"

/* Field numbers, by message.  Source: proto/check_request.proto. */
enum { CHECK_ATTRIBUTES = 1 };
enum {
    ATTRIBUTES_SOURCE = 1,
    ATTRIBUTES_DESTINATION = 2,
    ATTRIBUTES_REQUEST = 4,
    ATTRIBUTES_EXTENSIONS = 10,
    ATTRIBUTES_METADATA = 11,
    ATTRIBUTES_TLS_SESSION = 12,
    ATTRIBUTES_ROUTE_METADATA = 13,
};
enum { PEER_ADDRESS = 1, PEER_SERVICE = 2, PEER_LABELS = 3, PEER_PRINCIPAL = 4 };
enum { ADDRESS_SOCKET = 1, ADDRESS_PIPE = 2, ADDRESS_INTERNAL = 3 };
enum {
    SOCKET_PROTOCOL = 1,
    SOCKET_ADDRESS = 2,
    SOCKET_PORT = 3,
    SOCKET_NAMED_PORT = 4,
    SOCKET_RESOLVER = 5,
};
enum { REQUEST_HTTP = 2 };
enum {
    HTTP_METHOD = 2,
    HTTP_HEADERS = 3,
    HTTP_PATH = 4,
    HTTP_HOST = 5,
    HTTP_SCHEME = 6,
    HTTP_QUERY = 7,
    HTTP_PROTOCOL = 10,
    HTTP_HEADER_MAP = 13,
};
enum { HEADER_MAP_HEADERS = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2, ENTRY_RAW_VALUE = 3 };
enum { TLS_SESSION_SNI = 1 };

/* What to do with one field of a message; fields that it does not know it lets pass. */
typedef enum request_status (*field_reader)(const struct pb_field *field, void *context);

static inline enum request_status message_each_field(struct str message, field_reader read,
                                                     void *context)
{
    struct pb_field field;
    int r;

    while ((r = pb_next_field(&message, &field)) > 0) {
        enum request_status status = read(&field, context);

        if (status != REQUEST_OK)
            return status;
    }
    return r < 0 ? REQUEST_MALFORMED : REQUEST_OK;
}

/* Reads a field that is a message. */
static inline enum request_status message_read(const struct pb_field *field, field_reader read,
                                               void *context)
{
    return field->is_bytes ? message_each_field(field->bytes, read, context) : REQUEST_MALFORMED;
}

/* Proto3 does not tell an empty text from an absent one; both are absent. */
static inline enum request_status message_read_text(const struct pb_field *field,
                                                    struct str *ret_text)
{
    if (!field->is_bytes)
        return REQUEST_MALFORMED;
    *ret_text = field->bytes.len ? field->bytes : (struct str){NULL, 0};
    return REQUEST_OK;
}

static inline enum request_status message_read_number(const struct pb_field *field,
                                                      uint64_t *ret_number)
{
    if (field->is_bytes)
        return REQUEST_MALFORMED;
    *ret_number = field->value;
    return REQUEST_OK;
}

#endif
