/* SPDX-License-Identifier: Apache-2.0 */
#include "reply.h"

#include "response_writer.h"
#include "template.h"

enum { HTTP_FORBIDDEN = 403, HTTP_FIELDS_TOO_LARGE = 431 };

/* What the parts of a reply are made from. */
struct reply {
    const struct policy *policy;
    const struct request *request;
    const struct decision *decision;
    struct template_names names;
    struct arena *arena;
    struct pbwriter writer;
    bool is_bare; /* without the rule's body and metadata */
};

/* The text of a template, ptr NULL when it is absent. A full arena ends the reply. */
static struct str render(struct reply *reply, const struct template *template)
{
    struct str text = {NULL, 0};

    if (template_render(template, &reply->request->subject, &reply->names, reply->arena, &text) ==
        TEMPLATE_EXHAUSTED)
        reply->writer.full = true;
    return text;
}

/* --- metadata --------------------------------------------------------------------------------- */

static struct str rule_text(const struct decision *decision)
{
    if (decision->reason == DECISION_OVERSIZE)
        return STR("oversize");
    return decision->rule ? decision->rule->id : STR("default");
}

static struct str verdict_text(enum verdict verdict)
{
    return verdict == VERDICT_ALLOW ? STR("allow") : STR("deny");
}

static struct str unknown_text(struct reply *reply)
{
    static const struct str PREFIX = STR_INIT("unknown:");
    struct str id = reply->names.rule;
    char *text = arena_alloc(reply->arena, PREFIX.len + id.len);

    if (!text) {
        reply->writer.full = true;
        return PREFIX;
    }
    memcpy(text, PREFIX.ptr, PREFIX.len);
    if (id.len)
        memcpy(text + PREFIX.len, id.ptr, id.len);
    return (struct str){text, PREFIX.len + id.len};
}

static struct str reason_text(struct reply *reply)
{
    switch (reply->decision->reason) {
    case DECISION_RULE:
        return STR("rule");
    case DECISION_UNKNOWN:
        return unknown_text(reply);
    case DECISION_OVERSIZE:
        return STR("oversize");
    default:
        return STR("default");
    }
}

static void put_fingerprint(struct reply *reply)
{
    const struct subject *subject = &reply->request->subject;
    struct str state = str_from(syn_state_name(subject->syn_state));
    struct pbwriter *writer = &reply->writer;
    size_t mark;

    response_put_entry(writer, STR("p0f_state"), state);
    if (subject->p0f.ptr)
        response_put_entry(writer, STR("p0f_signature"), subject->p0f);
    mark = pb_open(writer);
    response_put_entry(writer, STR("state"), state);
    if (subject->p0f.ptr)
        response_put_entry(writer, STR("signature"), subject->p0f);
    response_close_struct(writer, STR("p0f"), mark);
}

static void put_rules_metadata(struct reply *reply)
{
    const struct policy *policy = reply->policy;

    for (size_t i = 0; i < policy->slots[TARGET_METADATA].count; i++) {
        const struct effect *effect = reply->decision->mutations[TARGET_METADATA][i].effect;
        struct str text;

        if (!effect)
            continue;
        text = render(reply, effect->value);
        if (text.ptr)
            response_put_entry(&reply->writer, policy->slots[TARGET_METADATA].names[i], text);
    }
}

/* What a reply says of every decision, also of one that was never evaluated. */
static void put_decision(struct pbwriter *writer, const struct template_names *names,
                         enum verdict verdict, struct str reason)
{
    response_put_entry(writer, STR("reason"), reason);
    response_put_entry(writer, STR("verdict"), verdict_text(verdict));
    response_put_entry(writer, STR("decision_id"), names->decision_id);
    response_put_entry(writer, STR("revision"), names->revision);
    response_put_entry(writer, STR("policy"), names->policy);
    response_put_entry(writer, STR("rule"), names->rule);
}

static void put_metadata(struct reply *reply)
{
    size_t mark = pb_open(&reply->writer);

    if (!reply->is_bare)
        put_rules_metadata(reply);
    put_decision(&reply->writer, &reply->names, reply->decision->verdict, reason_text(reply));
    put_fingerprint(reply);
    pb_close(&reply->writer, RESPONSE_METADATA, mark);
}

