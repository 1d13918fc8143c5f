/* SPDX-License-Identifier: Apache-2.0 */
/* What a rule changes: request_headers, response_headers, query and metadata. */
#include "draft.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "policy.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void name_done(struct str *name)
{
    freep(&name->ptr);
}

static struct effects *effects_of(const struct draft *draft)
{
    return &draft->rule->effects[draft->target];
}

/* --- one effect */

static int refuse_second(struct draft *draft, struct place place, struct str name, int slot)
{
    static const char *const DONE[] = {
        [EFFECT_SET] = "set", [EFFECT_APPEND] = "appended to", [EFFECT_REMOVE] = "removed"};
    const char *what = draft->target == TARGET_QUERY ? "parameter" : "header";
    const struct effect *first = effects_of(draft)->items;

    while (first->slot != (uint32_t)slot)
        first++;
    return diag_set_at(draft->diag, -EINVAL, place,
                       "found %s \"%" PRIstr "\" a second time in one rule, it is %s in line %u",
                       what, STR_ARG(name), DONE[first->kind], first->place.line);
}

/* One more effect; the array has room. */
static struct effect *add_effect(struct draft *draft, const struct effect *effect)
{
    struct effects *effects = effects_of(draft);

    draft->policy->append_count += effect->kind == EFFECT_APPEND;
    effects->items[effects->count] = *effect;
    return &effects->items[effects->count++];
}

/* Gives a name that is new in this rule its slots. */
static int place_name(struct draft *draft, struct str name, struct effect *effect)
{
    int slot = name_table_add(&draft->policy->slots[draft->target], name), read_slot = 0;
    size_t names_before = draft->names->count;
    int index = name_table_add(draft->names, name);

    if (slot >= 0 && effect->kind == EFFECT_APPEND && draft->target == TARGET_REQUEST_HEADER)
        read_slot = header_table_add_read(draft->policy->headers, name);
    if (slot < 0 || index < 0 || read_slot < 0)
        return draft_no_memory(draft);
    if (draft->names->count == names_before)
        return refuse_second(draft, effect->place, name, slot);
    effect->slot = (uint32_t)slot;
    effect->read_slot = (uint32_t)read_slot;
    return 0;
}

/* --- names and values, which depend on what is changed */

/* Query parameters are sent as they are written here, so no character may need an escape. */
static int read_parameter(struct draft *draft, struct place place, struct str text,
                          struct str *ret_name)
{
    char *copy;

    if (!draft_is_identifier(text))
        return diag_set_at(draft->diag, -EINVAL, place,
                           "found parameter \"%" PRIstr "\", expected 1 to %d letters, digits, "
                           "'.', '_' or '-'",
                           STR_ARG(text), DRAFT_ID_MAX);
    copy = str_dup(text);
    if (!copy)
        return draft_no_memory(draft);
    *ret_name = (struct str){copy, text.len};
    return 0;
}

static int read_changed_name(struct draft *draft, const struct node *node, enum effect_kind kind,
                             struct str *ret_name)
{
    int r;

    if (draft->target == TARGET_QUERY)
        return read_parameter(draft, node->key_place, node->key, ret_name);
    r = draft_read_set_name(draft, node, ret_name);
    if (r == 0 && draft->target == TARGET_RESPONSE_HEADER && kind == EFFECT_SET &&
        str_eq(*ret_name, STR("set-cookie")))
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found \"set-cookie\", which would drop the application's own cookies: "
                           "put it under \"append\"");
    return r;
}

static int read_value(struct draft *draft, const struct node *node, struct effect *effect)
{
    return draft->target == TARGET_QUERY ? draft_read_template(draft, node, &effect->value)
                                         : draft_read_header_value(draft, node, &effect->value);
}

/* --- set, append, remove */

/* NAME: VALUE, or to append NAME: [VALUE, ...] */
static int read_change(struct draft *draft, const struct node *node, enum effect_kind kind)
{
    CLEANUP(name_done) struct str name = {NULL, 0};
    struct effect effect = {.kind = kind, .place = node->key_place};
    int r = read_changed_name(draft, node, kind, &name);

    if (r == 0)
        r = place_name(draft, name, &effect);
    if (r < 0)
        return r;
    if (kind != EFFECT_APPEND || node->kind != NODE_SEQUENCE)
        return read_value(draft, node, add_effect(draft, &effect));
    if (!node->first)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found an empty sequence, expected at least one value");
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = read_value(draft, item, add_effect(draft, &effect));
    return r;
}

