/* SPDX-License-Identifier: Apache-2.0 */
#include "config_file.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "doc.h"
#include "file.h"

enum { WORDS_MAX = 160 };

struct config_file {
    char *name;
    struct doc *doc;
    unsigned lines[OPTIONS_MAX]; /* of the section's options that the file says; 0: it does not */
    const char **items;          /* of all lists, one behind the other */
    size_t item_count;
};

/* A file on its way into `target`. */
struct reading {
    struct config_file *file;
    const struct config_section *section; /* the verb's own */
    const struct node *own;               /* its part of the file, or NULL */
    const struct options_given *given;
    void *target;
    struct diag *diag;
};

void config_file_freep(struct config_file **file)
{
    if (!*file)
        return;
    free((*file)->name);
    doc_freep(&(*file)->doc);
    free((*file)->items);
    freep(file);
}

const char *config_file_name(const struct config_file *file)
{
    return file->name;
}

unsigned config_file_line(const struct config_file *file, size_t index)
{
    return file->lines[index];
}

static const struct config_section *find_section(struct str name)
{
    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++)
        if (str_eq(name, str_from(section->name)))
            return section;
    return NULL;
}

/* The option of this name, so far as it is a key. */
static const struct option_spec *find_key(const struct option_table *table, struct str name)
{
    const struct option_spec *spec = option_find(table, name);

    return spec && !spec->command_line_only ? spec : NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

static int refuse_value(struct reading *reading, const struct node *node, const char *expected)
{
    char found[NODE_FOUND_MAX];

    return diag_set_at(reading->diag, -EINVAL, node->place, "found %s, expected %s",
                       node_found(node, found), expected);
}

/* The place in the message is that of the very item. */
static int check_scalar(struct reading *reading, const struct option_spec *spec,
                        const struct node *node)
{
    struct diag wrong = {0};
    struct str item;
    int r;

    if (node->kind != NODE_SCALAR || node->text.len == 0)
        return refuse_value(reading, node, spec->value);
    r = option_check(spec, node->text, &item, &wrong);
    if (r < 0 && wrong.text[0])
        return diag_set_at(reading->diag, r,
                           node_place_at(node, (size_t)(item.ptr - node->text.ptr)),
                           "%s %" PRIstr ": %s", spec->name, STR_ARG(item), wrong.text);
    return r;
}

static int check_list(struct reading *reading, const struct option_spec *spec,
                      const struct node *node)
{
    int r = 0;

    if (node->kind != NODE_SEQUENCE)
        return check_scalar(reading, spec, node);
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = check_scalar(reading, spec, item);
    return r;
}

static int check_flag(struct reading *reading, const struct node *node)
{
    if (node->kind == NODE_SCALAR &&
        (str_eq(node->text, STR("true")) || str_eq(node->text, STR("false"))))
        return 0;
    return refuse_value(reading, node, "true or false");
}

static int check_value(struct reading *reading, const struct option_spec *spec,
                       const struct node *node)
{
    if (spec->kind == OPTION_FLAG)
        return check_flag(reading, node);
    if (spec->kind == OPTION_LIST)
        return check_list(reading, spec, node);
    return check_scalar(reading, spec, node);
}

static void store_list(struct config_file *file, const struct node *node, struct text_list *list)
{
    *list = (struct text_list){.items = file->items + file->item_count};
    if (node->kind == NODE_SCALAR)
        list->items[list->count++] = node->text.ptr;
    for (const struct node *item = node->first; item; item = item->next)
        list->items[list->count++] = item->text.ptr;
    file->item_count += list->count;
}

/* Of a value that has been checked. */
static void store_value(struct reading *reading, const struct option_spec *spec,
                        const struct node *node)
{
    size_t index = (size_t)(spec - reading->section->options->specs);
    void *slot = option_slot(spec, reading->target);

    if (options_is_given(reading->given, index))
        return;
    reading->file->lines[index] = node->key_place.line;
    if (spec->kind == OPTION_FLAG)
        *(bool *)slot = str_eq(node->text, STR("true"));
    else if (spec->kind == OPTION_LIST)
        store_list(reading->file, node, slot);
    else
        option_store(spec, node->text.ptr, reading->target);
}

/* --- keys that are none ----------------------------------------------------------------------- */

static size_t add_words(const struct option_table *table, const char **words, size_t count)
{
    for (size_t i = 0; i < table->count && count < WORDS_MAX; i++)
        if (!table->specs[i].command_line_only)
            words[count++] = table->specs[i].name;
    return count;
}

/* The section, other than `but`, that has an option of this name, key or not. */
static const struct config_section *section_with(struct str name, const struct config_section *but)
{
    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++)
        if (section != but && option_find(section->options, name))
            return section;
    return NULL;
}

static int say_unknown(struct reading *reading, const struct node *node, const char *where,
                       const char *const *words, size_t count, const char *otherwise)
{
    const char *near = diag_nearest(node->key, words, count);

    if (near)
        return diag_set_at(reading->diag, -EINVAL, node->key_place,
                           "unknown key in %s: \"%" PRIstr "\"; did you mean \"%s\"?", where,
                           STR_ARG(node->key), near);
    return diag_set_at(reading->diag, -EINVAL, node->key_place,
                       "unknown key in %s: \"%" PRIstr "\"; %s", where, STR_ARG(node->key),
                       otherwise);
}

