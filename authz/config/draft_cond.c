/* SPDX-License-Identifier: Apache-2.0 */
/* `when`: from nodes to a condition. */
#include "draft.h"

#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "cond.h"
#include "fact.h"
#include "fact_key.h"
#include "policy.h"

static const char *const GROUPS[] = {[COND_ALL] = "all", [COND_ANY] = "any", [COND_NOT] = "not"};

enum { GROUP_COUNT = sizeof(GROUPS) / sizeof(GROUPS[0]) };

static const char *const TRUE_FALSE[] = {"false", "true"};

struct reader {
    struct draft *draft;
    struct cond_builder builder;
};

static void reader_done(struct reader *reader)
{
    cond_builder_done(&reader->builder);
}

static int no_room(struct reader *reader, const struct node *node, int error)
{
    if (error == -E2BIG)
        return diag_set_at(reader->draft->diag, error, node->place,
                           "found conditions nested deeper than %d levels", COND_DEPTH_MAX);
    return draft_no_memory(reader->draft);
}

/* --- tests */

/* What a test is about: a fact and, where there are several of it, which one. */
struct asked {
    const struct fact *fact;
    struct str names[FACT_PATH_MAX + 1];
    const struct node *nodes[FACT_PATH_MAX + 1]; /* where they stand */
    size_t count;
};

static int read_operand(struct reader *reader, const struct fact *fact, const struct node *node)
{
    struct diag inner = {0}, *diag = reader->draft->diag;
    size_t offset;
    int r = draft_expect_text(reader->draft, node, "a text");

    if (r < 0)
        return r;
    if (fact->holds_commas && node->before_comma)
        return diag_set_at(diag, -EINVAL, node->place,
                           "found %" PRIstr ", but inside [] and {} an unquoted text ends at a "
                           "comma: put the whole text in quotes (\"...\")",
                           STR_ARG(node->text));
    r = cond_builder_operand(&reader->builder, node->text, &offset, &inner);
    if (r < 0 && !inner.text[0])
        return no_room(reader, node, r);
    if (r < 0)
        return diag_set_at(diag, r, node_place_at(node, offset), "%s%s",
                           fact->type == FACT_SIGNATURE ? "wrong signature: " : "", inner.text);
    return 0;
}

static int read_list(struct reader *reader, const struct fact *fact, const struct node *node)
{
    int r = draft_expect(reader->draft, node, NODE_SEQUENCE, "a sequence: [..., ...]");

    if (r < 0)
        return r;
    if (!node->first)
        return diag_set_at(reader->draft->diag, -EINVAL, node->place,
                           "found an empty sequence, expected at least one item");
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = read_operand(reader, fact, item);
    return r;
}

/* The key that the condition will own. */
static int make_key(struct reader *reader, const struct asked *asked, const struct node *node,
                    struct fact_key **ret_key)
{
    struct draft *draft = reader->draft;
    struct diag inner = {0};
    size_t wrong = 0;
    int r = fact_key_new(asked->fact, asked->names, asked->count, draft->policy->headers, ret_key,
                         &wrong, &inner);

    if (r < 0 && !inner.text[0])
        return draft_no_memory(draft);
    if (r < 0)
        return diag_set_at(draft->diag, r,
                           asked->count ? asked->nodes[wrong]->place : node->key_place, "%s",
                           inner.text);
    return 0;
}

static int read_test(struct reader *reader, const struct asked *asked, enum cond_operator op,
                     const struct node *node)
{
    struct fact_key *key = NULL;
    size_t present = 0;
    int r = 0;

    if (op == COND_PRESENT)
        r = draft_read_word(reader->draft, node, TRUE_FALSE, 2, &present);
    if (r == 0)
        r = make_key(reader, asked, node, &key);
    if (r < 0)
        return r;
    r = cond_builder_test(&reader->builder, asked->fact, key, op, present == 1);
    if (r < 0)
        return no_room(reader, node, r);
    if (op == COND_PRESENT)
        return 0;
    return op == COND_IN ? read_list(reader, asked->fact, node)
                         : read_operand(reader, asked->fact, node);
}

