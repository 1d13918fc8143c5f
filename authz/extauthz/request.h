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
    REQUEST_BYTES_MAX = 1 << 20, /* of the whole message; Envoy's default header limit is 60 KiB */
    REQUEST_VARIANTS_MAX = 64,   /* client copies of owned headers in other spellings */
};

struct request {
    struct subject subject;
    /* Names, as the client spelled them, of headers that are variants of an owned one. */
    struct str *variants;
    size_t variant_count;
};

/* A message without attributes, such as one of no bytes, is malformed.  Envoy always sends them,
 * and a broken frame must not turn a denial into what the policy does by default.
 *
 * `wire` and `policy` must outlive the request; all of it lives in `arena`. */
enum request_status request_decode(struct str wire, const struct policy *policy,
                                   struct arena *arena, struct request *ret_request);

#endif
