/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: what a CheckRequest says, plainly and slowly, from what protobuf-c unpacks. */
#ifndef CHECK_ORACLE_H
#define CHECK_ORACLE_H

#include <assert.h>
#include <string.h>

#include "addr.h"
#include "check_request.pb-c.h"
#include "context.h"
#include "request.h"

typedef Envoy__Service__Auth__V3__CheckRequest oracle_check;
typedef Envoy__Service__Auth__V3__AttributeContext oracle_attributes;
typedef Envoy__Service__Auth__V3__AttributeContext__HttpRequest oracle_http;
typedef Envoy__Service__Auth__V3__AttributeContext__Peer oracle_peer;
typedef Envoy__Service__Auth__V3__Metadata oracle_metadata;
typedef Envoy__Service__Auth__V3__Metadata__Fields oracle_fields;
typedef Envoy__Service__Auth__V3__Metadata__Value oracle_value;

static inline struct str oracle_str(ProtobufCBinaryData bytes)
{
    return (struct str){(const char *)bytes.data, bytes.len};
}

static inline bool oracle_same(ProtobufCBinaryData bytes, struct str text)
{
    return str_eq(oracle_str(bytes), text);
}

/* --- headers */

/* Does the request have this header?  Its value, joined, in `buffer`. */
static inline bool oracle_header(const oracle_http *http, struct str name, char *buffer,
                                 size_t *ret_length)
{
    size_t length = 0, count = 0;

    for (size_t i = 0; http->header_map && i < http->header_map->n_headers; i++) {
        const Envoy__Service__Auth__V3__HeaderMap__HeaderField *field =
            http->header_map->headers[i];
        struct str value = oracle_str(field->raw_value.len ? field->raw_value : field->value);

        if (!str_eq_nocase(oracle_str(field->key), name))
            continue;
        if (count++ > 0)
            buffer[length++] = ',';
        if (value.len)
            memcpy(buffer + length, value.ptr, value.len);
        length += value.len;
    }
    for (size_t i = 0; count == 0 && i < http->n_headers; i++) {
        struct str value = oracle_str(http->headers[http->n_headers - 1 - i]->value);

        if (!str_eq_nocase(oracle_str(http->headers[http->n_headers - 1 - i]->key), name))
            continue;
        count = 1;
        if (value.len)
            memcpy(buffer, value.ptr, value.len);
        length = value.len;
    }
    *ret_length = length;
    return count > 0;
}

/* How often it comes, in both forms. */
static inline size_t oracle_count(const oracle_http *http, struct str name, struct str *ret_value)
{
    size_t count = 0;

    for (size_t i = 0; i < http->n_headers; i++)
        if (str_eq_nocase(oracle_str(http->headers[i]->key), name)) {
            *ret_value = oracle_str(http->headers[i]->value);
            count++;
        }
    for (size_t i = 0; http->header_map && i < http->header_map->n_headers; i++) {
        const Envoy__Service__Auth__V3__HeaderMap__HeaderField *field =
            http->header_map->headers[i];

        if (!str_eq_nocase(oracle_str(field->key), name))
            continue;
        *ret_value = oracle_str(field->raw_value.len ? field->raw_value : field->value);
        count++;
    }
    return count;
}

/* --- peers */

/* Addresses of which only one kind came; of the others the order counts, which is lost here. */
static inline void oracle_compare_endpoint(const oracle_peer *peer, const struct endpoint *endpoint,
                                           enum peer_kind kind)
{
    const Envoy__Service__Auth__V3__Address *address = peer ? peer->address : NULL;
    const Envoy__Service__Auth__V3__SocketAddress *socket =
        address ? address->socket_address : NULL;
    bool is_pipe = address && address->second_case, is_internal = address && address->third_case;
    struct addr wanted = {0};

    if ((socket != NULL) + is_pipe + is_internal > 1)
        return;
    if (!socket) {
        assert(endpoint->addr.family == 0 && endpoint->port == 0);
        assert(kind == (is_pipe ? PEER_PIPE : is_internal ? PEER_INTERNAL : PEER_NONE));
        return;
    }
    assert(kind == PEER_TCP || kind == PEER_HTTP3);
    if (addr_parse(oracle_str(socket->address), &wanted) < 0) {
        assert(socket->resolver_name.len > 0 && endpoint->addr.family == 0);
        return;
    }
    assert(addr_eq(&wanted, &endpoint->addr));
    assert(endpoint->port ==
           (socket->port_specifier_case ==
                    ENVOY__SERVICE__AUTH__V3__SOCKET_ADDRESS__PORT_SPECIFIER_PORT_VALUE
                ? socket->port_value
                : 0));
}

