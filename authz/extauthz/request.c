/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "check_request.pb-c.h"
#include "pbreader.h"
#include "policy.h"

/* The generated names are long; these are the messages we walk. */
typedef Envoy__Service__Auth__V3__CheckRequest check_message;
typedef Envoy__Service__Auth__V3__AttributeContext attributes_message;
typedef Envoy__Service__Auth__V3__AttributeContext__Peer peer_message;
typedef Envoy__Service__Auth__V3__AttributeContext__HttpRequest http_message;
typedef Envoy__Service__Auth__V3__SocketAddress socket_message;

/* SocketAddress.protocol */
enum { SOCKET_TCP = 0 };

static void *on_alloc(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void on_free(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

/* Proto3 does not tell an empty text from an absent one; both are absent. */
static struct str text_of(ProtobufCBinaryData bytes)
{
    if (bytes.len == 0)
        return (struct str){NULL, 0};
    return (struct str){(const char *)bytes.data, bytes.len};
}

/* --- the peers ----------------------------------------------------------------------------------
 */

static enum request_status read_socket(const socket_message *socket, enum peer_kind *ret_kind,
                                       struct endpoint *ret_endpoint)
{
    if (socket->port_value > UINT16_MAX ||
        addr_parse(text_of(socket->address), &ret_endpoint->addr) < 0)
        return REQUEST_MALFORMED;
    ret_endpoint->port = (uint16_t)socket->port_value;
    *ret_kind = socket->protocol == SOCKET_TCP ? PEER_TCP : PEER_HTTP3; /* Envoy never says UDP */
    return REQUEST_OK;
}

static enum request_status read_peer(const peer_message *peer, enum peer_kind *ret_kind,
                                     struct endpoint *ret_endpoint)
{
    *ret_kind = PEER_NONE;
    if (!peer || !peer->address)
        return REQUEST_OK;
    switch (peer->address->address_case) {
    case ENVOY__SERVICE__AUTH__V3__ADDRESS__ADDRESS_SOCKET_ADDRESS:
        return read_socket(peer->address->socket_address, ret_kind, ret_endpoint);
    case ENVOY__SERVICE__AUTH__V3__ADDRESS__ADDRESS_PIPE:
        *ret_kind = PEER_PIPE;
        return REQUEST_OK;
    case ENVOY__SERVICE__AUTH__V3__ADDRESS__ADDRESS_ENVOY_INTERNAL_ADDRESS:
        *ret_kind = PEER_INTERNAL;
        return REQUEST_OK;
    default:
        return REQUEST_OK;
    }
}

/* --- the headers --------------------------------------------------------------------------------
 */

struct header_walk {
    const struct header_table *table;
    struct arena *arena;
    struct str *values; /* by read slot */
    struct request *request;
};

struct header {
    struct str name, value;
};

/* An entry of the map (key 1, value 2), or a HeaderValue of the raw form (key 1, value 2, raw_value
 * 3). */
static enum request_status read_entry(struct str entry, struct header *ret_header)
{
    struct header header = {STR_INIT(""), STR_INIT("")};
    struct pb_field field;
    struct str raw = {NULL, 0};
    int r;

    while ((r = pb_next_field(&entry, &field)) > 0) {
        if (field.number > 3)
            continue;
        if (!field.is_bytes)
            return REQUEST_MALFORMED;
        *(field.number == 1   ? &header.name
          : field.number == 2 ? &header.value
                              : &raw) = field.bytes;
    }
    if (r < 0)
        return REQUEST_MALFORMED;
    if (raw.len)
        header.value = raw;
    *ret_header = header;
    return REQUEST_OK;
}

/* A repeated header is one value with commas (RFC 9110 5.3), as Envoy joins them in its map form.
 */
static enum request_status add_value(struct header_walk *walk, int slot, struct str value)
{
    struct str *known = &walk->values[slot];
    char *joined;

    if (!known->ptr) {
        *known = value;
        return REQUEST_OK;
    }
    joined = arena_alloc(walk->arena, known->len + 1 + value.len);
    if (!joined)
        return REQUEST_OVERSIZE;
    memcpy(joined, known->ptr, known->len);
    joined[known->len] = ',';
    memcpy(joined + known->len + 1, value.ptr, value.len);
    *known = (struct str){joined, known->len + 1 + value.len};
    return REQUEST_OK;
}

/* Every owned name is set or removed by the reply anyway, and HTTP sees no letter case: a variant
 * that is an owned name must not be removed besides, since Envoy removes last. */
static bool is_owned_name(const struct header_table *table, struct str name)
{
    for (size_t i = 0; i < header_table_owned_count(table); i++)
        if (str_eq_nocase(name, header_table_owned_name(table, i)))
            return true;
    return false;
}

static enum request_status add_variant(struct header_walk *walk, struct str name)
{
    struct request *request = walk->request;

    if (is_owned_name(walk->table, name))
        return REQUEST_OK;
    if (!request->variants)
        request->variants = arena_calloc(walk->arena, REQUEST_VARIANTS_MAX, sizeof(struct str));
    if (!request->variants || request->variant_count == REQUEST_VARIANTS_MAX)
        return REQUEST_OVERSIZE;
    request->variants[request->variant_count++] = name;
    return REQUEST_OK;
}

static enum request_status read_header(struct header_walk *walk, struct str entry)
{
    struct header header;
    struct header_match match;
    enum request_status status = read_entry(entry, &header);

    if (status != REQUEST_OK)
        return status;
    match = header_table_match(walk->table, header.name);
    if (match.read_slot != HEADER_NONE)
        status = add_value(walk, match.read_slot, header.value);
    if (status == REQUEST_OK && match.owned_index != HEADER_NONE && !match.exact)
        status = add_variant(walk, header.name);
    return status;
}

static enum request_status read_entries(struct header_walk *walk,
                                        const ProtobufCBinaryData *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        enum request_status status = read_header(walk, text_of(entries[i]));

        if (status != REQUEST_OK)
            return status;
    }
    return REQUEST_OK;
}

/* --- the request --------------------------------------------------------------------------------
 */

static struct str without_query(struct str path)
{
    ptrdiff_t query = str_find_char(path, '?');

    return query < 0 ? path : (struct str){path.ptr, (size_t)query};
}

static enum request_status read_http(const http_message *http, struct header_walk *walk)
{
    struct subject *subject = &walk->request->subject;
    enum request_status status;

    subject->has_http = true;
    subject->method = text_of(http->method);
    subject->path = without_query(text_of(http->path));
    subject->host = text_of(http->host);
    subject->scheme = text_of(http->scheme);
    subject->protocol = text_of(http->protocol);
    /* QUIC: the address is a UDP peer's, which Envoy does not say in the address itself */
    if (subject->peer == PEER_TCP && str_eq(subject->protocol, STR("HTTP/3")))
        subject->peer = PEER_HTTP3;

    walk->values =
        arena_calloc(walk->arena, header_table_read_count(walk->table), sizeof(struct str));
    if (!walk->values)
        return REQUEST_OVERSIZE;
    subject->headers = walk->values;
    status = read_entries(walk, http->headers, http->n_headers);
    if (status == REQUEST_OK && http->header_map)
        status = read_entries(walk, http->header_map->headers, http->header_map->n_headers);
    return status;
}

static enum request_status read_attributes(const attributes_message *attributes,
                                           struct header_walk *walk)
{
    struct subject *subject = &walk->request->subject;
    enum peer_kind destination_kind;
    enum request_status status;

    status = read_peer(attributes->source, &subject->peer, &subject->source);
    if (status == REQUEST_OK)
        status = read_peer(attributes->destination, &destination_kind, &subject->destination);
    if (status == REQUEST_OK && attributes->request && attributes->request->http)
        status = read_http(attributes->request->http, walk);
    return status;
}

enum request_status request_decode(struct str wire, const struct policy *policy,
                                   struct arena *arena, struct request *ret_request)
{
    ProtobufCAllocator allocator = {on_alloc, on_free, arena};
    struct request request = {0};
    struct header_walk walk = {.table = policy->headers, .arena = arena, .request = &request};
    enum request_status status = REQUEST_OK;
    const check_message *check;

    if (wire.len > REQUEST_BYTES_MAX)
        return REQUEST_OVERSIZE;
    check = envoy__service__auth__v3__check_request__unpack(&allocator, wire.len,
                                                            (const uint8_t *)wire.ptr);
    if (!check)
        return arena->exhausted ? REQUEST_OVERSIZE : REQUEST_MALFORMED;
    if (check->attributes)
        status = read_attributes(check->attributes, &walk);
    if (status == REQUEST_OK)
        *ret_request = request;
    return status;
}
