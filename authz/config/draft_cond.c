/* SPDX-License-Identifier: Apache-2.0 */
/* `when`: from nodes to a condition. */
#include "draft.h"

#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "cond.h"
#include "fact.h"
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

static int read_test(struct reader *reader, const struct fact *fact, uint32_t slot,
                     enum cond_operator op, const struct node *node)
{
    size_t present = 0;
    int r = 0;

    if (op == COND_PRESENT)
        r = draft_read_word(reader->draft, node, TRUE_FALSE, 2, &present);
    if (r < 0)
        return r;
    r = cond_builder_test(&reader->builder, fact, slot, op, present == 1);
    if (r < 0)
        return no_room(reader, node, r);
    if (op == COND_PRESENT)
        return 0;
    return op == COND_IN ? read_list(reader, fact, node) : read_operand(reader, fact, node);
}

static int read_operator(struct reader *reader, const struct fact *fact, uint32_t slot,
                         const struct node *node)
{
    const char *known[COND_OPERATOR_COUNT_];
    char test_of_fact[64];
    size_t count = 0;

    for (int op = 0; op < COND_OPERATOR_COUNT_; op++) {
        if (!cond_operator_fits((enum cond_operator)op, fact->type))
            continue;
        known[count++] = cond_operator_name((enum cond_operator)op);
        if (str_eq(node->key, str_from(known[count - 1])))
            return read_test(reader, fact, slot, (enum cond_operator)op, node);
    }
    (void)snprintf(test_of_fact, sizeof(test_of_fact), "test of \"%s\"", fact->name);
    return draft_unknown(reader->draft, node->key_place, test_of_fact, node->key, known, count);
}

/* Each key is an operator, except `skipped`; all must hold. */
static int read_operators(struct reader *reader, const struct fact *fact, uint32_t slot,
                          const struct node *mapping, const struct node *skipped)
{
    size_t count = mapping->count - (skipped ? 1 : 0);
    int r = 0;

    if (count == 0)
        return diag_set_at(reader->draft->diag, -EINVAL, mapping->place,
                           "found no test of \"%s\", expected one like {equals: ...}", fact->name);
    if (count > 1)
        r = cond_builder_open(&reader->builder, COND_ALL);
    if (r < 0)
        return no_room(reader, mapping, r);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        if (node != skipped)
            r = read_operator(reader, fact, slot, node);
    if (r == 0 && count > 1)
        cond_builder_close(&reader->builder);
    return r;
}

static int read_header_name(struct draft *draft, const struct node *node)
{
    int r = draft_expect_text(draft, node, "the name of a header");

    if (r < 0)
        return r;
    if (!header_name_is_valid(node->text))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"%" PRIstr "\", expected the name of a header",
                           STR_ARG(node->text));
    if (str_eq_nocase(node->text, STR("host")))
        return diag_set_at(
            draft->diag, -EINVAL, node->place,
            "found header \"host\", expected the fact http.host: Envoy gives the host there");
    r = header_table_add_read(draft->policy->headers, node->text);
    return r < 0 ? draft_no_memory(draft) : r;
}

/* header: {name: N, equals: ...} */
static int read_header_test(struct reader *reader, const struct fact *fact, const struct node *node)
{
    struct draft *draft = reader->draft;
    const struct node *name;
    int slot, r = draft_expect(draft, node, NODE_MAPPING, "a mapping: {name: ..., equals: ...}");

    if (r < 0)
        return r;
    name = node_find(node, STR("name"));
    if (!name)
        return diag_set_at(draft->diag, -EINVAL, node->place, "\"header\" needs the key \"name\"");
    slot = read_header_name(draft, name);
    return slot < 0 ? slot : read_operators(reader, fact, (uint32_t)slot, node, name);
}

static int read_fact(struct reader *reader, const struct fact *fact, const struct node *node)
{
    if (fact->takes_name)
        return read_header_test(reader, fact, node);
    if (node->kind == NODE_MAPPING)
        return read_operators(reader, fact, 0, node, NULL);
    return read_test(reader, fact, 0, node->kind == NODE_SEQUENCE ? COND_IN : COND_EQUALS, node);
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
    size_t count = fact_names(false, names);

    for (int kind = COND_ALL; kind < GROUP_COUNT; kind++)
        names[count++] = GROUPS[kind];
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
