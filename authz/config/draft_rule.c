/* SPDX-License-Identifier: Apache-2.0 */
/* An item of `rules`: from nodes to a rule. */
#include "draft.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "num.h"
#include "policy.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { ID_MAX = 64, BODY_MAX = 64 << 10 };

/* Letters, digits, '.', '_' and '-', at most ID_MAX of them: rule ids and metadata keys stand in
 * logs, metrics and Envoy's format strings as they are. */
static bool is_identifier(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = char_lower(text.ptr[i]);

        if (!char_is_digit(c) && !(c >= 'a' && c <= 'z') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return text.len > 0 && text.len <= ID_MAX;
}

static bool is_one_of(struct str text, const struct str *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(text, words[i]))
            return true;
    return false;
}

/* --- header names */

/* They frame the message or name its destination: Envoy owns them, or does not let ext_authz change
 * them. */
static const struct str ENVOYS_HEADERS[] = {
    STR_INIT("host"),
    STR_INIT("connection"),
    STR_INIT("keep-alive"),
    STR_INIT("te"),
    STR_INIT("trailer"),
    STR_INIT("upgrade"),
    STR_INIT("content-length"),
    STR_INIT("transfer-encoding"),
    STR_INIT("proxy-connection"),
    STR_INIT("http2-settings"),
};

static int refuse_name(struct draft *draft, struct place place, struct str name, const char *why)
{
    return diag_set_at(draft->diag, -EINVAL, place, "found header \"%" PRIstr "\": %s",
                       STR_ARG(name), why);
}

/* Checks a name that a policy changes and gives it in lower case, owned by the caller. */
static int read_header_name(struct draft *draft, struct place place, struct str name,
                            struct str *ret_name)
{
    CLEANUP(freep) char *lower = str_dup(name);
    struct str result = {lower, name.len};

    if (!lower)
        return draft_no_memory(draft);
    for (size_t i = 0; i < name.len; i++)
        lower[i] = char_lower(lower[i]);
    if (str_has_prefix(result, STR(":")))
        return refuse_name(draft, place, name, "a policy cannot change pseudo-headers");
    if (!header_name_is_valid(result))
        return refuse_name(draft, place, name, "expected a header name (RFC 9110 token)");
    if (is_one_of(result, ENVOYS_HEADERS, COUNT_OF(ENVOYS_HEADERS)))
        return refuse_name(draft, place, name, "only Envoy itself can change it");
    if (str_has_prefix(result, STR("x-envoy-")))
        return refuse_name(draft, place, name, "names with x-envoy- belong to Envoy");
    *ret_name = (struct str){TAKE_PTR(lower), name.len};
    return 0;
}

static void name_done(struct str *name)
{
    freep(&name->ptr);
}

/* Many upstreams read x_a and x-a as one header, and Envoy can be told to refuse the first: what a
 * policy sets is spelled with '-'. */
static int read_set_name(struct draft *draft, const struct node *node, struct str *ret_name)
{
    if (str_find_char(node->key, '_') >= 0)
        return refuse_name(draft, node->key_place, node->key,
                           "a header that is set has '-' in its name, not '_'");
    return read_header_name(draft, node->key_place, node->key, ret_name);
}

/* The template of a header's value.  Only its own text is checked here: what facts bring is made
 * valid in the reply. */
static int read_header_value(struct draft *draft, const struct node *node,
                             struct template **ret_template)
{
    int r = draft_expect_text(draft, node, "the value of a header");

    if (r < 0)
        return r;
    for (size_t i = 0; i < node->text.len; i++)
        if ((unsigned char)node->text.ptr[i] < 0x20 && node->text.ptr[i] != '\t')
            return diag_set_at(draft->diag, -EINVAL, node_place_at(node, i),
                               "found a line break or control character in the value of a header");
    return draft_read_template(draft, node, ret_template);
}

/* One more effect on a request header; the array has room. */
static int add_header_effect(struct draft *draft, struct place place, struct str name, bool remove,
                             struct effect **ret_effect)
{
    struct rule *rule = draft->rule;
    int slot = name_table_add(&draft->policy->header_slots, name);
    int index = name_table_add(draft->request_headers, name);

