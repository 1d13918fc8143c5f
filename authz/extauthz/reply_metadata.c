/* SPDX-License-Identifier: Apache-2.0 */
/* Dynamic metadata: what later filters, rate limits and access logs can know of a decision. */
#include "matcher.h"
#include "os.h"
#include "reply_parts.h"

static struct str verdict_text(enum verdict verdict)
{
    return verdict == VERDICT_ALLOW ? STR("allow") : STR("deny");
}

/* --- why -------------------------------------------------------------------------------------- */

static struct str unknown_text(struct reply *reply)
{
    static const struct str PREFIX = STR_INIT("unknown:");
    struct str id = reply->names.rule;
    char *text = reply_calloc(reply, PREFIX.len + id.len, 1);

    if (!text)
        return PREFIX;
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

void reply_put_decision(struct pbwriter *writer, const struct template_names *names,
                        enum verdict verdict, struct str reason)
{
    response_put_entry(writer, STR("reason"), reason);
    response_put_entry(writer, STR("verdict"), verdict_text(verdict));
    response_put_entry(writer, STR("decision_id"), names->decision_id);
    response_put_entry(writer, STR("revision"), names->revision);
    response_put_entry(writer, STR("policy"), names->policy);
    response_put_entry(writer, STR("rule"), names->rule);
}

/* Said only where a shadow rule would change the verdict. */
static void put_would_be(struct reply *reply)
{
    const struct decision *decision = reply->decision;

    if (decision->would_be == decision->verdict || !decision->would_be_rule)
        return;
    response_put_entry(&reply->writer, STR("would_be"), verdict_text(decision->would_be));
    response_put_entry(&reply->writer, STR("shadow_rule"), decision->would_be_rule->id);
}

/* --- the fingerprint -------------------------------------------------------------------------- */

static struct str label_text(const struct subject *subject)
{
    return subject->label.ptr ? subject->label : STR("unknown");
}

/* What the policy's databases say of the system.  Without any nothing is known of it, not even that
 * it is unknown. */
static void put_system(struct reply *reply)
{
    const struct subject *subject = &reply->request->subject;
    const struct match *match = subject->match;
    const struct fp_label *label;

    if (!match || !reply->policy->database_count)
        return;
    label = match->label;
    response_put_entry(&reply->writer, STR("match"), str_from(match_kind_name(match->kind)));
    response_put_entry(&reply->writer, STR("family"),
                       str_from(os_family_name(os_family_of(label))));
    if (label && label->flavor[0])
        response_put_entry(&reply->writer, STR("flavor"), str_from(label->flavor));
    if (label)
        response_put_entry(&reply->writer, STR("name"), str_from(label->name));
    response_put_entry(&reply->writer, STR("os"), label_text(subject));
}

/* In hops; a number, since nobody matches it as text. */
static void put_distance(struct reply *reply)
{
    const int distance = subject_distance(&reply->request->subject);

    if (distance >= 0)
        response_put_number(&reply->writer, STR("distance"), distance);
}

/* Nested, and what rate limits and access logs want as flat text a second time. */
static void put_fingerprint(struct reply *reply)
{
    const struct subject *subject = &reply->request->subject;
    struct str state = str_from(syn_state_name(subject->syn_state));
    struct pbwriter *writer = &reply->writer;
    size_t mark;

    response_put_entry(writer, STR("p0f_state"), state);
    if (subject->match && reply->policy->database_count)
        response_put_entry(writer, STR("p0f_os"), label_text(subject));
    if (subject->p0f.ptr)
        response_put_entry(writer, STR("p0f_signature"), subject->p0f);
    mark = pb_open(writer);
    response_put_entry(writer, STR("state"), state);
    put_distance(reply);
    put_system(reply);
    if (subject->p0f.ptr)
        response_put_entry(writer, STR("signature"), subject->p0f);
    response_close_struct(writer, STR("p0f"), mark);
}

/* --- the policy's own ------------------------------------------------------------------------- */

static void put_text(struct reply *reply, struct str key, const struct template *value)
{
    struct str text = reply_render(reply, value);

    if (text.ptr)
        response_put_entry(&reply->writer, key, text);
}

/* As deep as the policy's file, whose depth is bounded.  Nothing remains of members that are all
 * absent. */
static void put_members(struct reply *reply, struct str key, const struct metadata_member *members,
                        size_t count)
{
    size_t mark = pb_open(&reply->writer);

    for (size_t i = count; i > 0; i--) {
        const struct metadata_member *member = &members[i - 1];

        if (member->value)
            put_text(reply, member->key, member->value);
        else
            put_members(reply, member->key, member->members, member->member_count);
    }
    if (pb_open(&reply->writer) != mark)
        response_close_struct(&reply->writer, key, mark);
}

static void put_rules_metadata(struct reply *reply)
{
    const struct name_table *keys = &reply->policy->slots[TARGET_METADATA];

    for (size_t i = 0; i < keys->count; i++) {
        const struct effect *effect = reply->decision->mutations[TARGET_METADATA][i].effect;

        if (effect && effect->value)
            put_text(reply, keys->names[i], effect->value);
        else if (effect)
            put_members(reply, keys->names[i], effect->members, effect->member_count);
    }
}

void reply_put_metadata(struct reply *reply)
{
    size_t mark = pb_open(&reply->writer);

    if (!reply->is_bare)
        put_rules_metadata(reply);
    put_would_be(reply);
    reply_put_decision(&reply->writer, &reply->names, reply->decision->verdict, reason_text(reply));
    put_fingerprint(reply);
    pb_close(&reply->writer, RESPONSE_METADATA, mark);
}
