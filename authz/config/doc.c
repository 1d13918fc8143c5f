/* SPDX-License-Identifier: Apache-2.0 */
#include "doc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "cleanup.h"
#include "doc_text.h"

struct doc {
    struct node *root;
};

struct builder {
    yaml_parser_t parser;
    struct doc_text source;
    size_t nodes;
    struct diag *diag;
};

/* --- nodes */

static void node_free(struct node *node)
{
    while (node) {
        struct node *next = node->next;

        node_free(node->first); /* as deep as DOC_DEPTH_MAX */
        freep(&node->key.ptr);
        freep(&node->text.ptr);
        free(node);
        node = next;
    }
}

static void node_freep(struct node **node)
{
    node_free(*node);
    *node = NULL;
}

void doc_freep(struct doc **doc)
{
    if (*doc)
        node_free((*doc)->root);
    freep(doc);
}

const struct node *doc_root(const struct doc *doc)
{
    return doc->root;
}

const struct node *node_find(const struct node *mapping, struct str key)
{
    for (const struct node *child = mapping->first; child; child = child->next)
        if (str_eq(child->key, key))
            return child;
    return NULL;
}

bool node_is_empty(const struct node *node)
{
    return node->kind == NODE_SCALAR && node->plain && node->text.len == 0;
}

struct place node_place_at(const struct node *node, size_t offset)
{
    struct place place = node->place;

    if (node->kind == NODE_SCALAR && offset <= node->verbatim)
        place.column += node->opening + (unsigned)offset;
    return place;
}

const char *node_found(const struct node *node, char buffer[NODE_FOUND_MAX])
{
    const size_t shown = NODE_FOUND_MAX - sizeof("\"...\"");

    if (node->kind == NODE_MAPPING)
        return "a mapping";
    if (node->kind == NODE_SEQUENCE)
        return "a sequence";
    if (node_is_empty(node))
        return "nothing";
    (void)snprintf(buffer, NODE_FOUND_MAX, "\"%" PRIstr "%s\"",
                   STR_ARG(doc_text_cut(node->text, shown)), node->text.len > shown ? "..." : "");
    return buffer;
}

/* --- text that is no YAML */

static struct place place_of(struct builder *b, const yaml_mark_t *mark)
{
    return doc_text_seek(&b->source, mark->line, mark->column);
}

/* `place` is where the source is now. */
static int say_quote_it(struct builder *b, struct place place, const char *why)
{
    struct str found = doc_text_rest_of_line(&b->source);

    return diag_set_at(b->diag, -EINVAL, place,
                       "found %" PRIstr ", but %s: put the whole text in quotes (\"...\")",
                       STR_ARG(found), why);
}

/* What libyaml says where an unquoted text begins with a character that means something else. */
static int scanner_failure(struct builder *b, struct place place, char found)
{
    switch (found) {
    case '\t':
        return diag_set_at(b->diag, -EINVAL, place,
                           "found a tab, expected spaces: YAML is indented with spaces only");
    case '%':
        return say_quote_it(b, place, "unquoted text cannot begin with '%'");
    case '*':
        return say_quote_it(b, place, "an unquoted '*' begins a YAML alias");
    case '&':
        return say_quote_it(b, place, "an unquoted '&' begins a YAML anchor");
    case '!':
        return say_quote_it(b, place, "an unquoted '!' begins a YAML tag");
    case '>':
    case '|':
        return say_quote_it(b, place, "an unquoted '>' or '|' begins a YAML block");
    case '"':
    case '\'':
        return diag_set_at(b->diag, -EINVAL, place,
                           "found a quoted text that is wrong or has no "
                           "end: %s",
                           b->parser.problem);
    case '@':
    case '`':
        return say_quote_it(b, place, "unquoted text cannot begin with '@' or '`'");
    default:
        return 0;
    }
}

/* Does libyaml speak about something whose beginning says more than the place where it went wrong?
 */
static bool failed_inside(const char *context)
{
    static const char *const CONTEXTS[] = {"alias", "anchor", "tag", "block scalar",
                                           "quoted scalar"};

    for (size_t i = 0; i < sizeof(CONTEXTS) / sizeof(CONTEXTS[0]); i++)
        if (strstr(context, CONTEXTS[i]))
            return true;
    return false;
}

