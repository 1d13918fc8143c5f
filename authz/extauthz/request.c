/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "pbreader.h"
#include "policy.h"

/* Field numbers, by message.  Source: proto/check_request.proto. */
enum { CHECK_ATTRIBUTES = 1 };
enum { ATTRIBUTES_SOURCE = 1, ATTRIBUTES_DESTINATION = 2, ATTRIBUTES_REQUEST = 4 };
enum { PEER_ADDRESS = 1 };
enum { ADDRESS_SOCKET = 1, ADDRESS_PIPE = 2, ADDRESS_INTERNAL = 3 };
enum { SOCKET_PROTOCOL = 1, SOCKET_ADDRESS = 2, SOCKET_PORT = 3 };
enum { REQUEST_HTTP = 2 };
enum {
    HTTP_METHOD = 2,
    HTTP_HEADERS = 3,
    HTTP_PATH = 4,
    HTTP_HOST = 5,
    HTTP_SCHEME = 6,
    HTTP_PROTOCOL = 10,
    HTTP_HEADER_MAP = 13,
};
enum { HEADER_MAP_HEADERS = 1 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2, ENTRY_RAW_VALUE = 3 };

enum { PROTOCOL_TCP = 0 }; /* SocketAddress.protocol */

/* What the readers fill in. */
struct walk {
    const struct header_table *table;
    struct arena *arena;
    struct request *request;
    struct str *values; /* by read slot */
    bool has_attributes;

    enum peer_kind *peer; /* of the Peer that is being read, and its address */
    struct endpoint *endpoint;
    struct {
        struct str address;
        uint64_t port, protocol;
    } socket;
};

/* --- fields of messages ----------------------------------------------------------------------- */

/* What to do with one field of a message; fields that it does not know it lets pass. */
typedef enum request_status (*field_reader)(const struct pb_field *field, struct walk *walk);

/* The depth is that of our readers: nothing in the message makes it deeper. */
static enum request_status each_field(struct str message, field_reader read, struct walk *walk)
{
    struct pb_field field;
    int r;

    while ((r = pb_next_field(&message, &field)) > 0) {
        enum request_status status = read(&field, walk);

        if (status != REQUEST_OK)
            return status;
    }
    return r < 0 ? REQUEST_MALFORMED : REQUEST_OK;
}

static enum request_status read_message(const struct pb_field *field, field_reader read,
                                        struct walk *walk)
{
    return field->is_bytes ? each_field(field->bytes, read, walk) : REQUEST_MALFORMED;
}

/* Proto3 does not tell an empty text from an absent one; both are absent. */
static enum request_status read_text(const struct pb_field *field, struct str *ret_text)
{
    if (!field->is_bytes)
        return REQUEST_MALFORMED;
    *ret_text = field->bytes.len ? field->bytes : (struct str){NULL, 0};
    return REQUEST_OK;
}

static enum request_status read_number(const struct pb_field *field, uint64_t *ret_number)
{
    if (field->is_bytes)
        return REQUEST_MALFORMED;
    *ret_number = field->value;
    return REQUEST_OK;
}

/* --- the peers -------------------------------------------------------------------------------- */

static enum request_status on_socket_field(const struct pb_field *field, struct walk *walk)
{
    switch (field->number) {
    case SOCKET_PROTOCOL:
        return read_number(field, &walk->socket.protocol);
    case SOCKET_ADDRESS:
        return read_text(field, &walk->socket.address);
    case SOCKET_PORT:
        return read_number(field, &walk->socket.port);
    default:
        return REQUEST_OK;
    }
}

static enum request_status read_socket(const struct pb_field *field, struct walk *walk)
{
    enum request_status status;

    memset(&walk->socket, 0, sizeof(walk->socket));
    status = read_message(field, on_socket_field, walk);
    if (status != REQUEST_OK)
        return status;
    if (walk->socket.port > UINT16_MAX ||
        addr_parse(walk->socket.address, &walk->endpoint->addr) < 0)
        return REQUEST_MALFORMED;
    walk->endpoint->port = (uint16_t)walk->socket.port;
    /* Envoy says TCP always, also for QUIC; another data plane may say UDP */
    *walk->peer = walk->socket.protocol == PROTOCOL_TCP ? PEER_TCP : PEER_HTTP3;
    return REQUEST_OK;
}

/* A peer without the address of a socket; the last member of a oneof counts. */
static enum request_status read_other_peer(const struct pb_field *field, enum peer_kind kind,
                                           struct walk *walk)
{
    *walk->peer = kind;
    *walk->endpoint = (struct endpoint){0};
    return field->is_bytes ? REQUEST_OK : REQUEST_MALFORMED;
}

