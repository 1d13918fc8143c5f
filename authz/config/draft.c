/* SPDX-License-Identifier: Apache-2.0 */
#include "draft.h"

#include <errno.h>
#include <stdio.h>

#include "policy.h"
#include "template.h"

int draft_no_memory(struct draft *draft)
{
    return diag_set(draft->diag, -ENOMEM, "out of memory");
}

int draft_expect(struct draft *draft, const struct node *node, enum node_kind kind,
                 const char *what)
{
    char found[NODE_FOUND_MAX];

    if (node->kind == kind)
        return 0;
    return diag_set_at(draft->diag, -EINVAL, node->place, "found %s, expected %s",
                       node_found(node, found), what);
}

int draft_expect_text(struct draft *draft, const struct node *node, const char *what)
{
    if (node_is_empty(node))
        return diag_set_at(draft->diag, -EINVAL, node->place, "found nothing, expected %s", what);
    return draft_expect(draft, node, NODE_SCALAR, what);
}

enum { WORDS_TEXT_MAX = DIAG_TEXT_MAX };

int draft_unknown(struct draft *draft, struct place place, const char *what, struct str word,
                  const char *const *known, size_t count)
{
    const char *near = diag_nearest(word, known, count);
    char all[WORDS_TEXT_MAX];

    if (near)
        return diag_set_at(draft->diag, -EINVAL, place,
                           "unknown %s: \"%" PRIstr "\"; did you mean \"%s\"?", what, STR_ARG(word),
                           near);
    return diag_set_at(draft->diag, -EINVAL, place, "unknown %s: \"%" PRIstr "\"; expected %s",
                       what, STR_ARG(word), diag_words(known, count, all, sizeof(all)));
}

int draft_read_word(struct draft *draft, const struct node *node, const char *const *words,
                    size_t count, size_t *ret_index)
{
    char all[WORDS_TEXT_MAX], found[NODE_FOUND_MAX];
    const char *near;

    (void)diag_words(words, count, all, sizeof(all));
    if (node->kind == NODE_SCALAR)
        for (size_t i = 0; i < count; i++)
            if (str_eq(node->text, str_from(words[i]))) {
                *ret_index = i;
                return 0;
            }
    near = node->kind == NODE_SCALAR ? diag_nearest(node->text, words, count) : NULL;
    if (near)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found %s, expected %s; did you mean \"%s\"?", node_found(node, found),
                           all, near);
    return diag_set_at(draft->diag, -EINVAL, node->place, "found %s, expected %s",
                       node_found(node, found), all);
}

int draft_read_on_unknown(struct draft *draft, const struct node *node, bool *ret_skip)
{
    static const char *const WORDS[] = {"deny", "skip"};
    size_t index = 0;
    int r = draft_read_word(draft, node, WORDS, 2, &index);

    if (r < 0)
        return r;
    *ret_skip = index == 1;
    return 0;
}

int draft_need_database(struct draft *draft, struct place place, const char *fact)
{
    if (draft->policy->database_count)
        return 0;
    return diag_set_at(draft->diag, -EINVAL, place,
                       "found fact \"%s\", which needs a database that names systems: give the "
                       "policy \"databases: [FILE, ...]\"",
                       fact);
}

int draft_read_template(struct draft *draft, const struct node *node,
                        struct template **ret_template)
{
    struct place start = node_place_at(node, 0);
    struct diag inner = {0};
    const char *fact;
    int r = draft_expect_text(draft, node, "a text");

    if (r < 0)
        return r;
    r = template_compile(node->text, start, draft->policy->headers, ret_template, &inner);
    if (r < 0 && inner.place.line) /* counted in the text: find it in the file */
        inner.place = node_place_at(node, inner.place.column - start.column);
    if (r < 0)
        return diag_set_at(draft->diag, r, inner.place, "%s", inner.text);
    fact = template_needs_database(*ret_template);
    return fact ? draft_need_database(draft, start, fact) : 0;
}

static int check_required(struct draft *draft, const struct node *node, const char *what,
                          const struct draft_key *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (keys[i].required && !node_find(node, str_from(keys[i].name)))
            return diag_set_at(draft->diag, -EINVAL, node->place, "%s needs the key \"%s\"", what,
                               keys[i].name);
    return 0;
}

enum { KEYS_MAX = 16 };

static int read_key(struct draft *draft, const struct node *value, const char *what,
                    const struct draft_key *keys, size_t count)
{
    const char *names[KEYS_MAX];
    char key_in_what[64];

    for (size_t i = 0; i < count; i++)
        if (str_eq(value->key, str_from(keys[i].name)))
            return keys[i].read(draft, value);
    for (size_t i = 0; i < count; i++)
        names[i] = keys[i].name;
    (void)snprintf(key_in_what, sizeof(key_in_what), "key in %s", what);
    return draft_unknown(draft, value->key_place, key_in_what, value->key, names, count);
}

int draft_read_keys(struct draft *draft, const struct node *node, const char *what,
                    const struct draft_key *keys, size_t count)
{
    int r;

    for (const struct node *value = node->first; value; value = value->next) {
        r = read_key(draft, value, what, keys, count);
        if (r < 0)
            return r;
    }
    return check_required(draft, node, what, keys, count);
}
