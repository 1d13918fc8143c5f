/* SPDX-License-Identifier: Apache-2.0 */
/* The messages inside a CheckResponse, written back to front: in descending order of their fields.
 *
 * CheckResponse { status 1, denied_response 2, ok_response 3, dynamic_metadata 4 }
 * OkHttpResponse { headers 2, headers_to_remove 5 }   DeniedHttpResponse { status 1, headers 2,
 * body 3 } Source: ext_authz v3 API (proto/check_response.proto). */
#ifndef RESPONSE_WRITER_H
#define RESPONSE_WRITER_H

#include "pbwriter.h"

enum {
    RESPONSE_STATUS = 1,
    RESPONSE_DENIED = 2,
    RESPONSE_OK = 3,
    RESPONSE_METADATA = 4,
    DENIED_STATUS = 1,
    DENIED_BODY = 3,
    OK_HEADERS_TO_REMOVE = 5,
    HTTP_RESPONSE_HEADERS = 2, /* of both */
};

/* google.rpc.Code */
enum { RPC_OK = 0, RPC_PERMISSION_DENIED = 7 };

/* What a header's value becomes on the wire, blanks at both ends aside (RFC 9110 5.5). */
struct str header_value_trim(struct str value);

/* CheckResponse.status; present even when the code is 0: an absent one means allow by accident. */
void response_put_status(struct pbwriter *writer, unsigned code);

/* DeniedHttpResponse.status */
void response_put_http_status(struct pbwriter *writer, unsigned status);

/* A HeaderValueOption with append=false, the one form that sets a header in every version of Envoy.
 * In the value, bytes other than tab and 0x20..0x7e become '?'. */
void response_put_header(struct pbwriter *writer, struct str name, struct str value);

/* One entry of a Struct.  Between pb_open() and response_close_struct() further entries make a
 * nested one. */
void response_put_entry(struct pbwriter *writer, struct str key, struct str text);
void response_close_struct(struct pbwriter *writer, struct str key, size_t mark);

#endif