static int read_operator(struct reader *reader, const struct asked *asked, const struct node *node)
{
    const char *known[COND_OPERATOR_COUNT_];
    char test_of_fact[64];
    size_t count = 0;

    for (int op = 0; op < COND_OPERATOR_COUNT_; op++) {
        if (!cond_operator_fits((enum cond_operator)op, asked->fact->type))
            continue;
        known[count++] = cond_operator_name((enum cond_operator)op);
        if (str_eq(node->key, str_from(known[count - 1])))
            return read_test(reader, asked, (enum cond_operator)op, node);
    }
    (void)snprintf(test_of_fact, sizeof(test_of_fact), "test of \"%s\"", asked->fact->name);
    return draft_unknown(reader->draft, node->key_place, test_of_fact, node->key, known, count);
}

/* Does this key of a mapping say which fact is meant, and is no test of it? */
static bool says_which(const struct fact *fact, struct str key)
{
    switch (fact->key) {
    case FACT_KEY_NONE:
        return false;
    case FACT_KEY_PATH:
        return str_eq(key, STR("namespace")) || str_eq(key, STR("path"));
    default:
        return str_eq(key, STR("name"));
    }
}

/* Each other key is an operator; all must hold. */
static int read_operators(struct reader *reader, const struct asked *asked,
                          const struct node *mapping)
{
    size_t count = 0;
    int r = 0;

    for (const struct node *node = mapping->first; node; node = node->next)
        count += !says_which(asked->fact, node->key);
    if (count == 0)
        return diag_set_at(reader->draft->diag, -EINVAL, mapping->place,
                           "found no test of \"%s\", expected one like {equals: ...}",
                           asked->fact->name);
    if (count > 1)
        r = cond_builder_open(&reader->builder, COND_ALL);
    if (r < 0)
        return no_room(reader, mapping, r);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        if (!says_which(asked->fact, node->key))
            r = read_operator(reader, asked, node);
    if (r == 0 && count > 1)
        cond_builder_close(&reader->builder);
    return r;
}

static int add_name(struct draft *draft, struct asked *asked, const struct node *node,
                    const char *what)
{
    int r = draft_expect_text(draft, node, what);

    if (r < 0)
        return r;
    if (asked->count > FACT_PATH_MAX)
        return diag_set_at(draft->diag, -EINVAL, node->place, "found more than %d keys in a path",
                           FACT_PATH_MAX - 1);
    asked->nodes[asked->count] = node;
    asked->names[asked->count++] = node->text;
    return 0;
}

/* A sequence of keys, or one key. */
static int add_path(struct draft *draft, struct asked *asked, const struct node *node)
{
    int r = 0;

    if (node->kind != NODE_SEQUENCE)
        return add_name(draft, asked, node, "a sequence of keys: [..., ...]");
    if (!node->first)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found an empty sequence, expected at least one key");
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = add_name(draft, asked, item, "a key");
    return r;
}

static int find_key(struct draft *draft, const struct fact *fact, const struct node *mapping,
                    const char *key, const struct node **ret_node)
{
    *ret_node = node_find(mapping, str_from(key));
    if (*ret_node)
        return 0;
    return diag_set_at(draft->diag, -EINVAL, mapping->place, "\"%s\" needs the key \"%s\"",
                       fact->name, key);
}

static int read_name(struct draft *draft, struct asked *asked, const struct node *mapping)
{
    const struct node *name, *path = NULL; /* gcc -O3 does not see that it is set */
    int r;

    if (asked->fact->key != FACT_KEY_PATH) {
        r = find_key(draft, asked->fact, mapping, "name", &name);
        return r < 0 ? r
                     : add_name(draft, asked, name,
                                asked->fact->key == FACT_KEY_HEADER ? "the name of a header"
                                                                    : "a name");
    }
    r = find_key(draft, asked->fact, mapping, "namespace", &name);
    if (r == 0)
        r = find_key(draft, asked->fact, mapping, "path", &path);
    if (r == 0)
        r = add_name(draft, asked, name, "the namespace");
    return r < 0 ? r : add_path(draft, asked, path);
}

