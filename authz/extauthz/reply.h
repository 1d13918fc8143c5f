/* SPDX-License-Identifier: Apache-2.0 */
/* The wire: decision -> envoy.service.auth.v3.CheckResponse.
 *
 * An empty CheckResponse means allow to Envoy, so none is ever built: a reply always has a status,
 * and becomes an allow only on purpose.  Written back to front by a small protobuf writer, so that
 * nested lengths are known when they are written and nothing is copied twice.
 *
 * On allow every owned header is either set (append=false) or removed, and so is each variant that
 * the client sent; no name is in both lists.  A header whose value is absent or empty is removed:
 * whether an empty value overwrites the client's copy depends on the version of Envoy.  What is
 * appended to a client's header is sent joined to it, as one value that is set, since Envoy itself
 * appends only to what is there, and not in every version.  Parameters of the query: reply_query.c.
 * Values are made valid: header values visible ASCII, space and tab (RFC 9110 5.5), parameters and
 * where a redirect leads percent-encoded, body and metadata UTF-8.
 *
 * A gRPC client is denied by a gRPC status and one line of text.  A Check of the network filter is
 * answered by status and metadata alone, that filter reads nothing else. */
#ifndef REPLY_H
#define REPLY_H

#include "arena.h"
#include "policy.h"
#include "request.h"

/* The body of a rule (64 KiB) and what its templates take from a request, several times.  Pages are
 * touched only where a reply is written. */
enum { REPLY_BYTES_MAX = 256 << 10 };

/* Bytes in `arena`.  A denial that does not fit is built again without the rule's body and
 * metadata: status, headers, rule and reason stay.  {NULL, 0} when the arena or REPLY_BYTES_MAX do
 * not suffice all the same: the caller then sends reply_oversize(). */
struct str reply_build(const struct policy *policy, const struct request *request,
                       const struct decision *decision, struct str decision_id,
                       struct arena *arena);

/* A denial (HTTP 431) for a request beyond our limits.  `buffer` holds the result. */
enum { REPLY_OVERSIZE_MAX = 512 };
struct str reply_oversize(const struct policy *policy, struct str decision_id,
                          char buffer[REPLY_OVERSIZE_MAX]);

/* What our own fault is answered with where --error-response is given: error_response to an Envoy
 * that knows it (1.37 and later), a denial with 403 to an older one, and never an allow: the status
 * is UNAVAILABLE.  `buffer` holds the result. */
enum { REPLY_FAULT_MAX = 32 };
struct str reply_fault(unsigned http_status, char buffer[REPLY_FAULT_MAX]);

#endif
