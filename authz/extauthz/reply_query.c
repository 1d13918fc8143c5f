/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of an allowed request's query.
 *
 * A parameter that any rule sets is the policy's own: a client's copy is removed on every allow,
 * also where its name is percent-encoded, which applications decode and Envoy does not.  Envoy is
 * told to remove what is there and nothing else, since it writes the path anew for each removal. */
#include "percent.h"
#include "reply_parts.h"

/* A client's copies that are spelled in another way; more is oversize. */
enum { SPELLINGS_MAX = 64, NAME_MAX_LENGTH = 64 };

struct query {
    struct reply *reply;
    const struct name_table *slots;
    struct str *values; /* by slot: to be set; ptr NULL: not */
    bool *removed;      /* by slot, under its own name */
    size_t spellings;
};

static bool is_taken(const struct query *query, size_t slot)
{
    const struct reply *reply = query->reply;
    const struct effect *effect = reply->decision->mutations[TARGET_QUERY][slot].effect;

    return slot < reply->policy->owned_parameter_count || (effect && effect->kind == EFFECT_REMOVE);
}

static void remove_own_name(struct query *query, size_t slot, struct str key)
{
    if (query->values[slot].ptr || query->removed[slot])
        return; /* to be set, which replaces all of that name; or said already */
    query->removed[slot] = true;
    pb_put_text(&query->reply->writer, OK_QUERY_TO_REMOVE, key);
}

static void remove_spelling(struct query *query, struct str key)
{
    if (++query->spellings > SPELLINGS_MAX)
        query->reply->writer.full = true;
    else
        pb_put_text(&query->reply->writer, OK_QUERY_TO_REMOVE, key);
}

static void look_at(struct query *query, struct str key)
{
    char name[NAME_MAX_LENGTH];
    size_t length = percent_decode(key, name, sizeof(name));
    int slot;

    if (length > sizeof(name)) /* longer than any name of a policy */
        return;
    slot = name_table_find(query->slots, (struct str){name, length});
    if (slot == NAME_NONE || !is_taken(query, (size_t)slot))
        return;
    if (str_eq(key, query->slots->names[slot]))
        remove_own_name(query, (size_t)slot, key);
    else
        remove_spelling(query, key);
}

static void put_removals(struct query *query)
{
    struct str rest = query->reply->request->subject.query, parameter, key;

    while (str_next_field(&rest, '&', &parameter)) {
        (void)str_next_field(&parameter, '=', &key);
        look_at(query, key);
    }
}

static void render_values(struct query *query)
{
    for (size_t i = 0; i < query->slots->count; i++) {
        const struct effect *effect = query->reply->decision->mutations[TARGET_QUERY][i].effect;

        if (effect && effect->kind == EFFECT_SET)
            query->values[i] = reply_render(query->reply, effect->value);
    }
}

void reply_put_query(struct reply *reply)
{
    struct query query = {.reply = reply, .slots = &reply->policy->slots[TARGET_QUERY]};

    if (query.slots->count == 0)
        return;
    query.values = reply_calloc(reply, query.slots->count, sizeof(*query.values));
    query.removed = reply_calloc(reply, query.slots->count, sizeof(*query.removed));
    if (!query.values || !query.removed)
        return;
    render_values(&query);
    put_removals(&query);
    for (size_t i = query.slots->count; i > 0; i--)
        if (query.values[i - 1].ptr)
            response_put_parameter(
                &reply->writer, query.slots->names[i - 1], query.values[i - 1],
                reply->decision->mutations[TARGET_QUERY][i - 1].effect->is_underscored);
}
