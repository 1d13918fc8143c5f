/* SPDX-License-Identifier: Apache-2.0 */
/* DeniedHttpResponse: what a client is answered. */
#include "percent.h"
#include "reply_parts.h"

enum {
    HTTP_FOUND = 302,
    HTTP_UNAUTHORIZED = 401,
    HTTP_FORBIDDEN = 403,
    HTTP_TOO_MANY_REQUESTS = 429,
    HTTP_BAD_GATEWAY = 502,
    HTTP_UNAVAILABLE = 503,
    HTTP_GATEWAY_TIMEOUT = 504,
};

static const struct respond NO_RESPOND = {0};

static void put_header(struct reply *reply, struct str name, struct str value)
{
    value = header_value_trim(value);
    if (value.len)
        response_put_header(&reply->writer, DENIED_HEADERS, name, value, false);
}

/* Envoy first removes all headers of these names and then adds each, so lines of one name stay.
 * Its answers to gRPC clients have gRPC's type, which the one of a page must not replace: a client
 * would not read the status. */
static void put_headers(struct reply *reply, const struct respond *respond, bool is_to_grpc)
{
    for (size_t i = respond->header_count; i > 0; i--) {
        const struct respond_header *header = &respond->headers[i - 1];

        if (!is_to_grpc || !str_eq(header->name, STR("content-type")))
            put_header(reply, header->name, reply_render(reply, header->value));
    }
}

static struct str body_text(struct reply *reply, const struct respond *respond)
{
    return respond->body && !reply->is_bare ? reply_render(reply, respond->body)
                                            : (struct str){NULL, 0};
}

/* --- HTTP clients ----------------------------------------------------------------------------- */

/* Where to; what facts bring is made valid for a URI, a line break becomes %0D%0A.  {NULL, 0}: no
 * redirect, or a fact of it is absent. */
static struct str location_of(struct reply *reply, const struct respond *respond)
{
    struct str text = {NULL, 0};
    size_t length;
    char *encoded;

    if (respond->redirect)
        text = header_value_trim(reply_render(reply, respond->redirect));
    if (!text.len)
        return text;
    length = percent_encoded_length(text, PERCENT_KEEP_URI);
    if (length == text.len)
        return text;
    encoded = reply_calloc(reply, length, 1);
    if (encoded)
        percent_encode(text, PERCENT_KEEP_URI, encoded);
    return (struct str){encoded, length};
}

/* A redirect that leads nowhere is a plain denial. */
static unsigned status_of(const struct respond *respond, struct str location)
{
    if (respond->redirect && !location.len)
        return HTTP_FORBIDDEN;
    if (respond->status)
        return respond->status;
    return location.len ? HTTP_FOUND : HTTP_FORBIDDEN;
}

static void put_http_answer(struct reply *reply, const struct respond *respond)
{
    struct str location = location_of(reply, respond), body = body_text(reply, respond);

    if (body.len)
        pb_put_text(&reply->writer, DENIED_BODY, body);
    put_headers(reply, respond, false);
    put_header(reply, STR("location"), location);
    response_put_http_status(&reply->writer, status_of(respond, location));
}

/* --- gRPC clients ----------------------------------------------------------------------------- */

/* As Envoy tells a gRPC client: application/grpc, application/grpc+proto, application/grpc;... */
static bool is_grpc(struct str content_type)
{
    static const struct str GRPC = STR_INIT("application/grpc");

    if (content_type.len < GRPC.len ||
        !str_eq_nocase((struct str){content_type.ptr, GRPC.len}, GRPC))
        return false;
    return content_type.len == GRPC.len || content_type.ptr[GRPC.len] == '+' ||
           content_type.ptr[GRPC.len] == ';';
}

/* A denial is a denial: what HTTP has no gRPC status for is PERMISSION_DENIED, not the UNKNOWN that
 * Envoy would make of it, nor for 429 the UNAVAILABLE that clients take as "try again at once". */
static unsigned grpc_status_of(const struct respond *respond)
{
    if (respond->grpc_status)
        return respond->grpc_status;
    switch (respond->status) {
    case HTTP_UNAUTHORIZED:
        return RPC_UNAUTHENTICATED;
    case HTTP_TOO_MANY_REQUESTS:
        return RPC_RESOURCE_EXHAUSTED;
    case HTTP_BAD_GATEWAY:
    case HTTP_UNAVAILABLE:
    case HTTP_GATEWAY_TIMEOUT:
        return RPC_UNAVAILABLE;
    default:
        return RPC_PERMISSION_DENIED;
    }
}

static struct str first_line(struct str text)
{
    size_t length = 0;

    while (length < text.len && text.ptr[length] != '\n' && text.ptr[length] != '\r')
        length++;
    return header_value_trim((struct str){text.ptr, length});
}

static struct str grpc_message_of(struct reply *reply, const struct respond *respond)
{
    if (!respond->grpc_message)
        return first_line(body_text(reply, respond));
    return reply->is_bare ? (struct str){NULL, 0}
                          : first_line(reply_render(reply, respond->grpc_message));
}

/* "7" or "14" */
static struct str number_text(unsigned number, char buffer[2])
{
    size_t length = number < 10 ? 1 : 2;

    buffer[0] = (char)('0' + number / 10);
    buffer[length - 1] = (char)('0' + number % 10);
    return (struct str){buffer, length};
}

/* Envoy answers HTTP 200, makes the body grpc-message, and keeps a grpc-status that is there. */
static void put_grpc_answer(struct reply *reply, const struct respond *respond)
{
    struct str message = grpc_message_of(reply, respond);
    unsigned status = respond->redirect || !respond->status ? HTTP_FORBIDDEN : respond->status;
    char number[2];

    if (message.len)
        pb_put_text(&reply->writer, DENIED_BODY, message);
    put_headers(reply, respond, true);
    put_header(reply, STR("grpc-status"), number_text(grpc_status_of(respond), number));
    response_put_http_status(&reply->writer, status);
}

void reply_put_deny(struct reply *reply)
{
    const struct rule *rule = reply->decision->rule;
    const struct respond *respond = rule && rule->respond ? rule->respond : &NO_RESPOND;
    size_t mark = pb_open(&reply->writer);

    if (is_grpc(reply->request->subject.content_type))
        put_grpc_answer(reply, respond);
    else
        put_http_answer(reply, respond);
    pb_close(&reply->writer, RESPONSE_DENIED, mark);
}
