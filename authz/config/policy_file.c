/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_file.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "doc.h"
#include "draft.h"
#include "file.h"
#include "policy.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* --- keys of the file */

static int read_version(struct draft *draft, const struct node *node)
{
    static const char *const WORDS[] = {"1"};
    size_t unused;

    return draft_read_word(draft, node, WORDS, COUNT_OF(WORDS), &unused);
}

static int read_default(struct draft *draft, const struct node *node)
{
    static const char *const WORDS[] = {[VERDICT_DENY] = "deny", [VERDICT_ALLOW] = "allow"};
    size_t verdict = VERDICT_DENY;
    int r = draft_read_word(draft, node, WORDS, COUNT_OF(WORDS), &verdict);

    draft->policy->default_verdict = (enum verdict)verdict;
    return r;
}

static int read_on_unknown(struct draft *draft, const struct node *node)
{
    bool skip = false;
    int r = draft_read_on_unknown(draft, node, &skip);

    draft->policy->on_unknown = skip ? ON_UNKNOWN_SKIP : ON_UNKNOWN_DENY;
    return r;
}

static int set_known_header(struct draft *draft, const struct node *node, enum known_header known)
{
    int r = draft_expect_text(draft, node, "the name of a header");

    if (r < 0)
        return r;
    if (!header_name_is_valid(node->text))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"%" PRIstr "\", expected the name of a header",
                           STR_ARG(node->text));
    return header_table_set_known(draft->policy->headers, known, node->text) < 0
               ? draft_no_memory(draft)
               : 0;
}

static int read_ja3_header(struct draft *draft, const struct node *node)
{
    return set_known_header(draft, node, KNOWN_JA3);
}

static int read_ja4_header(struct draft *draft, const struct node *node)
{
    return set_known_header(draft, node, KNOWN_JA4);
}

/* Headers in which Envoy says what it knows and a CheckRequest has no field for. */
static int read_headers(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {
        {"ja3", read_ja3_header, false},
        {"ja4", read_ja4_header, false},
    };
    int r = draft_expect(draft, node, NODE_MAPPING, "a mapping: {ja3: NAME, ja4: NAME}");

    return r < 0 ? r : draft_read_keys(draft, node, "\"headers\"", KEYS, COUNT_OF(KEYS));
}

/* What a rule has under `block`: `set`. */
static const struct node *first_set(const struct node *rule, struct str block)
{
    const struct node *node = node_find(rule, block);
    const struct node *set = node ? node_find(node, STR("set")) : NULL;

    return set ? set->first : NULL;
}

/* Makes the headers and parameters that this rule sets the policy's own, whatever its mode.  What
 * is wrong here is reported when the rule is read. */
static int own_names_of(struct policy *policy, const struct node *rule)
{
    const struct node *node;

    for (node = first_set(rule, STR("request_headers")); node; node = node->next)
        if (header_name_is_valid(node->key) &&
            header_table_add_owned(policy->headers, node->key) < 0)
            return -ENOMEM;
    for (node = first_set(rule, STR("query")); node; node = node->next)
        if (name_table_add(&policy->slots[TARGET_QUERY], node->key) < 0)
            return -ENOMEM;
    return 0;
}

/* Their slots come first, so all of them must be known before the first rule is read. */
static int own_names(struct draft *draft, const struct node *rules)
{
    struct policy *policy = draft->policy;
    size_t count;

    for (const struct node *rule = rules->first; rule; rule = rule->next)
        if (own_names_of(policy, rule) < 0)
            return draft_no_memory(draft);
    policy->owned_parameter_count = policy->slots[TARGET_QUERY].count;
    count = header_table_owned_count(policy->headers);
    for (size_t i = 0; i < count; i++)
        if (name_table_add(&policy->slots[TARGET_REQUEST_HEADER],
                           header_table_owned_name(policy->headers, i)) < 0)
            return draft_no_memory(draft);
    return 0;
}

static int read_rules(struct draft *draft, const struct node *node)
{
    struct policy *policy = draft->policy;
    int r = draft_expect(draft, node, NODE_SEQUENCE, "a sequence of rules");

    if (r < 0)
        return r;
    r = own_names(draft, node);
    if (r < 0)
        return r;
    policy->rules = calloc(node->count + 1, sizeof(*policy->rules));
    if (!policy->rules)
        return draft_no_memory(draft);
    for (const struct node *item = node->first; item && r == 0; item = item->next) {
        draft->rule = &policy->rules[policy->rule_count++];
        r = draft_read_rule(draft, item);
    }
    return r;
}

/* --- what concerns several rules */

