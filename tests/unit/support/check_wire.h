/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a CheckRequest as Envoy writes it, and a CheckResponse to read. */
#ifndef CHECK_WIRE_H
#define CHECK_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "check_response.pb-c.h"
#include "pbwriter.h"
#include "request.h"

/* NULL and 0: left out. */
struct check_wire {
    const char *source, *destination;
    unsigned source_port, destination_port;
    bool source_is_pipe, source_is_internal;
    bool has_http;
    const char *method, *path, *protocol;
    struct str host;
    const struct str (*headers)[2];
    size_t header_count;
    bool has_raw_headers;              /* encode_raw_headers: a HeaderMap with raw values */
    const struct str (*extensions)[2]; /* context_extensions */
    size_t extension_count;
};

static inline void check_wire_put_extensions(struct pbwriter *writer,
                                             const struct check_wire *check)
{
    for (size_t i = check->extension_count; i > 0; i--) {
        size_t entry = pb_open(writer);

        pb_put_bytes(writer, 2, check->extensions[i - 1][1]);
        pb_put_bytes(writer, 1, check->extensions[i - 1][0]);
        pb_close(writer, 10, entry);
    }
}

static inline void check_wire_put_peer(struct pbwriter *writer, unsigned number,
                                       const char *address, unsigned port)
{
    size_t peer = pb_open(writer), address_mark, socket;

    if (!address)
        return;
    address_mark = pb_open(writer);
    socket = pb_open(writer);
    if (port)
        pb_put_uint(writer, 3, port);
    pb_put_bytes(writer, 2, str_from(address));
    pb_close(writer, 1, socket);
    pb_close(writer, 1, address_mark);
    pb_close(writer, number, peer);
}

/* A peer whose Address holds another kind than a socket address: `kind` is the number of the field.
 */
static inline void check_wire_put_other_peer(struct pbwriter *writer, unsigned number,
                                             unsigned kind)
{
    size_t peer = pb_open(writer), address;

    address = pb_open(writer);
    pb_put_bytes(writer, kind, STR(""));
    pb_close(writer, 1, address);
    pb_close(writer, number, peer);
}

static inline void check_wire_put_headers(struct pbwriter *writer, const struct check_wire *check)
{
    size_t map = pb_open(writer);

    for (size_t i = check->header_count; i > 0; i--) {
        size_t entry = pb_open(writer);

        pb_put_bytes(writer, check->has_raw_headers ? 3 : 2, check->headers[i - 1][1]);
        pb_put_bytes(writer, 1, check->headers[i - 1][0]);
        pb_close(writer, check->has_raw_headers ? 1 : 3, entry);
    }
    if (check->has_raw_headers)
        pb_close(writer, 13, map);
}

static inline void check_wire_put_http(struct pbwriter *writer, const struct check_wire *check)
{
    size_t request = pb_open(writer), http = request;

    if (check->has_raw_headers)
        check_wire_put_headers(writer, check);
    if (check->protocol)
        pb_put_bytes(writer, 10, str_from(check->protocol));
    if (check->host.ptr)
        pb_put_bytes(writer, 5, check->host);
    if (check->path)
        pb_put_bytes(writer, 4, str_from(check->path));
    if (!check->has_raw_headers)
        check_wire_put_headers(writer, check);
    if (check->method)
        pb_put_bytes(writer, 2, str_from(check->method));
    pb_close(writer, 2, http);
    pb_close(writer, 4, request);
}

/* The bytes lie in `buffer`. */
static inline struct str check_wire_write(const struct check_wire *check, char *buffer, size_t size)
{
    struct pbwriter writer;
    size_t attributes;

    pb_init(&writer, buffer, size);
    attributes = pb_open(&writer);
    check_wire_put_extensions(&writer, check);
    if (check->has_http)
        check_wire_put_http(&writer, check);
    check_wire_put_peer(&writer, 2, check->destination, check->destination_port);
    if (check->source_is_pipe || check->source_is_internal)
        check_wire_put_other_peer(&writer, 1, check->source_is_pipe ? 2 : 3);
    else
        check_wire_put_peer(&writer, 1, check->source, check->source_port);
    pb_close(&writer, 1, attributes);
    return pb_result(&writer);
}

/* A message as it comes over a stream that says nothing, within the default limits. */
static inline struct request_wire check_wire_of(struct str message)
{
    return (struct request_wire){
        .message = message,
        .limits = {REQUEST_BYTES_MAX, REQUEST_HEADERS_MAX},
    };
}

typedef Envoy__Service__Auth__V3__CheckResponse check_response;
typedef Envoy__Service__Auth__V3__Struct check_struct;
typedef Envoy__Service__Auth__V3__HeaderValueOption check_header_option;

/* To be freed with check_response_freep; NULL when the bytes are no CheckResponse. */
static inline check_response *check_response_read(struct str bytes)
{
    return envoy__service__auth__v3__check_response__unpack(NULL, bytes.len,
                                                            (const uint8_t *)bytes.ptr);
}

static inline void check_response_freep(check_response **response)
{
    if (*response)
        envoy__service__auth__v3__check_response__free_unpacked(*response, NULL);
}

/* The text of a key, "" when it is there without text, NULL when it is not there. */
static inline const char *check_struct_text(const check_struct *fields, const char *key)
{
    for (size_t i = 0; fields && i < fields->n_fields; i++)
        if (strcmp(fields->fields[i]->key, key) == 0)
            return fields->fields[i]->value->kind_case ==
                           ENVOY__SERVICE__AUTH__V3__VALUE__KIND_STRING_VALUE
                       ? fields->fields[i]->value->string_value
                       : "";
    return NULL;
}

static inline const check_struct *check_struct_nested(const check_struct *fields, const char *key)
{
    for (size_t i = 0; fields && i < fields->n_fields; i++)
        if (strcmp(fields->fields[i]->key, key) == 0 &&
            fields->fields[i]->value->kind_case ==
                ENVOY__SERVICE__AUTH__V3__VALUE__KIND_STRUCT_VALUE)
            return fields->fields[i]->value->struct_value;
    return NULL;
}

/* The value that a list of header options sets, NULL when it does not. */
static inline const char *check_header_value(check_header_option *const *options, size_t count,
                                             const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i]->header->key, name) == 0)
            return options[i]->header->value;
    return NULL;
}

static inline size_t check_removals(const check_response *response, const char *name)
{
    size_t found = 0;

    for (size_t i = 0; i < response->ok_response->n_headers_to_remove; i++)
        found += strcmp(response->ok_response->headers_to_remove[i], name) == 0;
    return found;
}

#endif
