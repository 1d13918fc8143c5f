/* SPDX-License-Identifier: Apache-2.0 */
/* The tuple of the TCP connection itself, where source.address is what a PROXY protocol header or
 * another proxy says: from a header that Envoy sets, overwriting the client's, to
 * %DOWNSTREAM_DIRECT_REMOTE_ADDRESS%.
 *
 * Whoever could send that header would wear another client's fingerprint.  So no header is one by
 * itself: the route's context_extensions name it (`peer_header`, and `local_header` for the address
 * at our end), or the initial metadata of the gRPC stream; the route counts when both do, and names
 * none with an empty text.  It must have exactly one value, and it never gets upstream, in no
 * spelling.  What becomes of the tuple is for decide.c to say.
 *
 * Which headers these are is known only when the whole request has been read, so a request that has
 * them named is walked a second time. */
#ifndef PEER_TUPLE_H
#define PEER_TUPLE_H

#include "header_reader.h"
#include "request.h"

/* Into the subject's peer_header and direct, and the request's variants, when all else of the
 * request has been read. */
enum request_status peer_tuple_read(const struct request_wire *wire, struct header_reader *reader);

#endif