/* header: {name: N, equals: ...}, metadata: {namespace: N, path: [a, b], equals: ...} */
static int read_named_fact(struct reader *reader, const struct fact *fact, const struct node *node)
{
    struct asked asked = {.fact = fact};
    int r = draft_expect(reader->draft, node, NODE_MAPPING,
                         fact->key == FACT_KEY_PATH
                             ? "a mapping: {namespace: ..., path: [...], equals: ...}"
                             : "a mapping: {name: ..., equals: ...}");

    if (r == 0)
        r = read_name(reader->draft, &asked, node);
    return r < 0 ? r : read_operators(reader, &asked, node);
}

static int read_fact(struct reader *reader, const struct fact *fact, const struct node *node)
{
    const struct asked asked = {.fact = fact};

    if (fact->key != FACT_KEY_NONE)
        return read_named_fact(reader, fact, node);
    if (node->kind == NODE_MAPPING)
        return read_operators(reader, &asked, node);
    return read_test(reader, &asked, node->kind == NODE_SEQUENCE ? COND_IN : COND_EQUALS, node);
}

/* --- groups */

static int read_cond(struct reader *reader, const struct node *node);

static int read_group(struct reader *reader, enum cond_kind kind, const struct node *node)
{
    int r = cond_builder_open(&reader->builder, kind);

    if (r < 0)
        return no_room(reader, node, r);
    if (kind == COND_NOT) {
        r = read_cond(reader, node);
    } else {
        r = draft_expect(reader->draft, node, NODE_SEQUENCE, "a sequence of conditions");
        if (r == 0 && !node->first)
            r = diag_set_at(reader->draft->diag, -EINVAL, node->place,
                            "found an empty sequence, expected at least one condition");
        for (const struct node *item = node->first; item && r == 0; item = item->next)
            r = read_cond(reader, item);
    }
    if (r < 0)
        return r;
    cond_builder_close(&reader->builder);
    return 0;
}

static int unknown_fact(struct reader *reader, const struct node *node)
{
    const char *names[FACT_NAMES_MAX + GROUP_COUNT];
    char groups[FACT_NAMES_MAX][FACT_GROUP_MAX];
    size_t count = fact_names(false, names);

    for (int kind = COND_ALL; kind < GROUP_COUNT; kind++)
        names[count++] = GROUPS[kind];
    if (!diag_nearest(node->key, names, count)) {
        count = fact_groups(false, groups); /* there are too many to list each */
        for (size_t i = 0; i < count; i++)
            names[i] = groups[i];
        for (int kind = COND_ALL; kind < GROUP_COUNT; kind++)
            names[count++] = GROUPS[kind];
    }
    return draft_unknown(reader->draft, node->key_place, "fact", node->key, names, count);
}

static int read_member(struct reader *reader, const struct node *node)
{
    const struct fact *fact = fact_find(node->key);

    if (fact && fact->needs_database &&
        draft_need_database(reader->draft, node->key_place, fact->name) < 0)
        return -EINVAL;
    if (fact)
        return read_fact(reader, fact, node);
    for (int kind = COND_ALL; kind < GROUP_COUNT; kind++)
        if (str_eq(node->key, str_from(GROUPS[kind])))
            return read_group(reader, (enum cond_kind)kind, node);
    return unknown_fact(reader, node);
}

/* A mapping; several keys mean all of them. */
static int read_cond(struct reader *reader, const struct node *node)
{
    int r = draft_expect(reader->draft, node, NODE_MAPPING,
                         "a mapping, like {fact: value} or {all: [...]}");

    if (r < 0)
        return r;
    if (!node->first)
        return diag_set_at(reader->draft->diag, -EINVAL, node->place,
                           "found an empty mapping, expected a condition; leave \"when\" out for "
                           "always");
    if (node->count == 1)
        return read_member(reader, node->first);
    r = cond_builder_open(&reader->builder, COND_ALL);
    if (r < 0)
        return no_room(reader, node, r);
    for (const struct node *member = node->first; member; member = member->next) {
        r = read_member(reader, member);
        if (r < 0)
            return r;
    }
    cond_builder_close(&reader->builder);
    return 0;
}

int draft_read_cond(struct draft *draft, const struct node *node, struct cond **ret_cond)
{
    CLEANUP(reader_done) struct reader reader = {.draft = draft};
    int r = read_cond(&reader, node);

    if (r < 0)
        return r;
    *ret_cond = cond_builder_finish(&reader.builder);
    return 0;
}