static enum request_status on_address_field(const struct pb_field *field, struct walk *walk)
{
    switch (field->number) {
    case ADDRESS_SOCKET:
        return read_socket(field, walk);
    case ADDRESS_PIPE:
        return read_other_peer(field, PEER_PIPE, walk);
    case ADDRESS_INTERNAL:
        return read_other_peer(field, PEER_INTERNAL, walk);
    default:
        return REQUEST_OK;
    }
}

static enum request_status on_peer_field(const struct pb_field *field, struct walk *walk)
{
    return field->number == PEER_ADDRESS ? read_message(field, on_address_field, walk) : REQUEST_OK;
}

/* --- the headers ------------------------------------------------------------------------------ */

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
static enum request_status add_value(struct walk *walk, int slot, struct str value)
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

static enum request_status add_variant(struct walk *walk, struct str name)
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

static enum request_status read_header(const struct pb_field *field, struct walk *walk)
{
    struct header header;
    struct header_match match;
    enum request_status status;

    if (!field->is_bytes)
        return REQUEST_MALFORMED;
    status = read_entry(field->bytes, &header);
    if (status != REQUEST_OK)
        return status;
    match = header_table_match(walk->table, header.name);
    if (match.read_slot != HEADER_NONE)
        status = add_value(walk, match.read_slot, header.value);
    if (status == REQUEST_OK && match.owned_index != HEADER_NONE && !match.exact)
        status = add_variant(walk, header.name);
    return status;
}

static enum request_status on_header_map_field(const struct pb_field *field, struct walk *walk)
{
    return field->number == HEADER_MAP_HEADERS ? read_header(field, walk) : REQUEST_OK;
}

/* --- the request ------------------------------------------------------------------------------ */

static enum request_status on_http_field(const struct pb_field *field, struct walk *walk)
{
    struct subject *subject = &walk->request->subject;

    switch (field->number) {
    case HTTP_METHOD:
        return read_text(field, &subject->method);
    case HTTP_HEADERS:
        return read_header(field, walk);
    case HTTP_PATH:
        return read_text(field, &subject->path);
    case HTTP_HOST:
        return read_text(field, &subject->host);
    case HTTP_SCHEME:
        return read_text(field, &subject->scheme);
    case HTTP_PROTOCOL:
        return read_text(field, &subject->protocol);
    case HTTP_HEADER_MAP:
        return read_message(field, on_header_map_field, walk);
    default:
        return REQUEST_OK;
    }
}

static enum request_status on_request_field(const struct pb_field *field, struct walk *walk)
{
    struct subject *subject = &walk->request->subject;

    if (field->number != REQUEST_HTTP)
        return REQUEST_OK;
    if (!walk->values)
        walk->values =
            arena_calloc(walk->arena, header_table_read_count(walk->table), sizeof(struct str));
    if (!walk->values)
        return REQUEST_OVERSIZE;
    subject->headers = walk->values;
    subject->has_http = true;
    return read_message(field, on_http_field, walk);
}

static enum request_status on_attributes_field(const struct pb_field *field, struct walk *walk)
{
    struct subject *subject = &walk->request->subject;
    enum peer_kind destination_kind;

    switch (field->number) {
    case ATTRIBUTES_SOURCE:
        walk->peer = &subject->peer;
        walk->endpoint = &subject->source;
        return read_message(field, on_peer_field, walk);
    case ATTRIBUTES_DESTINATION:
        walk->peer = &destination_kind;
        walk->endpoint = &subject->destination;
        return read_message(field, on_peer_field, walk);
    case ATTRIBUTES_REQUEST:
        return read_message(field, on_request_field, walk);
    default:
        return REQUEST_OK;
    }
}

static enum request_status on_check_field(const struct pb_field *field, struct walk *walk)
{
    if (field->number != CHECK_ATTRIBUTES)
        return REQUEST_OK;
    walk->has_attributes = true;
    return read_message(field, on_attributes_field, walk);
}

static struct str without_query(struct str path)
{
    ptrdiff_t query = str_find_char(path, '?');

    return query < 0 ? path : (struct str){path.ptr, (size_t)query};
}

enum request_status request_decode(const struct request_wire *wire, const struct policy *policy,
                                   struct arena *arena, struct request *ret_request)
{
    struct request request = {0};
    struct subject *subject = &request.subject;
    struct walk walk = {.table = policy->headers, .arena = arena, .request = &request};
    enum request_status status;

    if (wire->message.len > wire->limits.bytes_max)
        return REQUEST_OVERSIZE;
    status = each_field(wire->message, on_check_field, &walk);
    if (status != REQUEST_OK)
        return status;
    if (!walk.has_attributes)
        return REQUEST_MALFORMED;
    subject->path = without_query(subject->path);
    /* QUIC: the address is a UDP peer's, which Envoy does not say in the address itself */
    if (subject->peer == PEER_TCP && str_eq(subject->protocol, STR("HTTP/3")))
        subject->peer = PEER_HTTP3;
    *ret_request = request;
    return REQUEST_OK;
}
