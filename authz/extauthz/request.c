/* SPDX-License-Identifier: Apache-2.0 */
#include "request.h"

#include "header_reader.h"
#include "message.h"
#include "peer_tuple.h"
#include "policy.h"

enum { PROTOCOL_TCP = 0 }; /* SocketAddress.protocol */

/* A Peer as it is being read: its parts may come in several pieces, of which the last counts. */
struct peer {
    enum peer_kind kind; /* PEER_TCP: it has the address of a socket */
    struct str address, resolver;
    uint64_t port, protocol;
    struct str service, principal;
};

/* What the readers fill in. */
struct walk {
    struct header_reader headers;
    struct request *request;
    struct str query; /* where it is told apart from the path; Envoy does not */
    struct peer source, destination;
    struct peer *peer; /* the one that is being read */
    struct extension *extensions;
    size_t extension_room;
    bool has_attributes;
};

/* --- the peers -------------------------------------------------------------------------------- */

static enum request_status on_socket_field(const struct pb_field *field, void *context)
{
    struct peer *peer = ((struct walk *)context)->peer;
    struct str named_port;

    switch (field->number) {
    case SOCKET_PROTOCOL:
        return message_read_number(field, &peer->protocol);
    case SOCKET_ADDRESS:
        return message_read_text(field, &peer->address);
    case SOCKET_PORT:
        return message_read_number(field, &peer->port);
    case SOCKET_NAMED_PORT: /* takes the number's place: a oneof */
        peer->port = 0;
        return message_read_text(field, &named_port);
    case SOCKET_RESOLVER:
        return message_read_text(field, &peer->resolver);
    default:
        return REQUEST_OK;
    }
}

/* An Address holds one of several kinds, the last that came: another kind starts anew. */
static void begin_address(struct peer *peer, enum peer_kind kind)
{
    if (peer->kind == kind)
        return;
    *peer = (struct peer){.kind = kind, .service = peer->service, .principal = peer->principal};
}

static enum request_status on_address_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;

    switch (field->number) {
    case ADDRESS_SOCKET:
        begin_address(walk->peer, PEER_TCP);
        return message_read(field, on_socket_field, walk);
    case ADDRESS_PIPE:
        begin_address(walk->peer, PEER_PIPE);
        break;
    case ADDRESS_INTERNAL:
        begin_address(walk->peer, PEER_INTERNAL);
        break;
    default:
        return REQUEST_OK;
    }
    return field->is_bytes ? REQUEST_OK : REQUEST_MALFORMED;
}

static enum request_status on_peer_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;
    struct header_field label;

    switch (field->number) {
    case PEER_ADDRESS:
        return message_read(field, on_address_field, walk);
    case PEER_SERVICE:
        return message_read_text(field, &walk->peer->service);
    case PEER_PRINCIPAL:
        return message_read_text(field, &walk->peer->principal);
    case PEER_LABELS: /* are read when a rule asks (context.h), and can be then */
        return header_field_read(field, false, &label);
    default:
        return REQUEST_OK;
    }
}

/* A named address is for a resolver of the data plane's to read, and none to us. */
static enum request_status settle_address(const struct peer *peer, struct endpoint *ret_endpoint)
{
    struct endpoint endpoint = {.port = (uint16_t)peer->port};

    if (peer->kind != PEER_TCP)
        return REQUEST_OK;
    if (peer->port > UINT16_MAX)
        return REQUEST_MALFORMED;
    if (addr_parse(peer->address, &endpoint.addr) < 0) {
        if (!peer->resolver.ptr)
            return REQUEST_MALFORMED;
        endpoint = (struct endpoint){0};
    }
    *ret_endpoint = endpoint;
    return REQUEST_OK;
}

/* QUIC: the address is a UDP peer's, which Envoy does not say in the address itself.  The versions
 * are spelled in several ways, by ALPN too. */
