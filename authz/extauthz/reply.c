/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "reply_parts.h"

enum { HTTP_FIELDS_TOO_LARGE = 431 };

struct str reply_render(struct reply *reply, const struct template *template)
{
    struct str text = {NULL, 0};

    if (template_render(template, &reply->request->subject, &reply->names, reply->arena, &text) ==
        TEMPLATE_EXHAUSTED)
        reply->writer.full = true;
    return text;
}

void *reply_calloc(struct reply *reply, size_t count, size_t size)
{
    void *array = arena_calloc(reply->arena, count, size);

    if (!array)
        reply->writer.full = true;
    return array;
}

/* --- the reply -------------------------------------------------------------------------------- */

static struct str rule_text(const struct decision *decision)
{
    if (decision->reason == DECISION_OVERSIZE)
        return STR("oversize");
    return decision->rule ? decision->rule->id : STR("default");
}

static struct template_names names_of(const struct policy *policy, struct str rule,
                                      struct str decision_id)
{
    return (struct template_names){
        .rule = rule,
        .policy = policy->name,
        .revision = str_from(policy->revision),
        .decision_id = decision_id,
    };
}

static struct str write_reply(struct reply *reply, char *buffer)
{
    bool is_allow = reply->decision->verdict == VERDICT_ALLOW;

    pb_init(&reply->writer, buffer, REPLY_BYTES_MAX);
    reply_put_metadata(reply);
    if (reply->request->subject.has_http) {
        if (is_allow)
            reply_put_allow(reply);
        else
            reply_put_deny(reply);
    }
    response_put_status(&reply->writer, is_allow ? RPC_OK : RPC_PERMISSION_DENIED);
    return pb_result(&reply->writer);
}

struct str reply_build(const struct policy *policy, const struct request *request,
                       const struct decision *decision, struct str decision_id, struct arena *arena)
{
    char *buffer = arena_alloc(arena, REPLY_BYTES_MAX);
    struct reply reply = {
        .policy = policy,
        .request = request,
        .decision = decision,
        .names = names_of(policy, rule_text(decision), decision_id),
        .arena = arena,
    };
    struct str bytes;

    if (!buffer)
        return (struct str){NULL, 0};
    bytes = write_reply(&reply, buffer);
    if (bytes.ptr || decision->verdict == VERDICT_ALLOW)
        return bytes;
    reply.is_bare = true;
    return write_reply(&reply, buffer);
}

struct str reply_oversize(const struct policy *policy, struct str decision_id,
                          char buffer[REPLY_OVERSIZE_MAX])
{
    struct template_names names = names_of(policy, STR("oversize"), decision_id);
    struct pbwriter writer;
    size_t mark;

    pb_init(&writer, buffer, REPLY_OVERSIZE_MAX);
    mark = pb_open(&writer);
    reply_put_decision(&writer, &names, VERDICT_DENY, STR("oversize"));
    pb_close(&writer, RESPONSE_METADATA, mark);
    if (writer.full) /* names too long for the buffer: say only that it is denied */
        pb_init(&writer, buffer, REPLY_OVERSIZE_MAX);
    mark = pb_open(&writer);
    response_put_http_status(&writer, HTTP_FIELDS_TOO_LARGE);
    pb_close(&writer, RESPONSE_DENIED, mark);
    response_put_status(&writer, RPC_PERMISSION_DENIED);
    return pb_result(&writer);
}

struct str reply_fault(unsigned http_status, char buffer[REPLY_FAULT_MAX])
{
    struct pbwriter writer;
    size_t mark;

    pb_init(&writer, buffer, REPLY_FAULT_MAX);
    mark = pb_open(&writer);
    response_put_http_status(&writer, http_status);
    pb_close(&writer, RESPONSE_ERROR, mark);
    response_put_status(&writer, RPC_UNAVAILABLE);
    return pb_result(&writer);
}
