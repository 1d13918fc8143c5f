/* SPDX-License-Identifier: Apache-2.0 */
/* What one Check is about: everything a rule may see.
 *
 * All text is borrowed from the call (request bytes or its arena).  Three cases of a fact: a value;
 * observed absent (the request has none); unobservable (nothing could be seen, so tests are
 * UNKNOWN). fact.[ch] is the only reader of these fields for rules. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stdbool.h>

#include "addr.h"
#include "flow.h"
#include "str.h"
#include "syn_source.h"

struct match;
struct signature;

/* What stands at the other end of the connection, by the request. Only TCP peers can have a SYN. */
enum peer_kind {
    PEER_NONE = 0, /* the request names no source */
    PEER_TCP,
    PEER_HTTP3,
    PEER_PIPE,
    PEER_INTERNAL, /* an internal listener of Envoy's */
    PEER_PROXIED, /* the addresses are those of a PROXY protocol header, or may be: no SYN is theirs
                   */
};

/* What the header said that holds the connection's own tuple (see request.h). */
enum peer_header {
    PEER_HEADER_UNNAMED = 0, /* neither the route nor the gRPC stream names one */
    PEER_HEADER_ABSENT,
    PEER_HEADER_REPEATED, /* more than one value: somebody besides Envoy has a hand in it */
    PEER_HEADER_MALFORMED,
    PEER_HEADER_READ, /* a tuple, in `direct`; decide then makes it one of: */
    PEER_HEADER_USED,
    PEER_HEADER_IGNORED, /* source.address is verified, and is another: an attempt to be somebody */
    PEER_HEADER_COUNT_,
};

const char *peer_header_name(enum peer_header header);

/* A pair of context_extensions. */
struct extension {
    struct str key, value;
};

struct subject {
    /* the connection */
    enum peer_kind peer;
    struct endpoint source; /* family 0: observed absent (pipe, internal listener, none) */
    struct endpoint destination;
    /* Where those may be a PROXY header's: the tuple of the TCP connection itself. */
    enum peer_header peer_header;
    struct flow direct; /* set with PEER_HEADER_READ, _USED and _IGNORED */
    /* What Envoy says of the peers; ptr NULL: absent. */
    struct str source_principal; /* proven by TLS */
    struct str source_service; /* what the client says it is: x-envoy-downstream-service-cluster */
    struct str destination_principal;
    struct str destination_service; /* network filter: the SNI */
    struct str sni;                 /* tls_session */
    struct str ja3, ja4;            /* of the headers that the policy names for them; unchecked */

    /* Messages as they came, of repeated ones all bytes; walked when a rule asks (context.h).  ptr
     * NULL: not sent. */
    struct str destination_peer; /* AttributeContext.Peer, for its labels */
    struct str metadata;         /* config.core.v3.Metadata, of metadata_context ... */
    struct str route_metadata;   /* ... and of route_metadata_context */

    /* Of the route: context_extensions, in the order in which they came; of a repeated key the last
     * counts. */
    const struct extension *extensions;
    size_t extension_count;

    /* its SYN, filled in by decide */
    enum syn_state syn_state;
    enum syn_reason syn_reason;
    const struct signature *signature; /* NULL: unobservable */
    struct str p0f;                    /* its text; ptr NULL: unobservable */
    /* By the policy's databases, of which there may be none; NULL: unobservable.  Its label may be
     * NULL; `label` is then absent, else the label's name and flavor as p0f prints them. */
    const struct match *match;
    struct str label;

    /* the request; all absent on a Check of the network filter */
    bool has_http;
    struct str method, path, host, scheme, protocol; /* path without the query; ptr NULL: absent */
    struct str query;                                /* behind the "?", which is not part of it */
    /* Headers that the product itself reads, whatever the policy does; ptr NULL: absent. */
    struct str content_type; /* a gRPC client is answered as one */
    struct str request_id;   /* x-request-id */
    struct str trace_parent; /* W3C traceparent, unchecked */

    /* Values of the headers that the policy reads: index = slot of the policy's header_table; ptr
     * NULL: absent.  A repeated header is joined with "," as Envoy does.  NULL when there is no
     * HTTP request. */
    const struct str *headers;
};

/* Hops from the client to this node, wherever in it the SYN was seen.  -1: not known, for want of a
 * SYN or since its label says that the TTL is random. */
int subject_distance(const struct subject *subject);

/* The value of a context extension; ptr NULL: the route has none of that name. */
struct str subject_extension(const struct subject *subject, struct str key);

#endif