static int read_changes(struct draft *draft, const struct node *mapping, enum effect_kind kind)
{
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of names to values");

    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        r = read_change(draft, node, kind);
    return r;
}

static int read_set(struct draft *draft, const struct node *mapping)
{
    return read_changes(draft, mapping, EFFECT_SET);
}

static int read_append(struct draft *draft, const struct node *mapping)
{
    return read_changes(draft, mapping, EFFECT_APPEND);
}

static int read_removed(struct draft *draft, const struct node *node)
{
    CLEANUP(name_done) struct str name = {NULL, 0};
    struct effect effect = {.kind = EFFECT_REMOVE, .place = node->place};
    int r = draft_expect_text(draft, node, "a name");

    if (r < 0)
        return r;
    if (draft->target == TARGET_QUERY)
        r = read_parameter(draft, node->place, node->text, &name);
    else
        r = draft_read_header_name(draft, node->place, node->text, &name);
    if (r == 0)
        r = place_name(draft, name, &effect);
    if (r == 0)
        (void)add_effect(draft, &effect);
    return r;
}

static int read_remove(struct draft *draft, const struct node *sequence)
{
    int r = draft_expect(draft, sequence, NODE_SEQUENCE, "a sequence of names");

    for (const struct node *node = sequence->first; node && r == 0; node = node->next)
        r = read_removed(draft, node);
    return r;
}

/* Read when all effects are, see draft_read_query(). */
static int read_escape(struct draft *draft, const struct node *node)
{
    (void)draft;
    (void)node;
    return 0;
}

static int underscore_values(struct draft *draft, const struct node *node)
{
    static const char *const WORDS[] = {"percent", "underscore"};
    struct effects *effects = effects_of(draft);
    size_t escape = 0;
    int r = draft_read_word(draft, node, WORDS, COUNT_OF(WORDS), &escape);

    for (size_t i = 0; r == 0 && i < effects->count; i++)
        effects->items[i].is_underscored = escape == 1;
    return r;
}

/* --- the blocks */

/* Enough for what `node` can hold, also when it is not what it should be. */
static int take_room(struct draft *draft, const struct node *node)
{
    size_t room = 1;

    for (const struct node *child = node->first; child; child = child->next)
        for (const struct node *item = child->first; item; item = item->next)
            room += 1 + item->count;
    effects_of(draft)->items = calloc(room, sizeof(struct effect));
    return effects_of(draft)->items ? 0 : draft_no_memory(draft);
}

struct block {
    enum effect_target target;
    const char *name;     /* for messages about its keys */
    const char *expected; /* what it should be */
    const struct draft_key *keys;
    size_t key_count;
};

static int read_block(struct draft *draft, const struct node *node, const struct block *block)
{
    CLEANUP(name_table_done) struct name_table names = {0};
    int r = draft_expect(draft, node, NODE_MAPPING, block->expected);

    if (r < 0)
        return r;
    draft->target = block->target;
    draft->names = &names;
    r = take_room(draft, node);
    return r < 0 ? r : draft_read_keys(draft, node, block->name, block->keys, block->key_count);
}

static const struct draft_key CHANGES[] = {
    {"set", read_set, false}, {"append", read_append, false}, {"remove", read_remove, false}};
static const struct draft_key ADDITIONS[] = {{"set", read_set, false},
                                             {"append", read_append, false}};
static const struct draft_key PARAMETERS[] = {
    {"set", read_set, false}, {"remove", read_remove, false}, {"escape", read_escape, false}};

int draft_read_request_headers(struct draft *draft, const struct node *node)
{
    static const struct block BLOCK = {TARGET_REQUEST_HEADER, "\"request_headers\"",
                                       "a mapping with \"set\", \"append\" and \"remove\"", CHANGES,
                                       COUNT_OF(CHANGES)};

    return read_block(draft, node, &BLOCK);
}

int draft_read_response_headers(struct draft *draft, const struct node *node)
{
    static const struct block BLOCK = {TARGET_RESPONSE_HEADER, "\"response_headers\"",
                                       "a mapping with \"set\" and \"append\"", ADDITIONS,
                                       COUNT_OF(ADDITIONS)};

    return read_block(draft, node, &BLOCK);
}

