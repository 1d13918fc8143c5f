/* SPDX-License-Identifier: Apache-2.0 */
#include "http_signature.h"

#include <errno.h>
#include <stdlib.h>

enum { HEADERS_MAX = 32, ENTRIES_MIN = 16 };

struct http_header {
    struct str name;
    struct str value; /* what it must contain; {NULL, 0}: anything */
    bool optional;
};

struct http_signature {
    char version; /* '0', '1' or '*' */
    size_t header_count, absent_count;
    struct http_header headers[HEADERS_MAX];
    struct str absent[HEADERS_MAX];
};

struct http_entry {
    struct http_signature signature;
    bool generic;
    unsigned line;
};

struct cursor {
    struct str rest;
    const char *start;
    struct diag *diag;
    size_t *ret_error_offset;
};

static int fail(const struct cursor *cursor, const char *message)
{
    *cursor->ret_error_offset = (size_t)(cursor->rest.ptr - cursor->start);
    return diag_set(cursor->diag, -EINVAL, "%s", message);
}

static bool take(struct cursor *cursor, char c)
{
    if (cursor->rest.len == 0 || cursor->rest.ptr[0] != c)
        return false;
    cursor->rest = str_from_offset(cursor->rest, 1);
    return true;
}

static bool is_name_char(char c)
{
    return (char_lower(c) >= 'a' && char_lower(c) <= 'z') || char_is_digit(c) || c == '-' ||
           c == '_';
}

static int parse_name(struct cursor *cursor, struct str *ret_name)
{
    struct str name = {cursor->rest.ptr, 0};

    while (name.len < cursor->rest.len && is_name_char(cursor->rest.ptr[name.len]))
        name.len++;
    if (name.len == 0)
        return fail(cursor, "expected the name of a header");
    cursor->rest = str_from_offset(cursor->rest, name.len);
    *ret_name = name;
    return 0;
}

/* Behind the '=': "[VALUE]". */
static int parse_value(struct cursor *cursor, struct str *ret_value)
{
    ptrdiff_t length;

    if (!take(cursor, '['))
        return fail(cursor, "expected '[' behind '='");
    length = str_find_char(cursor->rest, ']');
    if (length < 1)
        return fail(cursor, "expected a value and ']'");
    *ret_value = (struct str){cursor->rest.ptr, (size_t)length};
    cursor->rest = str_from_offset(cursor->rest, (size_t)length + 1);
    return 0;
}

static int parse_header(struct cursor *cursor, struct http_signature *signature)
{
    struct http_header header = {0};
    int r;

    if (signature->header_count == HEADERS_MAX)
        return fail(cursor, "more than 32 headers");
    header.optional = take(cursor, '?');
    r = parse_name(cursor, &header.name);
    if (r == 0 && take(cursor, '='))
        r = parse_value(cursor, &header.value);
    if (r == 0)
        signature->headers[signature->header_count++] = header;
    return r;
}

static int parse_absent(struct cursor *cursor, struct http_signature *signature)
{
    int r;

    if (signature->absent_count == HEADERS_MAX)
        return fail(cursor, "more than 32 headers");
    r = parse_name(cursor, &signature->absent[signature->absent_count]);
    if (r == 0)
        signature->absent_count++;
    return r;
}

/* Items with commas between them, up to the ':'; p0f accepts a comma behind the last one, too. */
static int parse_list(struct cursor *cursor, struct http_signature *signature,
                      int (*parse_item)(struct cursor *, struct http_signature *))
{
    while (!take(cursor, ':')) {
        int r = parse_item(cursor, signature);

        if (r < 0)
            return r;
        if (!take(cursor, ',') && (cursor->rest.len == 0 || cursor->rest.ptr[0] != ':'))
            return fail(cursor, "expected ',' or ':'");
    }
    return 0;
}