/* libyaml refused the text: say it in our words where it is a known trap, in its own otherwise. */
static int parser_failure(struct builder *b)
{
    const yaml_parser_t *parser = &b->parser;
    const char *problem = parser->problem ? parser->problem : "not YAML";
    const char *context = parser->context ? parser->context : "";
    struct place place;

    if (parser->error == YAML_MEMORY_ERROR)
        return diag_set(b->diag, -ENOMEM, "out of memory");
    place = place_of(b, failed_inside(context) ? &parser->context_mark : &parser->problem_mark);
    if (failed_inside(context) || strstr(problem, "cannot start any token"))
        if (scanner_failure(b, place, doc_text_char(&b->source)) < 0)
            return -EINVAL;
    if (doc_text_char(&b->source) == ':')
        return diag_set_at(b->diag, -EINVAL, place,
                           "found a second ': ' in one value: put the whole text in quotes "
                           "(\"...\"), or correct the indentation if it is a key");
    if (context[0] && parser->context_mark.line + 1 < place.line)
        return diag_set_at(b->diag, -EINVAL, place, "not valid YAML: %s %s that begins in line %zu",
                           problem, context, parser->context_mark.line + 1);
    return diag_set_at(b->diag, -EINVAL, place, "not valid YAML: %s%s%s", problem,
                       context[0] ? " " : "", context);
}

static int next_event(struct builder *b, yaml_event_t *ret_event)
{
    if (!yaml_parser_parse(&b->parser, ret_event))
        return parser_failure(b);
    return 0;
}

/* --- from events to nodes */

static int new_node(struct builder *b, enum node_kind kind, const yaml_event_t *event,
                    struct node **ret_node)
{
    struct place place = place_of(b, &event->start_mark);
    struct node *node;

    if (++b->nodes > DOC_NODES_MAX)
        return diag_set_at(b->diag, -EINVAL, place, "found more than %d values", DOC_NODES_MAX);
    node = calloc(1, sizeof(*node));
    if (!node)
        return diag_set(b->diag, -ENOMEM, "out of memory");
    node->kind = kind;
    node->place = place;
    *ret_node = node;
    return 0;
}

/* Anchors and tags are refused where they stand, which is in front of their value. */
static int refuse_anchor_and_tag(struct builder *b, const yaml_event_t *event, const void *anchor,
                                 const void *tag)
{
    struct place place;

    if (!anchor && !tag)
        return 0;
    place = place_of(b, &event->start_mark);
    return diag_set_at(b->diag, -EINVAL, place,
                       "found %s, expected a value without one: put text in quotes (\"...\")",
                       anchor ? "an anchor ('&')" : "a tag ('!')");
}

/* How much of the text stands in the file as it is, up to the first line break, escape or fold. */
static size_t count_verbatim(const struct builder *b, unsigned opening, struct str text)
{
    struct str source = str_from_offset(b->source.text, b->source.offset + opening);
    size_t len = 0;

    while (len < text.len && len < source.len && source.ptr[len] == text.ptr[len] &&
           text.ptr[len] != '\n')
        len++;
    return len;
}

static int build_scalar(struct builder *b, const yaml_event_t *event, struct node **ret_node)
{
    CLEANUP(node_freep) struct node *node = NULL;
    yaml_scalar_style_t style = event->data.scalar.style;
    struct str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    int r = refuse_anchor_and_tag(b, event, event->data.scalar.anchor, event->data.scalar.tag);

    if (r < 0)
        return r;
    r = new_node(b, NODE_SCALAR, event, &node);
    if (r < 0)
        return r;
    if (text.len && memchr(text.ptr, '\0', text.len))
        return diag_set_at(b->diag, -EINVAL, node->place, "found a NUL character in a text");
    node->text = (struct str){str_dup(text), text.len};
    if (!node->text.ptr)
        return diag_set(b->diag, -ENOMEM, "out of memory");
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    node->opening =
        style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    node->verbatim = count_verbatim(b, node->opening, text);
    (void)place_of(b, &event->end_mark);
    node->before_comma = node->plain && doc_text_char(&b->source) == ',';
    *ret_node = TAKE_PTR(node);
    return 0;
}