static int refuse_command_line_only(struct reading *reading, const struct node *node)
{
    return diag_set_at(reading->diag, -EINVAL, node->key_place,
                       "\"%" PRIstr "\" is for the command line only", STR_ARG(node->key));
}

static int refuse_key_of_section(struct reading *reading, const struct config_section *section,
                                 const struct node *node)
{
    const struct config_section *other = section_with(node->key, section);
    const char *words[WORDS_MAX];
    char otherwise[128];

    if (option_find(section->options, node->key))
        return refuse_command_line_only(reading, node);
    if (other)
        return diag_set_at(reading->diag, -EINVAL, node->key_place,
                           "unknown key in %s: \"%" PRIstr "\"; it is an option of %s",
                           section->name, STR_ARG(node->key), other->name);
    (void)snprintf(otherwise, sizeof(otherwise), "`synauthz %s --help` lists all", section->name);
    return say_unknown(reading, node, section->name, words, add_words(section->options, words, 0),
                       otherwise);
}

static int refuse_key_of_file(struct reading *reading, const struct node *node)
{
    const char *words[WORDS_MAX] = {"version"};
    size_t count = 1;

    if (section_with(node->key, NULL))
        return refuse_command_line_only(reading, node);
    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++) {
        words[count++] = section->name;
        count = add_words(section->options, words, count);
    }
    return say_unknown(reading, node, "a configuration file", words, count,
                       "expected version, agent, serve, or an option that they have");
}

/* --- the file --------------------------------------------------------------------------------- */

static int read_section(struct reading *reading, const struct config_section *section,
                        const struct node *node)
{
    if (node->kind != NODE_MAPPING)
        return refuse_value(reading, node, "a mapping: options and their values");
    for (const struct node *value = node->first; value; value = value->next) {
        const struct option_spec *spec = find_key(section->options, value->key);
        int r = spec ? check_value(reading, spec, value)
                     : refuse_key_of_section(reading, section, value);

        if (r < 0)
            return r;
        if (section == reading->section)
            store_value(reading, spec, value);
    }
    return 0;
}

/* An option of the top level: for all sections that have it, and good enough for each. */
static int read_common(struct reading *reading, const struct node *node)
{
    bool is_known = false;

    for (const struct config_section *section = CONFIG_SECTIONS; section->name; section++) {
        const struct option_spec *spec = find_key(section->options, node->key);
        int r = spec ? check_value(reading, spec, node) : 0;

        if (r < 0)
            return r;
        is_known = is_known || spec;
        if (spec && section == reading->section &&
            !(reading->own && node_find(reading->own, node->key)))
            store_value(reading, spec, node);
    }
    return is_known ? 0 : refuse_key_of_file(reading, node);
}

/* First of all: another version may have other keys. */
static int check_version(struct reading *reading, const struct node *root)
{
    const struct node *version = node_find(root, STR("version"));

    if (!version)
        return diag_set_at(reading->diag, -EINVAL, root->place,
                           "a configuration file needs the line \"version: 1\"");
    if (version->kind != NODE_SCALAR || !str_eq(version->text, STR("1")))
        return refuse_value(reading, version, "1");
    return 0;
}

static int read_root(struct reading *reading, const struct node *root)
{
    int r;

    if (root->kind != NODE_MAPPING)
        return refuse_value(reading, root, "a mapping: version, agent, serve, options");
    r = check_version(reading, root);
    reading->own = node_find(root, str_from(reading->section->name));
    for (const struct node *node = root->first; node && r == 0; node = node->next) {
        const struct config_section *section = find_section(node->key);

        if (section)
            r = read_section(reading, section, node);
        else if (!str_eq(node->key, STR("version")))
            r = read_common(reading, node);
    }
    return r;
}

static size_t count_scalars(const struct node *node)
{
    size_t count = node->kind == NODE_SCALAR;

    for (const struct node *child = node->first; child; child = child->next)
        count += count_scalars(child); /* as deep as DOC_DEPTH_MAX */
    return count;
}

int config_file_parse(struct str text, const char *name, const char *section,
                      const struct options_given *given, void *target,
                      struct config_file **ret_file, struct diag *diag)
{
    CLEANUP(config_file_freep) struct config_file *file = calloc(1, sizeof(*file));
    struct reading reading = {
        .file = file,
        .section = find_section(str_from(section)),
        .given = given,
        .target = target,
        .diag = diag,
    };
    int r;

    assert(reading.section);
    if (!file)
        return -ENOMEM;
    file->name = str_dup(str_from(name));
    if (!file->name)
        return -ENOMEM;
    diag_set_file(diag, name);
    r = doc_parse(text, &file->doc, diag);
    if (r < 0)
        return r;
    file->items = calloc(count_scalars(doc_root(file->doc)) + 1, sizeof(*file->items));
    if (!file->items)
        return -ENOMEM;
    r = read_root(&reading, doc_root(file->doc));
    if (r < 0)
        return r;
    diag_set_file(diag, ""); /* what else may go wrong is not about this file */
    *ret_file = TAKE_PTR(file);
    return 0;
}

int config_file_read(const char *path, const char *section, const struct options_given *given,
                     void *target, struct config_file **ret_file, struct diag *diag)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    int r;

    diag_set_file(diag, path);
    r = file_read(path, DOC_BYTES_MAX, &text, &size, diag);
    if (r < 0)
        return r;
    return config_file_parse((struct str){text, size}, path, section, given, target, ret_file,
                             diag);
}
