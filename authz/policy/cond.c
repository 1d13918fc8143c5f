/* SPDX-License-Identifier: Apache-2.0 */
#include "cond.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "addr.h"
#include "cleanup.h"
#include "num.h"
#include "signature.h"

struct cond_node {
    const struct fact *fact;
    struct fact_key *key; /* owned; NULL: the fact takes none */
    uint32_t end;         /* index behind the last node of this subtree: the next sibling */
    uint32_t first_operand;
    uint32_t operand_count;
    uint8_t kind; /* enum cond_kind */
    uint8_t op;   /* enum cond_operator */
    bool present;
};

union operand {
    struct str text; /* owned */
    uint64_t number; /* or index of a word */
    struct prefix prefix;
    struct signature_pattern pattern;
};

struct cond {
    struct cond_node *nodes;
    uint32_t node_count;
    union operand *operands;
    uint32_t operand_count;
};

/* --- operators */

#define TYPE(type) (1u << (type))

enum { TYPES_ALL = TYPE(FACT_TYPE_COUNT_) - 1 };

static const struct {
    const char *name;
    unsigned types; /* set of enum fact_type */
} OPERATORS[] = {
    [COND_EQUALS] = {"equals", TYPES_ALL},           [COND_IN] = {"in", TYPES_ALL},
    [COND_PREFIX] = {"prefix", TYPE(FACT_TEXT)},     [COND_SUFFIX] = {"suffix", TYPE(FACT_TEXT)},
    [COND_CONTAINS] = {"contains", TYPE(FACT_TEXT)}, [COND_PRESENT] = {"present", TYPES_ALL},
};
static_assert(sizeof(OPERATORS) / sizeof(OPERATORS[0]) == COND_OPERATOR_COUNT_,
              "a row for each operator");

const char *cond_operator_name(enum cond_operator op)
{
    return OPERATORS[op].name;
}

bool cond_operator_fits(enum cond_operator op, enum fact_type type)
{
    return OPERATORS[op].types & TYPE(type);
}

/* --- evaluation */

static bool contains_nocase(struct str text, struct str needle)
{
    for (size_t i = 0; i + needle.len <= text.len; i++)
        if (str_eq_nocase((struct str){text.ptr + i, needle.len}, needle))
            return true;
    return false;
}

static bool text_matches_nocase(enum cond_operator op, struct str text, struct str wanted)
{
    if (op == COND_CONTAINS)
        return contains_nocase(text, wanted);
    if (op == COND_PREFIX && text.len > wanted.len)
        text.len = wanted.len;
    if (op == COND_SUFFIX && text.len > wanted.len)
        text = str_from_offset(text, text.len - wanted.len);
    return str_eq_nocase(text, wanted);
}

static bool text_matches(enum cond_operator op, struct str text, struct str wanted)
{
    switch (op) {
    case COND_PREFIX:
        return str_has_prefix(text, wanted);
    case COND_SUFFIX:
        return str_has_suffix(text, wanted);
    case COND_CONTAINS:
        return str_contains(text, wanted);
    default:
        return str_eq(text, wanted);
    }
}

static bool operand_matches(const struct cond_node *node, const union operand *operand,
                            const struct fact_value *value)
{
    switch (node->fact->type) {
    case FACT_TEXT:
        return node->fact->ignores_case
                   ? text_matches_nocase((enum cond_operator)node->op, value->text, operand->text)
                   : text_matches((enum cond_operator)node->op, value->text, operand->text);
    case FACT_WORD:
    case FACT_NUMBER:
        return value->number == operand->number;
    case FACT_ADDRESS:
        return prefix_contains(&operand->prefix, value->address);
    case FACT_SIGNATURE:
        return signature_pattern_matches(&operand->pattern, value->signature);
    case FACT_TYPE_COUNT_:
        break;
    }
    return false;
}

static enum tri eval_test(const struct cond *cond, const struct cond_node *node,
                          const struct subject *subject)
{
    struct fact_value value;
    enum fact_case found = fact_read(node->fact, subject, node->key, &value);

    if (found == FACT_UNOBSERVABLE)
        return TRI_UNKNOWN;
    if (node->op == COND_PRESENT)
        return tri_from_bool((found == FACT_PRESENT) == node->present);
    if (found == FACT_ABSENT)
        return TRI_NO;
    for (uint32_t i = 0; i < node->operand_count; i++)
        if (operand_matches(node, &cond->operands[node->first_operand + i], &value))
            return TRI_YES;
    return TRI_NO;
}