static int build_node(struct builder *b, const yaml_event_t *event, unsigned depth,
                      struct node **ret_node);

static int build_sequence(struct builder *b, const yaml_event_t *event, unsigned depth,
                          struct node **ret_node)
{
    CLEANUP(node_freep) struct node *node = NULL;
    struct node **link;
    int r = refuse_anchor_and_tag(b, event, event->data.sequence_start.anchor,
                                  event->data.sequence_start.tag);

    if (r < 0)
        return r;
    r = new_node(b, NODE_SEQUENCE, event, &node);
    if (r < 0)
        return r;
    for (link = &node->first;; link = &(*link)->next, node->count++) {
        CLEANUP(yaml_event_delete) yaml_event_t item = {0};

        r = next_event(b, &item);
        if (r < 0)
            return r;
        if (item.type == YAML_SEQUENCE_END_EVENT)
            break;
        r = build_node(b, &item, depth + 1, link);
        if (r < 0)
            return r;
    }
    *ret_node = TAKE_PTR(node);
    return 0;
}

static int compare_keys(const void *left, const void *right)
{
    const struct node *const *a = left, *const *b = right;
    size_t common = (*a)->key.len < (*b)->key.len ? (*a)->key.len : (*b)->key.len;
    int order = common ? memcmp((*a)->key.ptr, (*b)->key.ptr, common) : 0;

    if (order)
        return order;
    if ((*a)->key.len != (*b)->key.len)
        return (*a)->key.len < (*b)->key.len ? -1 : 1;
    if ((*a)->key_place.line != (*b)->key_place.line)
        return (*a)->key_place.line < (*b)->key_place.line ? -1 : 1;
    return (*a)->key_place.column < (*b)->key_place.column ? -1 : 1;
}

static int refuse_duplicate_keys(struct builder *b, const struct node *mapping)
{
    CLEANUP(freep) const struct node **sorted = NULL;
    size_t count = 0;

    if (mapping->count < 2)
        return 0;
    sorted = calloc(mapping->count, sizeof(*sorted));
    if (!sorted)
        return diag_set(b->diag, -ENOMEM, "out of memory");
    for (const struct node *child = mapping->first; child; child = child->next)
        sorted[count++] = child;
    qsort(sorted, count, sizeof(*sorted), compare_keys);
    for (size_t i = 1; i < count; i++)
        if (str_eq(sorted[i]->key, sorted[i - 1]->key))
            return diag_set_at(b->diag, -EINVAL, sorted[i]->key_place,
                               "found key \"%" PRIstr "\" a second time, the first is in line %u",
                               STR_ARG(sorted[i]->key), sorted[i - 1]->key_place.line);
    return 0;
}

/* A key and its value, as one node. */
static int build_pair(struct builder *b, const yaml_event_t *key_event, unsigned depth,
                      struct node **ret_node)
{
    CLEANUP(node_freep) struct node *key = NULL;
    CLEANUP(yaml_event_delete) yaml_event_t value_event = {0};
    struct node *value;
    int r;

    if (key_event->type == YAML_MAPPING_START_EVENT || key_event->type == YAML_SEQUENCE_START_EVENT)
        return say_quote_it(b, place_of(b, &key_event->start_mark),
                            "a key must be text, not a mapping or a sequence");
    r = build_node(b, key_event, depth, &key);
    if (r < 0)
        return r;
    r = next_event(b, &value_event);
    if (r < 0)
        return r;
    r = build_node(b, &value_event, depth, &value);
    if (r < 0)
        return r;
    value->key = (struct str){TAKE_PTR(key->text.ptr), key->text.len};
    value->key_place = key->place;
    *ret_node = value;
    return 0;
}

static int build_mapping(struct builder *b, const yaml_event_t *event, unsigned depth,
                         struct node **ret_node)
{
    CLEANUP(node_freep) struct node *node = NULL;
    struct node **link;
    int r = refuse_anchor_and_tag(b, event, event->data.mapping_start.anchor,
                                  event->data.mapping_start.tag);

