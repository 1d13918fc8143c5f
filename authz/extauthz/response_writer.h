/* SPDX-License-Identifier: Apache-2.0 */
/* The messages inside a CheckResponse, written back to front: in descending order of their fields.
 *
 * CheckResponse { status 1, denied_response 2, ok_response 3, dynamic_metadata 4, error_response 5
 * } OkHttpResponse { headers 2, headers_to_remove 5, response_headers_to_add 6,
 *                  query_parameters_to_set 7, query_parameters_to_remove 8 }
 * DeniedHttpResponse { status 1, headers 2, body 3 }, of error_response, too
 * Source: ext_authz v3 API (proto/check_response.proto). */
#ifndef RESPONSE_WRITER_H
#define RESPONSE_WRITER_H

#include "pbwriter.h"

enum {
    RESPONSE_STATUS = 1,
    RESPONSE_DENIED = 2,
    RESPONSE_OK = 3,
    RESPONSE_METADATA = 4,
    RESPONSE_ERROR = 5,
    DENIED_STATUS = 1,
    DENIED_HEADERS = 2,
    DENIED_BODY = 3,
    OK_HEADERS = 2,
    OK_HEADERS_TO_REMOVE = 5,
    OK_RESPONSE_HEADERS = 6,
    OK_QUERY_TO_SET = 7,
    OK_QUERY_TO_REMOVE = 8,
};

/* google.rpc.Code */
enum {
    RPC_OK = 0,
    RPC_UNKNOWN = 2,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_UNAVAILABLE = 14,
    RPC_UNAUTHENTICATED = 16,
};

/* What a header's value becomes on the wire, blanks at both ends aside (RFC 9110 5.5). */
struct str header_value_trim(struct str value);

/* Does it hold only what response_put_header() lets through? */
bool header_value_is_plain(struct str value);

/* CheckResponse.status; present even when the code is 0: an absent one means allow by accident. */
void response_put_status(struct pbwriter *writer, unsigned code);

/* DeniedHttpResponse.status */
void response_put_http_status(struct pbwriter *writer, unsigned status);

/* A HeaderValueOption in field `number`.  It always says whether it appends: append=false is the
 * one form that sets a header in every version of Envoy, append=true extends a request header that
 * is present, and adds a line to a response.  In the value, bytes other than tab and 0x20..0x7e
 * become '?'. */
void response_put_header(struct pbwriter *writer, uint32_t number, struct str name,
                         struct str value, bool append);

/* A QueryParameter to be set; the value is percent-encoded, since Envoy writes it into the path as
 * it is.  An Envoy that is told to validate mutations (as of 1.40) takes no percent sign either,
 * and answers 500: for that one bytes that need an escape can be made underscores. */
void response_put_parameter(struct pbwriter *writer, struct str name, struct str value,
                            bool is_underscored);

/* One entry of a Struct.  Between pb_open() and response_close_struct() further entries make a
 * nested one. */
void response_put_entry(struct pbwriter *writer, struct str key, struct str text);
void response_put_number(struct pbwriter *writer, struct str key, double number);
void response_close_struct(struct pbwriter *writer, struct str key, size_t mark);

#endif