/* Recursion is as deep as COND_DEPTH_MAX. */
static enum tri eval_node(const struct cond *cond, uint32_t index, const struct subject *subject)
{
    const struct cond_node *node = &cond->nodes[index];
    enum tri result;

    switch ((enum cond_kind)node->kind) {
    case COND_TEST:
        break;
    case COND_NOT:
        return tri_not(eval_node(cond, index + 1, subject));
    case COND_ALL:
        result = TRI_YES;
        for (uint32_t i = index + 1; i < node->end && result != TRI_NO; i = cond->nodes[i].end)
            result = tri_and(result, eval_node(cond, i, subject));
        return result;
    case COND_ANY:
        result = TRI_NO;
        for (uint32_t i = index + 1; i < node->end && result != TRI_YES; i = cond->nodes[i].end)
            result = tri_or(result, eval_node(cond, i, subject));
        return result;
    }
    return eval_test(cond, node, subject);
}

enum tri cond_eval(const struct cond *cond, const struct subject *subject)
{
    return eval_node(cond, 0, subject);
}

bool cond_can_be_unknown(const struct cond *cond)
{
    for (uint32_t i = 0; i < cond->node_count; i++)
        if (cond->nodes[i].kind == COND_TEST && cond->nodes[i].fact->may_be_unobservable)
            return true;
    return false;
}

void cond_freep(struct cond **slot)
{
    struct cond *cond = *slot;

    *slot = NULL;
    if (!cond)
        return;
    for (uint32_t i = 0; i < cond->node_count; i++) {
        struct cond_node *node = &cond->nodes[i];

        fact_key_freep(&node->key);
        for (uint32_t k = 0; node->fact && node->fact->type == FACT_TEXT && k < node->operand_count;
             k++)
            freep(&cond->operands[node->first_operand + k].text.ptr);
    }
    free(cond->nodes);
    free(cond->operands);
    free(cond);
}

/* --- building */

/* Room for one more; `array` is the address of the array's pointer. */
static int make_room(void *array, size_t *room, size_t count, size_t size)
{
    size_t more = *room ? *room * 2 : 4;
    void *old, *grown;

    if (count < *room)
        return 0;
    if (more > UINT32_MAX)
        return -E2BIG;
    memcpy(&old, array, sizeof(old));
    grown = reallocarray(old, more, size);
    if (!grown)
        return -ENOMEM;
    memcpy(array, &grown, sizeof(grown));
    *room = more;
    return 0;
}

static int add_node(struct cond_builder *builder, struct cond_node node)
{
    struct cond *cond;
    int r;

    if (!builder->cond)
        builder->cond = calloc(1, sizeof(*builder->cond));
    cond = builder->cond;
    if (!cond)
        return -ENOMEM;
    r = make_room(&cond->nodes, &builder->node_room, cond->node_count, sizeof(*cond->nodes));
    if (r < 0)
        return r;
    node.end = cond->node_count + 1;
    cond->nodes[cond->node_count++] = node;
    return 0;
}

int cond_builder_open(struct cond_builder *builder, enum cond_kind kind)
{
    int r;

    if (builder->depth == COND_DEPTH_MAX)
        return -E2BIG;
    r = add_node(builder, (struct cond_node){.kind = (uint8_t)kind});
    if (r < 0)
        return r;
    builder->open[builder->depth++] = builder->cond->node_count - 1;
    return 0;
}

void cond_builder_close(struct cond_builder *builder)
{
    assert(builder->depth > 0);
    builder->cond->nodes[builder->open[--builder->depth]].end = builder->cond->node_count;
}

int cond_builder_test(struct cond_builder *builder, const struct fact *fact, struct fact_key *key,
                      enum cond_operator op, bool present)
{
    uint32_t first_operand = builder->cond ? builder->cond->operand_count : 0;
    int r = add_node(builder, (struct cond_node){
                                  .kind = COND_TEST,
                                  .fact = fact,
                                  .key = key,
                                  .op = (uint8_t)op,
                                  .present = present,
                                  .first_operand = first_operand,
                              });

    assert(cond_operator_fits(op, fact->type));
    if (r < 0)
        fact_key_freep(&key);
    return r;
}