    if (slot < 0 || index < 0)
        return draft_no_memory(draft);
    if ((size_t)index < rule->request_header_count)
        return diag_set_at(draft->diag, -EINVAL, place,
                           "found header \"%" PRIstr "\" a second time in one rule, it is %s "
                           "in line %u",
                           STR_ARG(name), rule->request_headers[index].remove ? "removed" : "set",
                           rule->request_headers[index].place.line);
    *ret_effect = &rule->request_headers[rule->request_header_count++];
    **ret_effect = (struct effect){.slot = (uint32_t)slot, .remove = remove, .place = place};
    return 0;
}

/* --- request_headers */

static int read_set(struct draft *draft, const struct node *mapping)
{
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of header names to values");

    for (const struct node *node = mapping->first; node && r == 0; node = node->next) {
        CLEANUP(name_done) struct str name = {NULL, 0};
        struct effect *effect = NULL;

        r = read_set_name(draft, node, &name);
        if (r < 0)
            return r;
        r = add_header_effect(draft, node->key_place, name, false, &effect);
        if (r == 0)
            r = read_header_value(draft, node, &effect->value);
    }
    return r;
}

static int read_remove(struct draft *draft, const struct node *sequence)
{
    int r = draft_expect(draft, sequence, NODE_SEQUENCE, "a sequence of header names");

    for (const struct node *node = sequence->first; node && r == 0; node = node->next) {
        CLEANUP(name_done) struct str name = {NULL, 0};
        struct effect *effect;

        r = draft_expect_text(draft, node, "the name of a header");
        if (r == 0)
            r = read_header_name(draft, node->place, node->text, &name);
        if (r < 0)
            return r;
        r = add_header_effect(draft, node->place, name, true, &effect);
    }
    return r;
}

static int read_request_headers(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {{"set", read_set, false},
                                            {"remove", read_remove, false}};
    CLEANUP(name_table_done) struct name_table names = {0};
    size_t count = 0;
    int r = draft_expect(draft, node, NODE_MAPPING, "a mapping with \"set\" and \"remove\"");

    if (r < 0)
        return r;
    for (const struct node *child = node->first; child; child = child->next)
        count += child->count;
    draft->rule->request_headers = calloc(count ? count : 1, sizeof(struct effect));
    if (!draft->rule->request_headers)
        return draft_no_memory(draft);
    draft->request_headers = &names;
    return draft_read_keys(draft, node, "\"request_headers\"", KEYS, COUNT_OF(KEYS));
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
    STR_INIT("ext_authz_duration"),
};

static int read_metadata_entry(struct draft *draft, const struct node *node)
{
    struct effect *effect;
    int slot;

    if (!is_identifier(node->key))
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found metadata key \"%" PRIstr "\", expected 1 to %d letters, digits, "
                           "'.', '_' or '-'",
                           STR_ARG(node->key), ID_MAX);
    if (is_one_of(node->key, RESERVED_METADATA, COUNT_OF(RESERVED_METADATA)))
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found metadata key \"%" PRIstr "\", which is reserved",
                           STR_ARG(node->key));
    slot = name_table_add(&draft->policy->metadata_slots, node->key);
    if (slot < 0)
        return draft_no_memory(draft);
    effect = &draft->rule->metadata[draft->rule->metadata_count++];
    *effect = (struct effect){.slot = (uint32_t)slot, .place = node->key_place};
    return draft_read_template(draft, node, &effect->value);
}

static int read_metadata(struct draft *draft, const struct node *mapping)
{
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of keys to texts");

    if (r < 0)
        return r;
    draft->rule->metadata = calloc(mapping->count + 1, sizeof(struct effect));
    if (!draft->rule->metadata)
        return draft_no_memory(draft);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        r = read_metadata_entry(draft, node);
    return r;
}

/* --- respond */

/* The final statuses that Envoy has a name for (envoy.type.v3.StatusCode); it casts without
 * checking. */
static bool is_final_status(uint64_t status)
{
    static const struct {
        uint16_t first, last;
    } RANGES[] = {{200, 208}, {226, 226}, {300, 305}, {307, 308}, {400, 417}, {421, 424},
                  {426, 426}, {428, 429}, {431, 431}, {500, 508}, {510, 511}};

    for (size_t i = 0; i < COUNT_OF(RANGES); i++)
        if (status >= RANGES[i].first && status <= RANGES[i].last)
            return true;
    return false;
}

static int read_status(struct draft *draft, const struct node *node)
{
    uint64_t status;
    int r = draft_expect_text(draft, node, "an HTTP status");

    if (r < 0)
        return r;
    if (num_parse_u64(node->text, 200, 599, &status) < 0 || !is_final_status(status))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"%" PRIstr "\", expected an HTTP status that ends a request and "
                           "that Envoy knows, like 403",
                           STR_ARG(node->text));
    draft->rule->respond->status = (uint16_t)status;
    return 0;
}

