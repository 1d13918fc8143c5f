/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "cleanup.h"
#include "fact.h"
#include "fact_key.h"

enum part_kind { PART_LITERAL = 0, PART_FACT, PART_NAME };

struct part {
    enum part_kind kind;
    struct str text; /* the literal, or the default; borrowed from template.text */
    bool has_default;
    const struct fact *fact;
    struct fact_key *key; /* owned; NULL: the fact takes none */
    size_t name_offset;   /* in struct template_names */
};

struct template
{
    char *text; /* what the parts borrow from, with each "%%" made "%" */
    struct part *parts;
    size_t part_count;
};

static const struct {
    const char *name;
    size_t offset;
} NAMES[] = {
    {"rule", offsetof(struct template_names, rule)},
    {"policy", offsetof(struct template_names, policy)},
    {"revision", offsetof(struct template_names, revision)},
    {"decision_id", offsetof(struct template_names, decision_id)},
};

enum { NAME_COUNT = sizeof(NAMES) / sizeof(NAMES[0]) };

void template_freep(struct template **slot)
{
    struct template *template = *slot;

    *slot = NULL;
    if (!template)
        return;
    for (size_t i = 0; i < template->part_count; i++)
        fact_key_freep(&template->parts[i].key);
    free(template->text);
    free(template->parts);
    free(template);
}

/* --- compiling */

struct compiler {
    struct template *template;
    struct str text;
    size_t at;           /* byte of `text` that is next */
    size_t literal_used; /* bytes of template->text */
    struct place place;  /* of byte 0 */
    struct header_table *headers;
    struct diag *diag;
};

static struct place place_at(const struct compiler *c, size_t offset)
{
    return (struct place){c->place.line, c->place.column + (unsigned)offset};
}

/* Literals that stand side by side ("100" and "%%") become one. */
static void add_literal(struct compiler *c, struct str bytes)
{
    struct template *template = c->template;
    struct part *last = template->part_count ? &template->parts[template->part_count - 1] : NULL;
    char *copy = template->text + c->literal_used;

    if (bytes.len == 0)
        return;
    memcpy(copy, bytes.ptr, bytes.len);
    c->literal_used += bytes.len;
    if (last && last->kind == PART_LITERAL)
        last->text.len += bytes.len;
    else
        template->parts[template->part_count++] =
            (struct part){.kind = PART_LITERAL, .text = {copy, bytes.len}};
}

static int unknown_name(const struct compiler *c, struct str name, size_t offset)
{
    const char *names[FACT_NAMES_MAX + NAME_COUNT], *near;
    char all[DIAG_TEXT_MAX], groups[FACT_NAMES_MAX][FACT_GROUP_MAX];
    size_t count = fact_names(true, names);
    const struct fact *fact = fact_find(name);
    struct place place = place_at(c, offset);

    if (fact && fact->type == FACT_SIGNATURE)
        return diag_set_at(c->diag, -EINVAL, place,
                           "\"signature\" is for conditions, its text is %%{p0f}");
    for (size_t i = 0; i < NAME_COUNT; i++)
        names[count++] = NAMES[i].name;
    near = diag_nearest(name, names, count);
    if (near)
        return diag_set_at(c->diag, -EINVAL, place,
                           "unknown fact \"%" PRIstr "\"; did you mean \"%s\"?", STR_ARG(name),
                           near);
    count = fact_groups(true, groups);
    for (size_t i = 0; i < count; i++)
        names[i] = groups[i];
    for (size_t i = 0; i < NAME_COUNT; i++)
        names[count++] = NAMES[i].name;
    return diag_set_at(c->diag, -EINVAL, place, "unknown fact \"%" PRIstr "\"; expected %s",
                       STR_ARG(name), diag_words(names, count, all, sizeof(all)));
}

/* FACT, or FACT:NAME, or FACT:NAME:NAME... */
static int read_fact(const struct compiler *c, struct str text, struct part *part)
{
    struct str rest = text, name, names[FACT_PATH_MAX + 1];
    struct diag inner = {0};
    size_t count = 0, wrong = 0;
    int r;

    (void)str_next_field(&rest, ':', &name);
    while (count <= FACT_PATH_MAX && str_next_field(&rest, ':', &names[count]))
        count++;
    part->kind = PART_FACT;
    if (part->fact->key == FACT_KEY_NONE && count > 0)
        return diag_set_at(c->diag, -EINVAL, place_at(c, (size_t)(names[0].ptr - c->text.ptr)),
                           "found a name, but there is only one \"%s\"", part->fact->name);
    r = fact_key_new(part->fact, names, count, c->headers, &part->key, &wrong, &inner);
    if (r < 0)
        return diag_set_at(
            c->diag, r,
            place_at(c, (size_t)((count > 0 ? names[wrong].ptr : text.ptr) - c->text.ptr)), "%s",
            inner.text);
    return 0;
}

static int read_name(const struct compiler *c, struct str name, struct part *part)
{
    size_t i = 0;

    while (i < NAME_COUNT && !str_eq(name, str_from(NAMES[i].name)))
        i++;
    if (i == NAME_COUNT)
        return unknown_name(c, name, (size_t)(name.ptr - c->text.ptr));
    part->kind = PART_NAME;
    part->name_offset = NAMES[i].offset;
    return 0;
}

