/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_tuple.h"

#include "message.h"
#include "name_table.h"

/* One of the two headers, and what was found of it. */
struct named_header {
    struct str name; /* ptr NULL: not named */
    struct str value;
    size_t count;
};

struct search {
    struct header_reader *reader;
    struct named_header peer, local;
};

/* --- names ------------------------------------------------------------------------------------ */

static struct str name_of(const struct subject *subject, struct str extension, struct str stream)
{
    struct str name = subject_extension(subject, extension);

    if (!name.ptr)
        name = stream;
    return name.len ? name : (struct str){NULL, 0};
}

/* --- the second walk -------------------------------------------------------------------------- */

static enum request_status compare(struct search *search, struct named_header *named,
                                   const struct header_field *header)
{
    if (!named->name.ptr || !name_is_variant(named->name, header->name))
        return REQUEST_OK;
    if (!str_eq_nocase(named->name,
                       header->name)) /* another header, that may be read as this one */
        return header_reader_add_variant(search->reader, header->name);
    named->value = header->value;
    named->count++;
    return REQUEST_OK;
}

static enum request_status on_header(const struct pb_field *field, bool is_raw,
                                     struct search *search)
{
    struct header_field header;
    enum request_status status = header_field_read(field, is_raw, &header);

    if (status == REQUEST_OK)
        status = compare(search, &search->peer, &header);
    return status == REQUEST_OK ? compare(search, &search->local, &header) : status;
}

static enum request_status on_header_map_field(const struct pb_field *field, void *context)
{
    return field->number == HEADER_MAP_HEADERS ? on_header(field, true, context) : REQUEST_OK;
}

static enum request_status on_http_field(const struct pb_field *field, void *context)
{
    switch (field->number) {
    case HTTP_HEADERS:
        return on_header(field, false, context);
    case HTTP_HEADER_MAP:
        return message_read(field, on_header_map_field, context);
    default:
        return REQUEST_OK;
    }
}

static enum request_status on_request_field(const struct pb_field *field, void *context)
{
    return field->number == REQUEST_HTTP ? message_read(field, on_http_field, context) : REQUEST_OK;
}

static enum request_status on_attributes_field(const struct pb_field *field, void *context)
{
    return field->number == ATTRIBUTES_REQUEST ? message_read(field, on_request_field, context)
                                               : REQUEST_OK;
}

static enum request_status on_check_field(const struct pb_field *field, void *context)
{
    return field->number == CHECK_ATTRIBUTES ? message_read(field, on_attributes_field, context)
                                             : REQUEST_OK;
}

/* --- what it comes to ------------------------------------------------------------------------- */

/* Envoy has joined repeated ones, unless it sends raw headers. */
static enum peer_header read_endpoint(const struct named_header *named,
                                      struct endpoint *ret_endpoint)
{
    if (named->count == 0)
        return PEER_HEADER_ABSENT;
    if (named->count > 1 || str_find_char(named->value, ',') >= 0)
        return PEER_HEADER_REPEATED;
    return endpoint_parse(named->value, ret_endpoint) < 0 ? PEER_HEADER_MALFORMED
                                                          : PEER_HEADER_READ;
}

static void settle(const struct search *search, struct subject *subject)
{
    struct flow direct = {.destination = subject->destination};
    enum peer_header found = read_endpoint(&search->peer, &direct.source);

    if (found == PEER_HEADER_READ && search->local.name.ptr)
        found = read_endpoint(&search->local, &direct.destination);
    subject->peer_header = found;
    if (found == PEER_HEADER_READ)
        subject->direct = direct;
}

/* Also when Envoy did not show it to us (allowed_headers). */
static enum request_status remove_upstream(struct search *search, struct str name)
{
    return header_name_is_valid(name) ? header_reader_add_variant(search->reader, name)
                                      : REQUEST_OK;
}

enum request_status peer_tuple_read(const struct request_wire *wire, struct header_reader *reader)
{
    struct subject *subject = &reader->request->subject;
    struct search search = {
        .reader = reader,
        .peer.name = name_of(subject, STR("peer_header"), wire->peer_header),
        .local.name = name_of(subject, STR("local_header"), wire->local_header),
    };
    enum request_status status = REQUEST_OK;

    if (search.peer.name.ptr)
        status = remove_upstream(&search, search.peer.name);
    if (status == REQUEST_OK && search.local.name.ptr)
        status = remove_upstream(&search, search.local.name);
    if (status == REQUEST_OK && (search.peer.name.ptr || search.local.name.ptr))
        status = message_each_field(wire->message, on_check_field, &search);
    if (status == REQUEST_OK && search.peer.name.ptr)
        settle(&search, subject);
    return status;
}
