/* SPDX-License-Identifier: Apache-2.0 */
/* A CheckRequest that came in pieces, as one message, without the bodies that Envoy sends along.
 *
 * No rule asks for a body, and it may be megabytes: it is left where it is.  Every other byte is
 * copied; lengths that have become smaller are written in as many bytes as they had, which protobuf
 * allows. */
#ifndef REQUEST_PIECES_H
#define REQUEST_PIECES_H

#include "arena.h"
#include "str.h"

/* Below this, copying a message whole costs less than looking for what to leave out. */
enum { REQUEST_SEARCHED_MIN = 64 << 10 };

/* Returns false when the arena is too small for what is copied.  Bytes that are no CheckRequest are
 * copied as they are: that is for the decoder to say. */
bool request_pieces_join(const struct str *pieces, size_t count, struct arena *arena,
                         struct str *ret_message);

#endif