/* What is between the braces: WHAT or WHAT|DEFAULT. */
static int add_reference(struct compiler *c, struct str inside)
{
    struct part part = {0};
    struct str rest = inside, what, name, names;
    int r;

    (void)str_next_field(&rest, '|', &what);
    names = what;
    (void)str_next_field(&names, ':', &name);
    part.fact = fact_find(name);
    r = part.fact && fact_is_showable(part.fact) ? read_fact(c, what, &part)
                                                 : read_name(c, name, &part);
    if (r < 0)
        return r;
    if (rest.ptr) {
        part.has_default = true;
        part.text.ptr = c->template->text + c->literal_used;
        part.text.len = rest.len;
        if (rest.len)
            memcpy(c->template->text + c->literal_used, rest.ptr, rest.len);
        c->literal_used += rest.len;
    }
    c->template->parts[c->template->part_count++] = part;
    return 0;
}

/* At a '%': "%%" or "%{...}". */
static int compile_percent(struct compiler *c)
{
    struct str rest = str_from_offset(c->text, c->at);
    ptrdiff_t end;
    int r;

    if (str_has_prefix(rest, STR("%%"))) {
        add_literal(c, STR("%"));
        c->at += 2;
        return 0;
    }
    if (!str_has_prefix(rest, STR("%{")))
        return diag_set_at(c->diag, -EINVAL, place_at(c, c->at),
                           "found '%%', expected %%{fact}; a percent sign is written %%%%");
    end = str_find_char(rest, '}');
    if (end < 0)
        return diag_set_at(c->diag, -EINVAL, place_at(c, c->at), "found \"%%{\" without its \"}\"");
    r = add_reference(c, (struct str){rest.ptr + 2, (size_t)end - 2});
    if (r < 0)
        return r;
    c->at += (size_t)end + 1;
    return 0;
}

static int compile_parts(struct compiler *c)
{
    while (c->at < c->text.len) {
        struct str rest = str_from_offset(c->text, c->at);
        ptrdiff_t percent = str_find_char(rest, '%');
        int r;

        if (percent != 0) {
            size_t len = percent < 0 ? rest.len : (size_t)percent;

            add_literal(c, (struct str){rest.ptr, len});
            c->at += len;
            continue;
        }
        r = compile_percent(c);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Upper bound of the parts: one for each '%' and one literal behind each, and one in front. */
static size_t count_parts(struct str text)
{
    size_t count = 1;

    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '%')
            count += 2;
    return count;
}

int template_compile(struct str text, struct place place, struct header_table *headers,
                     struct template **ret_template, struct diag *diag)
{
    CLEANUP(template_freep) struct template *template = calloc(1, sizeof(*template));
    struct compiler compiler = {.text = text, .place = place, .headers = headers, .diag = diag};
    int r;

    if (!template)
        return diag_set(diag, -ENOMEM, "out of memory");
    template->text = malloc(text.len + 1);
    template->parts = calloc(count_parts(text), sizeof(*template->parts));
    if (!template->text || !template->parts)
        return diag_set(diag, -ENOMEM, "out of memory");
    compiler.template = template;
    r = compile_parts(&compiler);
    if (r < 0)
        return r;
    *ret_template = TAKE_PTR(template);
    return 0;
}

const char *template_needs_database(const struct template *template)
{
    for (size_t i = 0; i < template->part_count; i++)
        if (template->parts[i].kind == PART_FACT && template->parts[i].fact->needs_database)
            return template->parts[i].fact->name;
    return NULL;
}

/* --- rendering */

static bool part_text(const struct part *part, const struct subject *subject,
                      const struct template_names *names, char buffer[FACT_TEXT_MAX],
                      struct str *ret_text)
{
    struct fact_value value;
    struct str name;

    switch (part->kind) {
    case PART_LITERAL:
        *ret_text = part->text;
        return true;
    case PART_FACT:
        if (fact_read(part->fact, subject, part->key, &value) != FACT_PRESENT)
            break;
        *ret_text = fact_show(part->fact, &value, buffer);
        return true;
    case PART_NAME:
        memcpy(&name, (const char *)names + part->name_offset, sizeof(name));
        if (!name.ptr)
            break;
        *ret_text = name;
        return true;
    }
    *ret_text = part->text;
    return part->has_default;
}

enum template_result template_render(const struct template *template, const struct subject *subject,
                                     const struct template_names *names, struct arena *arena,
                                     struct str *ret_text)
{
    char buffer[FACT_TEXT_MAX];
    struct str text = STR("");
    size_t length = 0;
    char *out;

    for (size_t i = 0; i < template->part_count; i++) {
        if (!part_text(&template->parts[i], subject, names, buffer, &text))
            return TEMPLATE_ABSENT;
        length += text.len;
    }
    if (template->part_count <= 1 && text.ptr != buffer) {
        *ret_text = text; /* outlives the call: the template's, the subject's or a name */
        return TEMPLATE_TEXT;
    }
    out = arena_alloc(arena, length);
    if (!out)
        return TEMPLATE_EXHAUSTED;
    *ret_text = (struct str){out, length};
    for (size_t i = 0; i < template->part_count; i++) {
        (void)part_text(&template->parts[i], subject, names, buffer, &text);
        if (text.len)
            memcpy(out, text.ptr, text.len);
        out += text.len;
    }
    return TEMPLATE_TEXT;
}