static int compare_ids(const void *left, const void *right)
{
    const struct rule *const *a = left, *const *b = right;
    size_t common = (*a)->id.len < (*b)->id.len ? (*a)->id.len : (*b)->id.len;
    int order = memcmp((*a)->id.ptr, (*b)->id.ptr, common);

    if (order)
        return order;
    if ((*a)->id.len != (*b)->id.len)
        return (*a)->id.len < (*b)->id.len ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

static int check_ids(struct draft *draft)
{
    const struct policy *policy = draft->policy;
    CLEANUP(freep) const struct rule **sorted = calloc(policy->rule_count + 1, sizeof(*sorted));

    if (!sorted)
        return draft_no_memory(draft);
    for (size_t i = 0; i < policy->rule_count; i++)
        sorted[i] = &policy->rules[i];
    qsort(sorted, policy->rule_count, sizeof(*sorted), compare_ids);
    for (size_t i = 1; i < policy->rule_count; i++)
        if (str_eq(sorted[i - 1]->id, sorted[i]->id))
            return diag_set_at(draft->diag, -EINVAL, sorted[i]->place,
                               "found a second rule \"%" PRIstr "\", the first is in line %u",
                               STR_ARG(sorted[i]->id), sorted[i - 1]->place.line);
    return 0;
}

static int check_reachable(struct draft *draft)
{
    const struct policy *policy = draft->policy;

    for (size_t i = 0; i + 1 < policy->rule_count; i++) {
        const struct rule *rule = &policy->rules[i], *next = rule + 1;

        if (!rule->when && rule->then != RULE_CONTINUE && rule->mode == RULE_ENFORCE)
            return diag_set_at(draft->diag, -EINVAL, next->place,
                               "rule \"%" PRIstr "\" can never be reached: rule \"%" PRIstr
                               "\" in line %u has no \"when\" and always decides",
                               STR_ARG(next->id), STR_ARG(rule->id), rule->place.line);
    }
    return 0;
}

/* Gives each rule its effective on_unknown; there is no implicit one. */
static int settle_on_unknown(struct draft *draft)
{
    struct policy *policy = draft->policy;

    for (size_t i = 0; i < policy->rule_count; i++) {
        struct rule *rule = &policy->rules[i];

        if (rule->then == RULE_CONTINUE || rule->mode != RULE_ENFORCE)
            rule->on_unknown = ON_UNKNOWN_SKIP;
        if (rule->on_unknown == ON_UNKNOWN_UNSET)
            rule->on_unknown = policy->on_unknown;
        if (rule->on_unknown == ON_UNKNOWN_UNSET && rule_can_be_unknown(rule))
            return diag_set_at(draft->diag, -EINVAL, rule->place,
                               "rule \"%" PRIstr "\" tests a fact that cannot always be seen: "
                               "expected \"on_unknown: deny\" or \"on_unknown: skip\", here or for "
                               "the whole policy",
                               STR_ARG(rule->id));
    }
    return 0;
}

/* --- the file */

/* Another version may have other keys, and rules are read with the databases and the product's own
 * headers in sight: these come first, wherever they stand. */
static int read_early(struct draft *draft, const struct node *root)
{
    const struct node *version = node_find(root, STR("version"));
    const struct node *databases = node_find(root, STR("databases"));
    const struct node *headers = node_find(root, STR("headers"));
    int r = version ? read_version(draft, version) : 0;

    if (r == 0 && headers)
        r = read_headers(draft, headers);
    return r == 0 && databases ? draft_read_databases(draft, databases) : r;
}

static int was_read_early(struct draft *draft, const struct node *node)
{
    (void)draft;
    (void)node;
    return 0;
}

static int read_policy(struct draft *draft, const struct node *root)
{
    static const struct draft_key KEYS[] = {
        {"version", was_read_early, true},  {"databases", was_read_early, false},
        {"headers", was_read_early, false}, {"rules", read_rules, true},
        {"default", read_default, true},    {"on_unknown", read_on_unknown, false},
    };
    int r = draft_expect(draft, root, NODE_MAPPING, "a mapping: the keys of a policy");

    if (r == 0)
        r = read_early(draft, root);
    if (r == 0)
        r = draft_read_keys(draft, root, "a policy", KEYS, COUNT_OF(KEYS));
    if (r == 0)
        r = check_ids(draft);
    if (r == 0)
        r = check_reachable(draft);
    return r < 0 ? r : settle_on_unknown(draft);
}

/* The digest of the file and, behind it, the digests of its databases. */
static void set_revision(const struct draft *draft, struct str text)
{
    struct policy *policy = draft->policy;
    struct str pieces[1 + DRAFT_DATABASES_MAX] = {text};
    char hex[DIGEST_HEX_SIZE];

    for (size_t i = 0; i < policy->database_count; i++)
        pieces[1 + i] = (struct str){draft->digests[i], DIGEST_HEX_SIZE - 1};
    digest_sha256_hex(pieces, 1 + policy->database_count, hex);
    memcpy(policy->revision, hex, sizeof(policy->revision) - 1);
}

static int name_policy(struct policy *policy, const char *file)
{
    static const struct str NAME = STR_INIT("default");
    char *name = str_dup(NAME);

    policy->name = (struct str){name, NAME.len};
    policy->file = str_dup(str_from(file));
    return name && policy->file ? 0 : -ENOMEM;
}

int policy_file_parse(struct str text, const char *name, struct policy **ret_policy,
                      struct diag *diag)
{
    CLEANUP(doc_freep) struct doc *doc = NULL;
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    struct draft draft = {.diag = diag};
    int r;

    diag_set_file(diag, name);
    r = doc_parse(text, &doc, diag);
    if (r < 0)
        return r;
    if (policy_new(&policy) < 0 || name_policy(policy, name) < 0)
        return draft_no_memory(&draft);
    draft.policy = policy;
    r = read_policy(&draft, doc_root(doc));
    if (r < 0)
        return r;
    set_revision(&draft, text);
    *ret_policy = TAKE_PTR(policy);
    return 0;
}

int policy_file_load(const char *path, struct policy **ret_policy, struct diag *diag)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    int r;

    diag_set_file(diag, path);
    r = file_read(path, DOC_BYTES_MAX, &text, &size, diag);
    if (r < 0)
        return r;
    return policy_file_parse((struct str){text, size}, path, ret_policy, diag);
}