static inline void oracle_compare_peers(const oracle_attributes *attributes,
                                        const struct subject *subject)
{
    static const ProtobufCBinaryData NONE = {0, NULL};
    const oracle_peer *source = attributes->source, *destination = attributes->destination;

    oracle_compare_endpoint(source, &subject->source, subject->peer);
    if (destination && destination->address && destination->address->socket_address)
        oracle_compare_endpoint(destination, &subject->destination, PEER_TCP);
    assert(oracle_same(source ? source->service : NONE, subject->source_service));
    assert(oracle_same(source ? source->principal : NONE, subject->source_principal));
    assert(oracle_same(destination ? destination->service : NONE, subject->destination_service));
    assert(
        oracle_same(destination ? destination->principal : NONE, subject->destination_principal));
}

/* --- metadata and labels */

static inline void oracle_compare_label(const oracle_peer *peer, struct str bytes, struct str name)
{
    struct fact_value value;
    enum fact_case found = context_label(bytes, name, &value);
    const Envoy__Service__Auth__V3__Entry *label = NULL;

    for (size_t i = 0; peer && i < peer->n_labels; i++)
        if (oracle_same(peer->labels[i]->key, name))
            label = peer->labels[i];
    assert(found == (label ? FACT_PRESENT : FACT_ABSENT));
    if (label)
        assert(oracle_same(label->value, value.text));
}

static inline const oracle_value *oracle_field(const oracle_fields *fields, struct str key)
{
    const oracle_value *value = NULL;

    for (size_t i = 0; fields && i < fields->n_fields; i++)
        if (oracle_same(fields->fields[i]->key, key))
            value = fields->fields[i]->value;
    return value;
}

static inline bool oracle_fields_have_unknown(const oracle_fields *fields)
{
    bool has = fields && fields->base.n_unknown_fields > 0;

    for (size_t i = 0; fields && i < fields->n_fields; i++)
        has |= fields->fields[i]->base.n_unknown_fields > 0 ||
               (fields->fields[i]->value && fields->fields[i]->value->base.n_unknown_fields > 0);
    return has;
}

/* Unknown fields on the way: protobuf-c keeps some that no protobuf has (numbers from 2^29 on). */
static inline bool oracle_has_unknown(const oracle_metadata *metadata, const oracle_fields *fields,
                                      struct str key)
{
    const oracle_value *value = oracle_field(fields, key);
    bool has = metadata && metadata->base.n_unknown_fields > 0;

    for (size_t i = 0; metadata && i < metadata->n_filter_metadata; i++)
        has |= metadata->filter_metadata[i]->base.n_unknown_fields > 0;
    if (value && value->kind_case == ENVOY__SERVICE__AUTH__V3__METADATA__VALUE__KIND_STRUCT_VALUE)
        has |= oracle_fields_have_unknown(value->struct_value);
    return has || oracle_fields_have_unknown(fields);
}

/* One key below a namespace, and one below that.  Pieces of one value are what ours does not put
 * together; where it says that something is there or is not, it must be right. */
static inline void oracle_compare_metadata(const oracle_metadata *metadata, struct str bytes,
                                           const struct str names[3], size_t count,
                                           bool is_in_one_piece)
{
    struct fact_value value;
    enum fact_case found = context_metadata(bytes, names, count, &value);
    const oracle_fields *fields = NULL;
    const oracle_value *wanted;
    bool has_namespace = false;

    for (size_t i = 0; metadata && i < metadata->n_filter_metadata; i++)
        if (oracle_same(metadata->filter_metadata[i]->key, names[0])) {
            has_namespace = true;
            fields = metadata->filter_metadata[i]->value;
        }
    if (!has_namespace)
        assert(found == FACT_UNOBSERVABLE);
    else if (is_in_one_piece && !oracle_has_unknown(metadata, fields, names[1]))
        assert(found != FACT_UNOBSERVABLE);
    if (found == FACT_UNOBSERVABLE)
        return;
    wanted = oracle_field(fields, names[1]);
    if (count == 3)
        wanted = wanted && wanted->kind_case ==
                               ENVOY__SERVICE__AUTH__V3__METADATA__VALUE__KIND_STRUCT_VALUE
                     ? oracle_field(wanted->struct_value, names[2])
                     : NULL;
    if (!wanted || wanted->kind_case <= ENVOY__SERVICE__AUTH__V3__METADATA__VALUE__KIND_NULL_VALUE)
        assert(found == FACT_ABSENT);
    else
        assert(found == FACT_PRESENT);
    if (wanted && wanted->kind_case == ENVOY__SERVICE__AUTH__V3__METADATA__VALUE__KIND_STRING_VALUE)
        assert(oracle_same(wanted->string_value, value.text));
}

