/* SPDX-License-Identifier: Apache-2.0 */
/* The wire: envoy.service.auth.v3.CheckRequest -> struct subject.
 *
 * One walk over the bytes, which stay where they are: text is borrowed from the message, and only
 * repeated headers and the lists of headers are made in the arena.  (Unpacking first, with
 * protobuf-c, took twice the instructions and could take many times the memory of what was sent; it
 * is what the tests compare with.)  Fields that no rule can ask for are stepped over, and so are
 * unknown ones.  Source: ext_authz v3 API. */
#ifndef REQUEST_H
#define REQUEST_H

#include "arena.h"
#include "str.h"
#include "subject.h"

struct policy;

enum request_status {
    REQUEST_OK = 0,
    REQUEST_OVERSIZE,  /* beyond our limits (message, headers, arena): a decision, not a fault */
    REQUEST_MALFORMED, /* bytes that no Envoy sends: a gRPC error */
};

enum {
    REQUEST_BYTES_MAX = 8 << 20, /* default; with the body that Envoy may send along */
    REQUEST_HEADERS_MAX = 1024,  /* default; Envoy's own is 100 */
    REQUEST_VARIANTS_MAX = 64,   /* names in request.variants */
};

/* What is more than that is oversize. */
struct request_limits {
    size_t bytes_max;   /* of the whole message, with the body that Envoy may send along */
    size_t headers_max; /* header fields */
};

/* What came, and by whose word. */
struct request_wire {
    struct str message; /* a CheckRequest */
    /* From the initial metadata of the gRPC stream, which Envoy's configuration sets: names of the
     * headers with the connection's own addresses; ptr NULL: not said. */
    struct str peer_header, local_header;
    struct request_limits limits;
};

struct request {
    struct subject subject;
    /* Names of headers that must not get upstream, beside those that the policy owns: variants of
     * an owned one, as the client spelled them, and the peer headers.  None is an owned one in
     * another letter case. */
    struct str *variants;
    size_t variant_count;
};

/* A message without attributes, such as one of no bytes, is malformed.  Envoy always sends them,
 * and a broken frame must not turn a denial into what the policy does by default.
 *
 * The bytes of `wire` and `policy` must outlive the request; all of it lives in `arena`. */
enum request_status request_decode(const struct request_wire *wire, const struct policy *policy,
                                   struct arena *arena, struct request *ret_request);

#endif
