/* SPDX-License-Identifier: Apache-2.0 */
#include "filter_settings.h"

#include <stddef.h>

/* Where ext_authz puts it.  The names end with a zero byte each; the key's follow. */
static const char METADATA[] = "metadata\0filter_metadata\0envoy.filters.http.ext_authz";

static const char TOO_LONG[] = "the value is too long";
static const char TWICE[] = "given twice";

static const char *store(struct text value, char *buffer, uint32_t size, uint32_t *used)
{
    if (*used)
        return TWICE;
    if (value.len > size)
        return TOO_LONG;
    __builtin_memcpy(buffer, value.ptr, value.len);
    *used = value.len;
    return NULL;
}

/* "a.b" as "a", zero byte, "b" behind the namespace. */
static const char *read_key(struct text value, struct filter_settings *settings)
{
    char *at = settings->path + sizeof(METADATA);

    if (settings->path_size)
        return TWICE;
    if (sizeof(METADATA) + value.len > FILTER_PATH_MAX)
        return TOO_LONG;
    __builtin_memcpy(settings->path, METADATA, sizeof(METADATA));
    for (uint32_t i = 0; i < value.len; i++) {
        const bool ends = value.ptr[i] == '.';

        if (ends && (at[-1] == '\0' || i + 1 == value.len))
            return "expected names with dots between them";
        *at++ = ends ? '\0' : value.ptr[i];
    }
    settings->path_size = (uint32_t)(at - settings->path);
    return NULL;
}

static const char *read_header(struct text value, struct filter_settings *settings)
{
    for (uint32_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return "expected a header's name in lower case letters, digits and -";
    }
    return store(value, settings->header, FILTER_HEADER_MAX, &settings->header_size);
}

static const char *read_refuse(struct text value, struct filter_settings *settings)
{
    uint32_t n = settings->refused_count;
    const char *wrong;

    if (n == FILTER_WORDS_MAX)
        return "too many values to refuse";
    wrong = store(value, settings->refused[n], FILTER_WORD_MAX, &settings->refused_sizes[n]);
    settings->refused_count += !wrong;
    return wrong;
}

static const char *read_absent(struct text value, struct filter_settings *settings)
{
    if (settings->has_absent)
        return TWICE;
    settings->has_absent = true;
    settings->refuses_absent = text_eq(value, TEXT("refuse"));
    return settings->refuses_absent || text_eq(value, TEXT("pass")) ? NULL
                                                                    : "expected refuse or pass";
}

static const char *read_redirect(struct text value, struct filter_settings *settings)
{
    return store(value, settings->url, FILTER_URL_MAX, &settings->url_size);
}

static const char *read_line(struct text line, struct filter_settings *settings)
{
    static const struct {
        struct text name;
        const char *(*read)(struct text value, struct filter_settings *settings);
    } NAMES[] = {
        {{"key", 3}, read_key},           {{"response-header", 15}, read_header},
        {{"refuse", 6}, read_refuse},     {{"absent", 6}, read_absent},
        {{"redirect", 8}, read_redirect},
    };
    struct text value = line;
    const struct text name = text_trim(text_take(&value, ':'));

    value = text_trim(value);
    if (value.len == 0)
        return "expected `name: value`";
    if (!text_is_printable(value)) /* what is compared with it always is */
        return "expected ASCII without control characters";
    for (uint32_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (text_eq(name, NAMES[i].name))
            return NAMES[i].read(value, settings);
    return "unknown name, there are key, response-header, refuse, absent and redirect";
}

static const char *check_all(const struct filter_settings *settings)
{
    if (!settings->path_size)
        return "`key` is missing";
    if (!settings->header_size && !settings->refused_count && !settings->refuses_absent)
        return "nothing to do: `response-header`, `refuse` or `absent: refuse` is missing";
    if (settings->refused_count && !settings->has_absent)
        return "`absent` is missing: refuse or pass those of whom nothing is known";
    if (settings->url_size && !settings->refused_count && !settings->refuses_absent)
        return "`redirect` without `refuse`";
    return NULL;
}

const char *filter_settings_read(struct text text, struct filter_settings *ret_settings,
                                 uint32_t *ret_line)
{
    for (uint32_t number = 1; text.len; number++) {
        const struct text line = text_trim(text_take(&text, '\n'));
        const char *wrong = NULL;

        if (line.len && line.ptr[0] != '#')
            wrong = read_line(line, ret_settings);
        if (wrong) {
            *ret_line = number;
            return wrong;
        }
    }
    *ret_line = 0;
    return check_all(ret_settings);
}

bool filter_settings_refuse(const struct filter_settings *settings, struct text value)
{
    if (!value.ptr)
        return settings->refuses_absent;
    for (uint32_t i = 0; i < settings->refused_count; i++)
        if (text_eq(value, (struct text){settings->refused[i], settings->refused_sizes[i]}))
            return true;
    return false;
}