/* --- all of it */

static inline void oracle_compare_http(const oracle_http *http, const struct subject *subject)
{
    struct str path = oracle_str(http->path);
    ptrdiff_t query = str_find_char(path, '?');

    assert(oracle_same(http->method, subject->method));
    assert(oracle_same(http->host, subject->host));
    assert(oracle_same(http->scheme, subject->scheme));
    assert(oracle_same(http->protocol, subject->protocol));
    assert(str_eq(subject->path, query < 0 ? path : (struct str){path.ptr, (size_t)query}));
    assert(str_eq(subject->query,
                  query < 0 ? oracle_str(http->query) : str_from_offset(path, (size_t)query + 1)));
}

static inline void oracle_compare_header(const oracle_http *http, struct str name, struct str value,
                                         char *buffer)
{
    size_t length;
    bool is_there = oracle_header(http, name, buffer, &length);

    assert(is_there == (value.ptr != NULL));
    if (is_there)
        assert(str_eq(value, (struct str){buffer, length}));
}

/* `buffer` has room for all values of the request and as many commas. */
static inline void oracle_compare(const oracle_check *check, const struct request *request,
                                  bool is_in_one_piece, char *buffer)
{
    static const struct str PATH[] = {STR_INIT("ns"), STR_INIT("k"), STR_INIT("k")};
    const oracle_attributes *attributes = check->attributes;
    const struct subject *subject = &request->subject;
    const oracle_http *http;

    assert(attributes);
    http = attributes->request ? attributes->request->http : NULL;
    assert(subject->has_http == (http != NULL));
    oracle_compare_peers(attributes, subject);
    assert(subject->extension_count == attributes->n_context_extensions);
    for (size_t i = 0; i < subject->extension_count; i++) {
        assert(oracle_same(attributes->context_extensions[i]->key, subject->extensions[i].key));
        assert(oracle_same(attributes->context_extensions[i]->value, subject->extensions[i].value));
    }
    assert(str_eq(subject->sni,
                  attributes->tls_session ? oracle_str(attributes->tls_session->sni) : STR("")));
    oracle_compare_label(attributes->destination, subject->destination_peer, STR("k"));
    for (size_t count = 2; count <= 3; count++) {
        oracle_compare_metadata(attributes->metadata_context, subject->metadata, PATH, count,
                                is_in_one_piece);
        oracle_compare_metadata(attributes->route_metadata_context, subject->route_metadata, PATH,
                                count, is_in_one_piece);
    }
    if (!http)
        return;
    oracle_compare_http(http, subject);
    oracle_compare_header(http, STR("content-type"), subject->content_type, buffer);
    oracle_compare_header(http, STR("x-request-id"), subject->request_id, buffer);
    oracle_compare_header(http, STR("traceparent"), subject->trace_parent, buffer);
}

/* What a header says that the gRPC stream names. */
static inline enum peer_header oracle_peer_header(const oracle_check *check, struct str name,
                                                  struct endpoint *ret_endpoint)
{
    const oracle_attributes *attributes = check->attributes;
    struct str value = {NULL, 0};
    size_t count;

    for (size_t i = 0; i < attributes->n_context_extensions; i++)
        if (oracle_same(attributes->context_extensions[i]->key, STR("peer_header")))
            name = oracle_str(attributes->context_extensions[i]->value);
    if (name.len == 0)
        return PEER_HEADER_UNNAMED;
    if (!attributes->request || !attributes->request->http)
        return PEER_HEADER_ABSENT;
    count = oracle_count(attributes->request->http, name, &value);
    if (count == 0)
        return PEER_HEADER_ABSENT;
    if (count > 1 || (value.len && memchr(value.ptr, ',', value.len)))
        return PEER_HEADER_REPEATED;
    return endpoint_parse(value, ret_endpoint) < 0 ? PEER_HEADER_MALFORMED : PEER_HEADER_READ;
}

#endif