int draft_read_query(struct draft *draft, const struct node *node)
{
    static const struct block BLOCK = {TARGET_QUERY, "\"query\"",
                                       "a mapping with \"set\" and \"remove\"", PARAMETERS,
                                       COUNT_OF(PARAMETERS)};
    const struct node *escape;
    int r = read_block(draft, node, &BLOCK);

    escape = r == 0 ? node_find(node, STR("escape")) : NULL;
    return escape ? underscore_values(draft, escape) : r;
}

/* --- metadata */

/* Ours, and the one that Envoy adds. */
static const struct str RESERVED_METADATA[] = {
    STR_INIT("p0f"),
    STR_INIT("p0f_signature"),
    STR_INIT("p0f_state"),
    STR_INIT("p0f_os"),
    STR_INIT("rule"),
    STR_INIT("policy"),
    STR_INIT("revision"),
    STR_INIT("decision_id"),
    STR_INIT("verdict"),
    STR_INIT("reason"),
    STR_INIT("shadow_rule"),
    STR_INIT("would_be"),
    STR_INIT("ext_authz_duration"),
};

static int check_metadata_key(struct draft *draft, const struct node *node)
{
    if (draft_is_identifier(node->key))
        return 0;
    return diag_set_at(draft->diag, -EINVAL, node->key_place,
                       "found metadata key \"%" PRIstr "\", expected 1 to %d letters, digits, "
                       "'.', '_' or '-'",
                       STR_ARG(node->key), DRAFT_ID_MAX);
}

static int read_members(struct draft *draft, const struct node *mapping,
                        struct metadata_member **ret_members, size_t *ret_count);

/* A template, or a mapping of the same again. */
static int read_metadata_value(struct draft *draft, const struct node *node,
                               struct template **ret_value, struct metadata_member **ret_members,
                               size_t *ret_count)
{
    if (node->kind != NODE_MAPPING)
        return draft_read_template(draft, node, ret_value);
    if (!node->first)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found an empty mapping, expected keys and texts");
    return read_members(draft, node, ret_members, ret_count);
}

/* The recursion is as deep as the document, whose depth is bounded (doc.h). */
static int read_members(struct draft *draft, const struct node *mapping,
                        struct metadata_member **ret_members, size_t *ret_count)
{
    struct metadata_member *members = calloc(mapping->count, sizeof(*members));
    int r = 0;

    if (!members)
        return draft_no_memory(draft);
    *ret_members = members; /* the effect's from here on */
    for (const struct node *node = mapping->first; node && r == 0; node = node->next) {
        struct metadata_member *member = &members[(*ret_count)++];

        r = check_metadata_key(draft, node);
        if (r < 0)
            return r;
        member->key = (struct str){str_dup(node->key), node->key.len};
        if (!member->key.ptr)
            return draft_no_memory(draft);
        r = read_metadata_value(draft, node, &member->value, &member->members,
                                &member->member_count);
    }
    return r;
}

static int read_metadata_entry(struct draft *draft, const struct node *node)
{
    struct effect *effect;
    int slot, r = check_metadata_key(draft, node);

    if (r < 0)
        return r;
    if (draft_is_one_of(node->key, RESERVED_METADATA, COUNT_OF(RESERVED_METADATA)))
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found metadata key \"%" PRIstr "\", which is reserved",
                           STR_ARG(node->key));
    slot = name_table_add(&draft->policy->slots[TARGET_METADATA], node->key);
    if (slot < 0)
        return draft_no_memory(draft);
    effect = add_effect(draft, &(struct effect){.slot = (uint32_t)slot, .place = node->key_place});
    return read_metadata_value(draft, node, &effect->value, &effect->members,
                               &effect->member_count);
}

int draft_read_metadata(struct draft *draft, const struct node *mapping)
{
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of keys to texts");

    if (r < 0)
        return r;
    draft->target = TARGET_METADATA;
    effects_of(draft)->items = calloc(mapping->count + 1, sizeof(struct effect));
    if (!effects_of(draft)->items)
        return draft_no_memory(draft);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        r = read_metadata_entry(draft, node);
    return r;
}