static bool is_http3(struct str protocol)
{
    static const struct str NAMES[] = {STR_INIT("HTTP/3"), STR_INIT("HTTP3"), STR_INIT("H3"),
                                       STR_INIT("QUIC")};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
        struct str head = protocol;

        if (head.len > NAMES[i].len)
            head.len = NAMES[i].len;
        if (str_eq_nocase(head, NAMES[i]) && /* "HTTP/3.0", "h3-29"; not "HTTP/30" */
            (protocol.len == head.len || !char_is_digit(protocol.ptr[head.len])))
            return true;
    }
    return false;
}

static enum request_status settle_peers(const struct walk *walk)
{
    struct subject *subject = &walk->request->subject;
    enum request_status status = settle_address(&walk->source, &subject->source);

    if (status == REQUEST_OK)
        status = settle_address(&walk->destination, &subject->destination);
    subject->peer = walk->source.kind;
    if (subject->peer == PEER_TCP &&
        (walk->source.protocol != PROTOCOL_TCP || is_http3(subject->protocol)))
        subject->peer = PEER_HTTP3;
    subject->source_service = walk->source.service;
    subject->source_principal = walk->source.principal;
    subject->destination_service = walk->destination.service;
    subject->destination_principal = walk->destination.principal;
    return status;
}

/* --- the request ------------------------------------------------------------------------------ */

static enum request_status read_header(const struct pb_field *field, bool is_raw, struct walk *walk)
{
    struct header_field header;
    enum request_status status = header_field_read(field, is_raw, &header);

    return status == REQUEST_OK ? header_reader_add(&walk->headers, &header) : status;
}

static enum request_status on_header_map_field(const struct pb_field *field, void *context)
{
    return field->number == HEADER_MAP_HEADERS ? read_header(field, true, context) : REQUEST_OK;
}

static enum request_status on_http_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;
    struct subject *subject = &walk->request->subject;

    switch (field->number) {
    case HTTP_METHOD:
        return message_read_text(field, &subject->method);
    case HTTP_HEADERS:
        return read_header(field, false, walk);
    case HTTP_PATH:
        return message_read_text(field, &subject->path);
    case HTTP_HOST:
        return message_read_text(field, &subject->host);
    case HTTP_SCHEME:
        return message_read_text(field, &subject->scheme);
    case HTTP_QUERY:
        return message_read_text(field, &walk->query);
    case HTTP_PROTOCOL:
        return message_read_text(field, &subject->protocol);
    case HTTP_HEADER_MAP:
        return message_read(field, on_header_map_field, walk);
    default: /* also the body, whatever its size */
        return REQUEST_OK;
    }
}

static enum request_status on_request_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;
    enum request_status status;

    if (field->number != REQUEST_HTTP)
        return REQUEST_OK;
    status = header_reader_start(&walk->headers);
    if (status != REQUEST_OK)
        return status;
    walk->request->subject.has_http = true;
    return message_read(field, on_http_field, walk);
}

static void settle_http(const struct walk *walk)
{
    const struct header_reader *headers = &walk->headers;
    struct subject *subject = &walk->request->subject;
    ptrdiff_t query = str_find_char(subject->path, '?');

    if (!subject->has_http)
        return;
    subject->query = walk->query;
    if (query >= 0) {
        subject->query = str_from_offset(subject->path, (size_t)query + 1);
        subject->path.len = (size_t)query;
    }
    subject->headers = headers->values;
    subject->content_type = header_reader_known(headers, KNOWN_CONTENT_TYPE);
    subject->request_id = header_reader_known(headers, KNOWN_REQUEST_ID);
    subject->trace_parent = header_reader_known(headers, KNOWN_TRACE_PARENT);
    subject->ja3 = header_reader_known(headers, KNOWN_JA3);
    subject->ja4 = header_reader_known(headers, KNOWN_JA4);
}

/* --- what stands beside it -------------------------------------------------------------------- */

/* Messages in several pieces are merged by putting them behind one another. */
static enum request_status add_message(const struct pb_field *field, struct walk *walk,
                                       struct str *message)
{
    char *joined;