static int parse_text(enum cond_operator op, struct str text, struct str *ret_text,
                      struct diag *diag)
{
    char *copy;

    if (text.len == 0 && op != COND_EQUALS && op != COND_IN)
        return diag_set(diag, -EINVAL, "\"%s\" of an empty text is always true; expected a text",
                        cond_operator_name(op));
    copy = str_dup(text);
    if (!copy)
        return -ENOMEM;
    *ret_text = (struct str){copy, text.len};
    return 0;
}

enum { WORDS_MAX = 32 };

static int parse_word(const struct fact *fact, struct str text, uint64_t *ret_index,
                      struct diag *diag)
{
    const char *words[WORDS_MAX], *near;
    char all[256];
    size_t count = 0;

    for (unsigned i = fact->word_first; i < fact->word_end && count < WORDS_MAX; i++) {
        words[count++] = fact->word(i);
        if (str_eq(text, str_from(fact->word(i)))) {
            *ret_index = i;
            return 0;
        }
    }
    near = diag_nearest(text, words, count);
    if (near)
        return diag_set(diag, -EINVAL,
                        "found \"%" PRIstr "\", which is no %s; did you mean \"%s\"?",
                        STR_ARG(text), fact->name, near);
    return diag_set(diag, -EINVAL, "found \"%" PRIstr "\", which is no %s; expected %s",
                    STR_ARG(text), fact->name, diag_words(words, count, all, sizeof(all)));
}

static int parse_number(const struct fact *fact, struct str text, uint64_t *ret_number,
                        struct diag *diag)
{
    if (num_parse_u64(text, 0, fact->number_max, ret_number) < 0)
        return diag_set(diag, -EINVAL, "found \"%" PRIstr "\", expected a number from 0 to %llu",
                        STR_ARG(text), (unsigned long long)fact->number_max);
    return 0;
}

static int parse_prefix(struct str text, struct prefix *ret_prefix, struct diag *diag)
{
    int r = prefix_parse(text, ret_prefix);

    if (r == -ERANGE)
        return diag_set(diag, -EINVAL,
                        "found \"%" PRIstr "\", which has bits set behind its prefix "
                        "length",
                        STR_ARG(text));
    if (r < 0)
        return diag_set(diag, -EINVAL,
                        "found \"%" PRIstr "\", expected an address or a prefix like "
                        "192.0.2.0/24",
                        STR_ARG(text));
    return 0;
}

static int parse_operand(const struct cond_node *node, struct str text, union operand *ret_operand,
                         size_t *ret_error_offset, struct diag *diag)
{
    switch (node->fact->type) {
    case FACT_TEXT:
        return parse_text((enum cond_operator)node->op, text, &ret_operand->text, diag);
    case FACT_WORD:
        return parse_word(node->fact, text, &ret_operand->number, diag);
    case FACT_NUMBER:
        return parse_number(node->fact, text, &ret_operand->number, diag);
    case FACT_ADDRESS:
        return parse_prefix(text, &ret_operand->prefix, diag);
    case FACT_SIGNATURE:
        return signature_pattern_parse(text, &ret_operand->pattern, ret_error_offset, diag);
    case FACT_TYPE_COUNT_:
        break;
    }
    return -EINVAL;
}

int cond_builder_operand(struct cond_builder *builder, struct str text, size_t *ret_error_offset,
                         struct diag *diag)
{
    struct cond *cond = builder->cond;
    struct cond_node *node = &cond->nodes[cond->node_count - 1];
    size_t error_offset = 0;
    int r;

    assert(node->kind == COND_TEST && node->op != COND_PRESENT);
    r = make_room(&cond->operands, &builder->operand_room, cond->operand_count,
                  sizeof(*cond->operands));
    if (r < 0)
        return r;
    r = parse_operand(node, text, &cond->operands[cond->operand_count], &error_offset, diag);
    if (r < 0) {
        *ret_error_offset = error_offset;
        return r;
    }
    cond->operand_count++;
    node->operand_count++;
    return 0;
}

struct cond *cond_builder_finish(struct cond_builder *builder)
{
    assert(builder->depth == 0 && builder->cond &&
           builder->cond->nodes[0].end == builder->cond->node_count);
    return TAKE_PTR(builder->cond);
}

void cond_builder_done(struct cond_builder *builder)
{
    cond_freep(&builder->cond);
}
