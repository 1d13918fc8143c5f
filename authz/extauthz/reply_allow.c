/* SPDX-License-Identifier: Apache-2.0 */
/* OkHttpResponse: what an allowed request, and the answer to it, are changed to. */
#include "reply_parts.h"

/* --- values ----------------------------------------------------------------------------------- */

/* What Envoy, too, puts between two values of one header. */
static struct str separator_of(struct str name)
{
    return str_eq(name, STR("cookie")) ? STR("; ") : STR(",");
}

static struct str join(struct reply *reply, const struct str *parts, size_t count,
                       struct str separator)
{
    size_t length = 0;
    char *text, *at;

    if (count <= 1)
        return count ? parts[0] : (struct str){NULL, 0};
    for (size_t i = 0; i < count; i++)
        length += parts[i].len + (i ? separator.len : 0);
    text = at = reply_calloc(reply, length, 1);
    if (!text)
        return (struct str){NULL, 0};
    for (size_t i = 0; i < count; i++) {
        if (i) {
            memcpy(at, separator.ptr, separator.len);
            at += separator.len;
        }
        memcpy(at, parts[i].ptr, parts[i].len);
        at += parts[i].len;
    }
    return (struct str){text, length};
}

static size_t chain_length(const struct mutation *last)
{
    size_t length = 0;

    for (; last; last = last->before)
        length++;
    return length;
}

/* The first effect of a chain says what the rest is appended to. */
static const struct effect *chain_base(const struct mutation *last)
{
    while (last->before)
        last = last->before;
    return last->effect;
}

/* The values that rules give a header, those that are not empty, joined.  {NULL, 0}: none. */
static struct str chain_value(struct reply *reply, const struct mutation *last, struct str name)
{
    size_t count = chain_length(last), free = count;
    struct str *parts = reply_calloc(reply, count, sizeof(*parts));

    for (; parts && last; last = last->before) {
        struct str text = {NULL, 0};

        if (last->effect->kind != EFFECT_REMOVE)
            text = header_value_trim(reply_render(reply, last->effect->value));
        if (text.len)
            parts[--free] = text;
    }
    return parts ? join(reply, parts + free, count - free, separator_of(name))
                 : (struct str){NULL, 0};
}

/* --- headers of the request ------------------------------------------------------------------- */

/* What becomes of one header; zeroed: nothing. */
struct header_change {
    enum { CHANGE_NONE = 0, CHANGE_SET, CHANGE_EXTEND, CHANGE_REMOVE } kind;
    struct str value;
};

/* The client's own value is part of the result.  Where it has bytes that we could not repeat,
 * Envoy is told to extend what it has. */
static struct header_change extend(struct reply *reply, struct str name, struct str client,
                                   struct str value)
{
    const struct str parts[] = {client, value};

    if (!client.len)
        return (struct header_change){CHANGE_SET, value};
    if (!header_value_is_plain(client))
        return (struct header_change){CHANGE_EXTEND, value};
    return (struct header_change){CHANGE_SET, join(reply, parts, 2, separator_of(name))};
}

/* A header that must not get upstream although the policy does not own it: the peer header. */
static bool is_forbidden(const struct request *request, struct str name)
{
    for (size_t i = 0; i < request->variant_count; i++)
        if (str_eq_nocase(request->variants[i], name))
            return true;
    return false;
}

static struct header_change change_of(struct reply *reply, size_t slot, bool is_owned)
{
    const struct mutation *last = &reply->decision->mutations[TARGET_REQUEST_HEADER][slot];
    struct str name = reply->policy->slots[TARGET_REQUEST_HEADER].names[slot];
    const struct effect *base = last->effect ? chain_base(last) : NULL;
    struct str value;

    if (!base)
        return (struct header_change){.kind = is_owned ? CHANGE_REMOVE : CHANGE_NONE};
    if (!is_owned && is_forbidden(reply->request, name))
        return (struct header_change){0}; /* removed as one of the variants */
    value = chain_value(reply, last, name);
    if (!is_owned && base->kind == EFFECT_APPEND)
        return value.len
                   ? extend(reply, name, reply->request->subject.headers[base->read_slot], value)
                   : (struct header_change){0};
    return (struct header_change){value.len ? CHANGE_SET : CHANGE_REMOVE, value};
}

static void put_removals(struct reply *reply, const struct header_change *changes)
{
    const struct name_table *slots = &reply->policy->slots[TARGET_REQUEST_HEADER];
    const struct request *request = reply->request;

    for (size_t i = 0; i < request->variant_count; i++)
        pb_put_text(&reply->writer, OK_HEADERS_TO_REMOVE, request->variants[i]);
    for (size_t i = 0; i < slots->count; i++)
        if (changes[i].kind == CHANGE_REMOVE)
            pb_put_text(&reply->writer, OK_HEADERS_TO_REMOVE, slots->names[i]);
}

static void put_sets(struct reply *reply, const struct header_change *changes)
{
    const struct name_table *slots = &reply->policy->slots[TARGET_REQUEST_HEADER];

    for (size_t i = slots->count; i > 0; i--) {
        const struct header_change *change = &changes[i - 1];

        if (change->kind == CHANGE_SET || change->kind == CHANGE_EXTEND)
            response_put_header(&reply->writer, OK_HEADERS, slots->names[i - 1], change->value,
                                change->kind == CHANGE_EXTEND);
    }
}

/* --- headers of the answer -------------------------------------------------------------------- */

/* Each value a line of its own beside those of the upstream (set-cookie). */
static void put_lines(struct reply *reply, const struct mutation *last, struct str name)
{
    for (; last; last = last->before) {
        struct str value = header_value_trim(reply_render(reply, last->effect->value));

        if (value.len)
            response_put_header(&reply->writer, OK_RESPONSE_HEADERS, name, value, true);
    }
}

static void put_response_headers(struct reply *reply)
{
    const struct name_table *slots = &reply->policy->slots[TARGET_RESPONSE_HEADER];

    for (size_t i = slots->count; i > 0; i--) {
        const struct mutation *last = &reply->decision->mutations[TARGET_RESPONSE_HEADER][i - 1];
        struct str name = slots->names[i - 1], value;

        if (!last->effect)
            continue;
        if (chain_base(last)->kind == EFFECT_APPEND) {
            put_lines(reply, last, name);
            continue;
        }
        value = chain_value(reply, last, name);
        if (value.len)
            response_put_header(&reply->writer, OK_RESPONSE_HEADERS, name, value, false);
    }
}

void reply_put_allow(struct reply *reply)
{
    size_t owned_count = header_table_owned_count(reply->policy->headers);
    size_t slot_count = reply->policy->slots[TARGET_REQUEST_HEADER].count;
    struct header_change *changes = reply_calloc(reply, slot_count, sizeof(*changes));
    size_t mark = pb_open(&reply->writer);

    if (!changes)
        return;
    for (size_t i = 0; i < slot_count; i++)
        changes[i] = change_of(reply, i, i < owned_count);
    reply_put_query(reply);
    put_response_headers(reply);
    put_removals(reply, changes);
    put_sets(reply, changes);
    pb_close(&reply->writer, RESPONSE_OK, mark);
}