static int parse_signature(struct str text, struct http_signature *ret_signature,
                           size_t *ret_error_offset, struct diag *diag)
{
    struct cursor cursor = {text, text.ptr, diag, ret_error_offset};
    int r;

    *ret_signature = (struct http_signature){0};
    if (text.len < 2 || text.ptr[1] != ':' || !memchr("01*", text.ptr[0], 3))
        return fail(&cursor, "HTTP version: expected 0, 1 or *, and then ':'");
    ret_signature->version = text.ptr[0];
    cursor.rest = str_from_offset(text, 2);
    r = parse_list(&cursor, ret_signature, parse_header);
    if (r == 0)
        r = parse_list(&cursor, ret_signature, parse_absent);
    if (r == 0 && str_find_char(cursor.rest, ':') >= 0)
        r = fail(&cursor, "the name of the software holds a ':'");
    return r;
}

/* Index of the first header of that name from `from` on, or the number of headers. */
static size_t find_header(const struct http_signature *signature, size_t from, struct str name)
{
    size_t at = from;

    while (at < signature->header_count && !str_eq(signature->headers[at].name, name))
        at++;
    return at;
}

static bool is_required(const struct http_signature *signature, struct str name)
{
    for (size_t i = 0; i < signature->header_count; i++)
        if (!signature->headers[i].optional && str_eq(signature->headers[i].name, name))
            return true;
    return false;
}

static bool covers_order(const struct http_signature *earlier, const struct http_signature *later)
{
    size_t from = 0;

    for (size_t i = 0; i < earlier->header_count; i++) {
        const struct http_header *wanted = &earlier->headers[i];
        size_t at = find_header(later, from, wanted->name);

        if (!wanted->optional && !is_required(later, wanted->name))
            return false;
        if (at == later->header_count) {
            /* out of order is as bad as missing */
            if (!wanted->optional || find_header(later, 0, wanted->name) < later->header_count)
                return false;
            continue;
        }
        if (wanted->value.ptr && (!later->headers[at].value.ptr ||
                                  !str_contains(later->headers[at].value, wanted->value)))
            return false;
        from = at + 1;
    }
    return true;
}

static bool lists_absent(const struct http_signature *signature, struct str name)
{
    for (size_t i = 0; i < signature->absent_count; i++)
        if (str_eq(signature->absent[i], name))
            return true;
    return false;
}

/* What must be absent for the earlier one must be so for the later one, and the later one must not
 * require it. */
static bool covers_absence(const struct http_signature *earlier, const struct http_signature *later)
{
    if (earlier->absent_count > later->absent_count)
        return false;
    for (size_t i = 0; i < earlier->absent_count; i++)
        if (is_required(later, earlier->absent[i]) || !lists_absent(later, earlier->absent[i]))
            return false;
    return true;
}

/* Whether nothing that `later` matches would get past `earlier`, as p0f judges it. */
static bool covers(const struct http_signature *earlier, const struct http_signature *later)
{
    return (earlier->version == '*' || earlier->version == later->version) &&
           covers_order(earlier, later) && covers_absence(earlier, later);
}

static int make_room(struct http_signatures *signatures)
{
    size_t capacity = signatures->capacity ? signatures->capacity * 2 : ENTRIES_MIN;
    struct http_entry *items;

    if (signatures->count < signatures->capacity)
        return 0;
    items = reallocarray(signatures->items, capacity, sizeof(items[0]));
    if (!items)
        return -ENOMEM;
    signatures->items = items;
    signatures->capacity = capacity;
    return 0;
}

int http_signatures_add(struct http_signatures *signatures, struct str text, bool generic,
                        unsigned line, size_t *ret_error_offset, unsigned *ret_earlier_line,
                        struct diag *diag)
{
    struct http_entry *entry;
    int r;

    r = make_room(signatures);
    if (r < 0)
        return r;
    entry = &signatures->items[signatures->count];
    r = parse_signature(text, &entry->signature, ret_error_offset, diag);
    if (r < 0)
        return r;
    for (const struct http_entry *earlier = signatures->items; earlier < entry; earlier++)
        if (!earlier->generic && covers(&earlier->signature, &entry->signature)) {
            *ret_earlier_line = earlier->line;
            return -EEXIST;
        }
    entry->generic = generic;
    entry->line = line;
    signatures->count++;
    return 0;
}

void http_signatures_done(struct http_signatures *signatures)
{
    free(signatures->items);
    *signatures = (struct http_signatures){0};
}
