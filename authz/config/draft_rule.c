/* SPDX-License-Identifier: Apache-2.0 */
/* An item of `rules`: from nodes to a rule. */
#include "draft.h"

#include <errno.h>

#include "policy.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static int read_id(struct draft *draft, const struct node *node)
{
    static const struct str RESERVED[] = {STR_INIT("default"), STR_INIT("oversize")};
    char *copy;
    int r = draft_expect_text(draft, node, "the name of the rule");

    if (r < 0)
        return r;
    if (!draft_is_identifier(node->text))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found id \"%" PRIstr "\", expected 1 to %d letters, digits, '.', '_' "
                           "or '-'",
                           STR_ARG(node->text), DRAFT_ID_MAX);
    if (draft_is_one_of(node->text, RESERVED, COUNT_OF(RESERVED)))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found id \"%" PRIstr "\", which is reserved", STR_ARG(node->text));
    copy = str_dup(node->text);
    if (!copy)
        return draft_no_memory(draft);
    draft->rule->id = (struct str){copy, node->text.len};
    return 0;
}

static int read_when(struct draft *draft, const struct node *node)
{
    return draft_read_cond(draft, node, &draft->rule->when);
}

static int read_then(struct draft *draft, const struct node *node)
{
    static const char *const WORDS[] = {
        [RULE_DENY] = "deny", [RULE_ALLOW] = "allow", [RULE_CONTINUE] = "continue"};
    size_t then = 0;
    int r = draft_read_word(draft, node, WORDS, COUNT_OF(WORDS), &then);

    draft->rule->then = (enum rule_then)then;
    return r;
}

static int read_mode(struct draft *draft, const struct node *node)
{
    static const char *const WORDS[] = {
        [RULE_ENFORCE] = "enforce", [RULE_SHADOW] = "shadow", [RULE_OFF] = "off"};
    size_t mode = 0;
    int r = draft_read_word(draft, node, WORDS, COUNT_OF(WORDS), &mode);

    draft->rule->mode = (enum rule_mode)mode;
    return r;
}

static int read_on_unknown(struct draft *draft, const struct node *node)
{
    bool skip = false;
    int r = draft_read_on_unknown(draft, node, &skip);

    draft->rule->on_unknown = skip ? ON_UNKNOWN_SKIP : ON_UNKNOWN_DENY;
    return r;
}

/* A denial sends nothing upstream and no answer of the upstream back. */
static int check_denial(struct draft *draft, const struct node *node)
{
    static const struct {
        enum effect_target target;
        const char *key;
    } LOST[] = {{TARGET_RESPONSE_HEADER, "response_headers"}, {TARGET_QUERY, "query"}};

    for (size_t i = 0; i < COUNT_OF(LOST); i++)
        if (draft->rule->effects[LOST[i].target].count)
            return diag_set_at(
                draft->diag, -EINVAL, node_find(node, str_from(LOST[i].key))->key_place,
                "found \"%s\" in a rule that denies, where it is lost%s", LOST[i].key,
                LOST[i].target == TARGET_RESPONSE_HEADER
                    ? "; headers of a denial are under \"respond\""
                    : "");
    return 0;
}

static int check_rule(struct draft *draft, const struct node *node)
{
    const struct rule *rule = draft->rule;

    if (rule->respond && rule->then != RULE_DENY)
        return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("respond"))->key_place,
                           "found \"respond\" in a rule that does not deny; it is the answer to a "
                           "denial");
    if (rule->then == RULE_CONTINUE && rule->on_unknown == ON_UNKNOWN_DENY)
        return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("on_unknown"))->key_place,
                           "found \"on_unknown: deny\" in a rule that continues; such a rule is "
                           "always skipped when it is unknown");
    return rule->then == RULE_DENY ? check_denial(draft, node) : 0;
}

int draft_read_rule(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {
        {"id", read_id, true},
        {"when", read_when, false},
        {"then", read_then, true},
        {"on_unknown", read_on_unknown, false},
        {"mode", read_mode, false},
        {"respond", draft_read_respond, false},
        {"request_headers", draft_read_request_headers, false},
        {"response_headers", draft_read_response_headers, false},
        {"query", draft_read_query, false},
        {"metadata", draft_read_metadata, false},
    };
    int r = draft_expect(draft, node, NODE_MAPPING, "a rule: {id: ..., when: ..., then: ...}");

    if (r < 0)
        return r;
    draft->rule->place = node->place;
    r = draft_read_keys(draft, node, "a rule", KEYS, COUNT_OF(KEYS));
    return r < 0 ? r : check_rule(draft, node);
}