static int read_body(struct draft *draft, const struct node *node)
{
    int r = draft_expect_text(draft, node, "a text");

    if (r < 0)
        return r;
    if (node->text.len > BODY_MAX)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found a body of %zu bytes, expected at most %d", node->text.len,
                           BODY_MAX);
    return draft_read_template(draft, node, &draft->rule->respond->body);
}

/* `names` are those of the headers before, with their indexes. */
static int read_answer_header(struct draft *draft, const struct node *node,
                              struct name_table *names)
{
    struct respond *respond = draft->rule->respond;
    struct respond_header *header = &respond->headers[respond->header_count];
    int index, r = read_header_name(draft, node->key_place, node->key, &header->name);

    if (r < 0)
        return r;
    respond->header_count++;
    index = name_table_add(names, header->name);
    if (index < 0)
        return draft_no_memory(draft);
    if ((size_t)index + 1 < respond->header_count)
        return diag_set_at(draft->diag, -EINVAL, node->key_place,
                           "found header \"%" PRIstr "\" a second time", STR_ARG(header->name));
    return read_header_value(draft, node, &header->value);
}

static int read_answer_headers(struct draft *draft, const struct node *mapping)
{
    CLEANUP(name_table_done) struct name_table names = {0};
    struct respond *respond = draft->rule->respond;
    int r = draft_expect(draft, mapping, NODE_MAPPING, "a mapping of header names to values");

    if (r < 0)
        return r;
    respond->headers = calloc(mapping->count + 1, sizeof(*respond->headers));
    if (!respond->headers)
        return draft_no_memory(draft);
    for (const struct node *node = mapping->first; node && r == 0; node = node->next)
        r = read_answer_header(draft, node, &names);
    return r;
}

static int read_respond(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {{"status", read_status, false},
                                            {"body", read_body, false},
                                            {"headers", read_answer_headers, false}};
    struct respond *respond;
    int r = draft_expect(draft, node, NODE_MAPPING,
                         "a mapping with \"status\", \"body\" and \"headers\"");

    if (r < 0)
        return r;
    respond = draft->rule->respond = calloc(1, sizeof(*respond));
    if (!respond)
        return draft_no_memory(draft);
    r = draft_read_keys(draft, node, "\"respond\"", KEYS, COUNT_OF(KEYS));
    if (r < 0)
        return r;
    if (respond->body && (respond->status == 204 || respond->status == 205 ||
                          respond->status == 304)) /* RFC 9110 15.3.5, 15.3.6, 15.4.5 */
        return diag_set_at(draft->diag, -EINVAL, node_find(node, STR("body"))->key_place,
                           "found a body, but an answer with status %u has none", respond->status);
    return 0;
}

/* --- the rule */

static int read_id(struct draft *draft, const struct node *node)
{
    static const struct str RESERVED[] = {STR_INIT("default"), STR_INIT("oversize")};
    char *copy;
    int r = draft_expect_text(draft, node, "the name of the rule");

    if (r < 0)
        return r;
    if (!is_identifier(node->text))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found id \"%" PRIstr "\", expected 1 to %d letters, digits, '.', '_' "
                           "or '-'",
                           STR_ARG(node->text), ID_MAX);
    if (is_one_of(node->text, RESERVED, COUNT_OF(RESERVED)))
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

static int read_on_unknown(struct draft *draft, const struct node *node)
{
    bool skip = false;
    int r = draft_read_on_unknown(draft, node, &skip);

    draft->rule->on_unknown = skip ? ON_UNKNOWN_SKIP : ON_UNKNOWN_DENY;
    return r;
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
    return 0;
}

int draft_read_rule(struct draft *draft, const struct node *node)
{
    static const struct draft_key KEYS[] = {
        {"id", read_id, true},
        {"when", read_when, false},
        {"then", read_then, true},
        {"on_unknown", read_on_unknown, false},
        {"respond", read_respond, false},
        {"request_headers", read_request_headers, false},
        {"metadata", read_metadata, false},
    };
    int r = draft_expect(draft, node, NODE_MAPPING, "a rule: {id: ..., when: ..., then: ...}");

    if (r < 0)
        return r;
    draft->rule->place = node->place;
    r = draft_read_keys(draft, node, "a rule", KEYS, COUNT_OF(KEYS));
    return r < 0 ? r : check_rule(draft, node);
}