    if (r < 0)
        return r;
    r = new_node(b, NODE_MAPPING, event, &node);
    if (r < 0)
        return r;
    for (link = &node->first;; link = &(*link)->next, node->count++) {
        CLEANUP(yaml_event_delete) yaml_event_t key = {0};

        r = next_event(b, &key);
        if (r < 0)
            return r;
        if (key.type == YAML_MAPPING_END_EVENT)
            break;
        r = build_pair(b, &key, depth + 1, link);
        if (r < 0)
            return r;
    }
    r = refuse_duplicate_keys(b, node);
    if (r < 0)
        return r;
    *ret_node = TAKE_PTR(node);
    return 0;
}

static int build_node(struct builder *b, const yaml_event_t *event, unsigned depth,
                      struct node **ret_node)
{
    if (depth > DOC_DEPTH_MAX)
        return diag_set_at(b->diag, -EINVAL, place_of(b, &event->start_mark),
                           "found values nested deeper than %d levels", DOC_DEPTH_MAX);
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return build_scalar(b, event, ret_node);
    case YAML_SEQUENCE_START_EVENT:
        return build_sequence(b, event, depth, ret_node);
    case YAML_MAPPING_START_EVENT:
        return build_mapping(b, event, depth, ret_node);
    default: /* the only other event in the place of a value */
        return say_quote_it(b, place_of(b, &event->start_mark),
                            "an unquoted '*' begins a YAML alias");
    }
}

/* Reads events up to the one of type `wanted`, which must come next or behind a start of stream. */
static int expect_document(struct builder *b, bool *ret_found)
{
    for (;;) {
        CLEANUP(yaml_event_delete) yaml_event_t event = {0};
        int r = next_event(b, &event);

        if (r < 0)
            return r;
        if (event.type == YAML_DOCUMENT_START_EVENT || event.type == YAML_STREAM_END_EVENT) {
            *ret_found = event.type == YAML_DOCUMENT_START_EVENT;
            if (*ret_found)
                (void)place_of(b, &event.start_mark);
            return 0;
        }
    }
}

static int build_document(struct builder *b, struct node **ret_root)
{
    CLEANUP(node_freep) struct node *root = NULL;
    CLEANUP(yaml_event_delete) yaml_event_t event = {0};
    bool found;
    int r = expect_document(b, &found);

    if (r < 0)
        return r;
    if (!found)
        return diag_set_at(b->diag, -EINVAL, (struct place){1, 1},
                           "found nothing, expected a mapping");
    r = next_event(b, &event);
    if (r < 0)
        return r;
    r = build_node(b, &event, 1, &root);
    if (r < 0)
        return r;
    r = expect_document(b, &found);
    if (r < 0)
        return r;
    if (found)
        return diag_set_at(b->diag, -EINVAL, doc_text_place(&b->source),
                           "found a second document, expected one file with one document");
    *ret_root = TAKE_PTR(root);
    return 0;
}

int doc_parse(struct str text, struct doc **ret_doc, struct diag *diag)
{
    static const struct str BYTE_ORDER_MARK = STR_INIT("\xef\xbb\xbf");
    CLEANUP(doc_freep) struct doc *doc = calloc(1, sizeof(*doc));
    struct builder b = {.diag = diag};
    int r;

    if (!doc)
        return diag_set(diag, -ENOMEM, "out of memory");
    if (text.len > DOC_BYTES_MAX)
        return diag_set(diag, -EINVAL, "found more than %d bytes", DOC_BYTES_MAX);
    if (text.len == 0)
        text = STR(""); /* libyaml wants a pointer */
    if (str_has_prefix(text, BYTE_ORDER_MARK))
        text = str_from_offset(text, BYTE_ORDER_MARK.len);
    r = doc_text_check(text, diag);
    if (r < 0)
        return r;
    b.source.text = text;
    if (!yaml_parser_initialize(&b.parser))
        return diag_set(diag, -ENOMEM, "out of memory");
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text.ptr, text.len);
    r = build_document(&b, &doc->root);
    yaml_parser_delete(&b.parser);
    if (r < 0)
        return r;
    *ret_doc = TAKE_PTR(doc);
    return 0;
}
