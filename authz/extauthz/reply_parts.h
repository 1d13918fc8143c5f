/* SPDX-License-Identifier: Apache-2.0 */
/* What the files reply*.c share: the parts of a CheckResponse, each written in front of the last.
 */
#ifndef REPLY_PARTS_H
#define REPLY_PARTS_H

#include <stdbool.h>

#include "policy.h"
#include "request.h"
#include "response_writer.h"
#include "template.h"

/* What the parts of a reply are made from.  Where the arena is full, `writer.full` is set: asked
 * once, at the end. */
struct reply {
    const struct policy *policy;
    const struct request *request;
    const struct decision *decision;
    struct template_names names;
    struct arena *arena;
    struct pbwriter writer;
    bool is_bare; /* without the rule's body and metadata */
};

/* The text of a template, ptr NULL when it is absent. */
struct str reply_render(struct reply *reply, const struct template *template);

/* A zeroed array from the arena, NULL when that is full. */
void *reply_calloc(struct reply *reply, size_t count, size_t size);

/* CheckResponse.dynamic_metadata (reply_metadata.c), .ok_response (reply_allow.c, in it the query:
 * reply_query.c) and .denied_response (reply_deny.c). */
void reply_put_metadata(struct reply *reply);
void reply_put_allow(struct reply *reply);
void reply_put_query(struct reply *reply);
void reply_put_deny(struct reply *reply);

/* What a reply says of every decision, also of one that was never evaluated. */
void reply_put_decision(struct pbwriter *writer, const struct template_names *names,
                        enum verdict verdict, struct str reason);

#endif
