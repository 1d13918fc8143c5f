/* SPDX-License-Identifier: Apache-2.0 */
/* What Envoy says beside the request, read where it lies when a rule asks: metadata and labels.
 *
 * No recursion, no allocation, and a bounded number of steps, however deep or wide the messages
 * are.  Bytes that cannot be read to the end, or not within that bound, are unobservable.
 * Source: envoy/config/core/v3/base.proto (Metadata), google/protobuf/struct.proto. */
#ifndef CONTEXT_H
#define CONTEXT_H

#include <stddef.h>

#include "fact.h"
#include "str.h"

/* The value at a path of a Metadata message: names[0] is the namespace, what follows are the keys
 * of mappings from the outermost inwards, or the indexes of lists.
 *
 * Unobservable when the namespace is not there: no filter has written it, or Envoy was not told to
 * send it.  Absent when the path leads nowhere, or to null.  Numbers and booleans are text, as in
 * JSON; the text of a list or a mapping is empty. */
enum fact_case context_metadata(struct str metadata, const struct str *names, size_t count,
                                struct fact_value *ret_value);

/* A label of an AttributeContext.Peer message; request.c has seen that its entries can be read. */
enum fact_case context_label(struct str peer, struct str name, struct fact_value *ret_value);

#endif
