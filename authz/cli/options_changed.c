/* SPDX-License-Identifier: Apache-2.0 */
#include "options_changed.h"

#include <string.h>

static bool texts_differ(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) != 0 : a != b;
}

static bool lists_differ(const struct text_list *a, const struct text_list *b)
{
    if (a->count != b->count)
        return true;
    for (size_t i = 0; i < a->count; i++)
        if (texts_differ(a->items[i], b->items[i]))
            return true;
    return false;
}

bool option_differs(const struct option_spec *spec, const void *a, const void *b)
{
    const void *left = (const char *)a + spec->offset, *right = (const char *)b + spec->offset;

    switch (spec->kind) {
    case OPTION_FLAG:
        return *(const bool *)left != *(const bool *)right;
    case OPTION_TEXT:
        return texts_differ(*(const char *const *)left, *(const char *const *)right);
    case OPTION_LIST:
        return lists_differ(left, right);
    case OPTION_NUMBER:
    case OPTION_DURATION:
    case OPTION_SIZE:
        return *(const uint64_t *)left != *(const uint64_t *)right;
    case OPTION_CHOICE:
        return *(const unsigned *)left != *(const unsigned *)right;
    }
    return true;
}

static const char *name_changes(const struct option_table *table, bool with_live, const void *a,
                                const void *b, char *buffer, size_t size)
{
    size_t used = 0;

    buffer[0] = '\0';
    for (size_t i = 0; i < table->count && used < size; i++) {
        const struct option_spec *spec = &table->specs[i];

        if (!spec->command_line_only && (with_live || !spec->live) && option_differs(spec, a, b))
            used += (size_t)snprintf(buffer + used, size - used, "%s--%s", used ? ", " : "",
                                     spec->name);
    }
    return buffer;
}

const char *options_changed(const struct option_table *table, const void *a, const void *b,
                            char *buffer, size_t size)
{
    return name_changes(table, true, a, b, buffer, size);
}

const char *options_frozen(const struct option_table *table, const void *a, const void *b,
                           char *buffer, size_t size)
{
    return name_changes(table, false, a, b, buffer, size);
}