/* --- allow ------------------------------------------------------------------------------------ */

/* The values of the owned headers, by index; ptr NULL: to be removed. NULL when the arena is full.
 */
static struct str *render_owned(struct reply *reply, size_t count)
{
    struct str *values = arena_calloc(reply->arena, count, sizeof(*values));

    if (!values) {
        reply->writer.full = true;
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct effect *effect = reply->decision->mutations[TARGET_REQUEST_HEADER][i].effect;
        struct str text = {NULL, 0};

        if (effect && effect->kind != EFFECT_REMOVE)
            text = header_value_trim(render(reply, effect->value));
        if (text.len)
            values[i] = text;
    }
    return values;
}

static bool is_removed(const struct effect *effect)
{
    return effect && effect->kind == EFFECT_REMOVE;
}

static void put_removals(struct reply *reply, const struct str *values, size_t owned_count)
{
    const struct name_table *slots = &reply->policy->slots[TARGET_REQUEST_HEADER];
    const struct mutation *mutations = reply->decision->mutations[TARGET_REQUEST_HEADER];
    const struct request *request = reply->request;

    for (size_t i = 0; i < request->variant_count; i++)
        pb_put_text(&reply->writer, OK_HEADERS_TO_REMOVE, request->variants[i]);
    for (size_t i = 0; i < slots->count; i++)
        if (i < owned_count ? !values[i].ptr : is_removed(mutations[i].effect))
            pb_put_text(&reply->writer, OK_HEADERS_TO_REMOVE, slots->names[i]);
}

static void put_allow(struct reply *reply)
{
    size_t owned_count = header_table_owned_count(reply->policy->headers);
    const struct str *values = render_owned(reply, owned_count);
    size_t mark = pb_open(&reply->writer);

    if (!values)
        return;
    put_removals(reply, values, owned_count);
    for (size_t i = owned_count; i > 0; i--)
        if (values[i - 1].ptr)
            response_put_header(&reply->writer,
                                reply->policy->slots[TARGET_REQUEST_HEADER].names[i - 1],
                                values[i - 1]);
    pb_close(&reply->writer, RESPONSE_OK, mark);
}

/* --- deny ------------------------------------------------------------------------------------- */

static void put_respond(struct reply *reply, const struct respond *respond)
{
    struct str body = {NULL, 0};

    if (respond->body && !reply->is_bare)
        body = render(reply, respond->body);
    if (body.len)
        pb_put_text(&reply->writer, DENIED_BODY, body);
    for (size_t i = respond->header_count; i > 0; i--) {
        struct str value = header_value_trim(render(reply, respond->headers[i - 1].value));

        if (value.len)
            response_put_header(&reply->writer, respond->headers[i - 1].name, value);
    }
}

static void put_deny(struct reply *reply)
{
    const struct rule *rule = reply->decision->rule;
    const struct respond *respond = rule ? rule->respond : NULL;
    size_t mark = pb_open(&reply->writer);

    if (respond)
        put_respond(reply, respond);
    response_put_http_status(&reply->writer,
                             respond && respond->status ? respond->status : HTTP_FORBIDDEN);
    pb_close(&reply->writer, RESPONSE_DENIED, mark);
}

/* --- the reply -------------------------------------------------------------------------------- */

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
    put_metadata(reply);
    if (reply->request->subject.has_http) {
        if (is_allow)
            put_allow(reply);
        else
            put_deny(reply);
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
    put_decision(&writer, &names, VERDICT_DENY, STR("oversize"));
    pb_close(&writer, RESPONSE_METADATA, mark);
    if (writer.full) /* names too long for the buffer: say only that it is denied */
        pb_init(&writer, buffer, REPLY_OVERSIZE_MAX);
    mark = pb_open(&writer);
    response_put_http_status(&writer, HTTP_FIELDS_TOO_LARGE);
    pb_close(&writer, RESPONSE_DENIED, mark);
    response_put_status(&writer, RPC_PERMISSION_DENIED);
    return pb_result(&writer);
}