    if (!field->is_bytes)
        return REQUEST_MALFORMED;
    if (!message->len) {
        *message = field->bytes;
        return REQUEST_OK;
    }
    joined = arena_alloc(walk->headers.arena, message->len + field->bytes.len);
    if (!joined)
        return REQUEST_OVERSIZE;
    memcpy(joined, message->ptr, message->len);
    memcpy(joined + message->len, field->bytes.ptr, field->bytes.len);
    *message = (struct str){joined, message->len + field->bytes.len};
    return REQUEST_OK;
}

static enum request_status make_extension_room(struct walk *walk)
{
    size_t room = walk->extension_room ? walk->extension_room * 2 : 8;
    struct subject *subject = &walk->request->subject;
    struct extension *extensions;

    if (subject->extension_count < walk->extension_room)
        return REQUEST_OK;
    extensions = arena_calloc(walk->headers.arena, room, sizeof(*extensions));
    if (!extensions)
        return REQUEST_OVERSIZE;
    if (subject->extension_count)
        memcpy(extensions, walk->extensions, subject->extension_count * sizeof(*extensions));
    subject->extensions = walk->extensions = extensions;
    walk->extension_room = room;
    return REQUEST_OK;
}

static enum request_status read_extension(const struct pb_field *field, struct walk *walk)
{
    struct header_field entry;
    enum request_status status = header_field_read(field, false, &entry);

    if (status == REQUEST_OK)
        status = make_extension_room(walk);
    if (status == REQUEST_OK)
        walk->extensions[walk->request->subject.extension_count++] =
            (struct extension){entry.name, entry.value};
    return status;
}

static enum request_status on_tls_session_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;

    return field->number == TLS_SESSION_SNI ? message_read_text(field, &walk->request->subject.sni)
                                            : REQUEST_OK;
}

/* --- all of it -------------------------------------------------------------------------------- */

static enum request_status read_destination(const struct pb_field *field, struct walk *walk)
{
    enum request_status status = add_message(field, walk, &walk->request->subject.destination_peer);

    walk->peer = &walk->destination;
    return status == REQUEST_OK ? message_read(field, on_peer_field, walk) : status;
}

static enum request_status on_attributes_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;
    struct subject *subject = &walk->request->subject;

    switch (field->number) {
    case ATTRIBUTES_SOURCE:
        walk->peer = &walk->source;
        return message_read(field, on_peer_field, walk);
    case ATTRIBUTES_DESTINATION:
        return read_destination(field, walk);
    case ATTRIBUTES_REQUEST:
        return message_read(field, on_request_field, walk);
    case ATTRIBUTES_EXTENSIONS:
        return read_extension(field, walk);
    case ATTRIBUTES_METADATA:
        return add_message(field, walk, &subject->metadata);
    case ATTRIBUTES_TLS_SESSION:
        return message_read(field, on_tls_session_field, walk);
    case ATTRIBUTES_ROUTE_METADATA:
        return add_message(field, walk, &subject->route_metadata);
    default:
        return REQUEST_OK;
    }
}

static enum request_status on_check_field(const struct pb_field *field, void *context)
{
    struct walk *walk = context;

    if (field->number != CHECK_ATTRIBUTES)
        return REQUEST_OK;
    walk->has_attributes = true;
    return message_read(field, on_attributes_field, walk);
}

enum request_status request_decode(const struct request_wire *wire, const struct policy *policy,
                                   struct arena *arena, struct request *ret_request)
{
    struct request request = {0};
    struct walk walk = {
        .headers = {.table = policy->headers,
                    .arena = arena,
                    .request = &request,
                    .left = wire->limits.headers_max},
        .request = &request,
    };
    enum request_status status;

    if (wire->message.len > wire->limits.bytes_max)
        return REQUEST_OVERSIZE;
    status = message_each_field(wire->message, on_check_field, &walk);
    if (status != REQUEST_OK)
        return status;
    if (!walk.has_attributes)
        return REQUEST_MALFORMED;
    status = settle_peers(&walk);
    if (status != REQUEST_OK)
        return status;
    settle_http(&walk);
    status = peer_tuple_read(wire, &walk.headers);
    if (status == REQUEST_OK)
        *ret_request = request;
    return status;
}
