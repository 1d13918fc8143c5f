/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar of p0f.fp, line by line, with p0f's own idea of what may follow what:
 *
 *   (start) --classes--> (start)
 *   any state --[section]--> NEED_LABEL
 *   NEED_LABEL, NEED_SIGNATURE --label--> NEED_SIGNATURE, or NEED_SYSTEMS for an application
 *   NEED_SYSTEMS --sys--> NEED_SIGNATURE --sig--> NEED_SIGNATURE
 *
 * [mtu] has no applications. */
#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "fp_build.h"
#include "http_signature.h"
#include "signature_words.h"

enum state { NEED_SECTION = 0, NEED_LABEL, NEED_SYSTEMS, NEED_SIGNATURE };
enum section {
    SECTION_MTU,
    SECTION_REQUEST,
    SECTION_RESPONSE,
    SECTION_HTTP_REQUEST,
    SECTION_HTTP_RESPONSE
};

/* Words of a database, told apart without regard to case; the first spelling stays. */
struct words {
    const char **items;
    size_t count, capacity;
};

struct reader {
    struct fp_db *db;
    struct layout_index response; /* kept for as long as it takes to refuse what is covered */
    struct http_signatures http_request, http_response;
    struct words classes, names;
    enum state state;
    enum section section;
    const struct fp_label *label;
    const char *link_name;
    unsigned line;
    const char *line_start;
    struct diag *diag;
};

static void reader_done(struct reader *reader)
{
    fp_db_freep(&reader->db);
    layout_index_done(&reader->response);
    http_signatures_done(&reader->http_request);
    http_signatures_done(&reader->http_response);
    free(reader->classes.items);
    free(reader->names.items);
}

static int fail_at(const struct reader *reader, const char *at, const char *message)
{
    struct place place = {reader->line, (unsigned)(at - reader->line_start) + 1};

    return diag_set_at(reader->diag, -EINVAL, place, "%s", message);
}

static int fail_memory(const struct reader *reader)
{
    return diag_set(reader->diag, -ENOMEM, "out of memory");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_letter(char c)
{
    return char_lower(c) >= 'a' && char_lower(c) <= 'z';
}

static bool is_class_char(char c)
{
    return is_letter(c) || char_is_digit(c);
}

static bool is_label_class_char(char c)
{
    return is_class_char(c) || c == '!';
}

static bool is_name_char(char c)
{
    return is_class_char(c) || (c && strchr(" ./-_!?()", c));
}

static bool is_key_char(char c)
{
    return is_letter(c) || c == '_';
}

static struct str take_while(struct str *rest, bool (*wanted)(char))
{
    struct str taken = {rest->ptr, 0};

    while (taken.len < rest->len && wanted(rest->ptr[taken.len]))
        taken.len++;
    *rest = str_from_offset(*rest, taken.len);
    return taken;
}

static bool take_char(struct str *rest, char c)
{
    if (rest->len == 0 || rest->ptr[0] != c)
        return false;
    *rest = str_from_offset(*rest, 1);
    return true;
}

static const char *find_word(const struct words *words, struct str word)
{
    for (size_t i = 0; i < words->count; i++)
        if (str_eq_nocase(str_from(words->items[i]), word))
            return words->items[i];
    return NULL;
}

/* The first spelling of `word`, which is remembered if it is new; NULL without memory. */
static const char *intern(struct reader *reader, struct words *words, struct str word)
{
    const char *known = find_word(words, word);

    if (known)
        return known;
    if (words->count == words->capacity) {
        size_t capacity = words->capacity ? words->capacity * 2 : 16;
        const char **items = reallocarray(words->items, capacity, sizeof(items[0]));

        if (!items)
            return NULL;
        words->items = items;
        words->capacity = capacity;
    }
    known = fp_build_copy(reader->db, word);
    if (known)
        words->items[words->count++] = known;
    return known;
}

static void skip_separators(struct str *rest)
{
    while (rest->len && (is_blank(rest->ptr[0]) || rest->ptr[0] == ','))
        *rest = str_from_offset(*rest, 1);
}

static int read_classes(struct reader *reader, struct str value)
{
    if (reader->state != NEED_SECTION)
        return fail_at(reader, reader->line_start, "classes must come before the first section");
    while (value.len) {
        struct str name;

        skip_separators(&value);
        name = take_while(&value, is_class_char);
        if (name.len == 0 || (value.len && value.ptr[0] != ','))
            return fail_at(reader, value.ptr, "expected names of classes, separated by commas");
        if (!intern(reader, &reader->classes, name))
            return fail_memory(reader);
    }
    return 0;
}

static const char APPLICATION[] = "!";

static int read_label_class(struct reader *reader, struct str *rest, struct fp_label *label)
{
    struct str name = take_while(rest, is_label_class_char);

    if (name.len == 0 || !take_char(rest, ':'))
        return fail_at(reader, rest->ptr, "expected a class and ':'");
    label->class_name = str_eq(name, STR("!")) ? APPLICATION : find_word(&reader->classes, name);
    if (!label->class_name)
        return fail_at(reader, name.ptr, "this class is not in the list of classes");
    return 0;
}

static int read_tcp_label(struct reader *reader, struct str rest)
{
    struct fp_label *label = fp_build_alloc(reader->db, sizeof(*label));
    struct str name;
    int r;

    if (!label)
        return fail_memory(reader);
    label->generic = rest.len && rest.ptr[0] == 'g';
    if ((!take_char(&rest, 'g') && !take_char(&rest, 's')) || !take_char(&rest, ':'))
        return fail_at(reader, rest.ptr, "expected 's:' or 'g:' (specific or generic)");
    r = read_label_class(reader, &rest, label);
    if (r < 0)
        return r;
    name = take_while(&rest, is_name_char);
    if (name.len == 0 || !take_char(&rest, ':'))
        return fail_at(reader, rest.ptr,
                       "expected a name of letters, digits and \" ./-_!?()\", and ':'");
    label->name = intern(reader, &reader->names, name);
    label->flavor = fp_build_copy(reader->db, rest);
    if (!label->name || !label->flavor)
        return fail_memory(reader);
    reader->label = label;
    reader->state = fp_label_is_app(label) ? NEED_SYSTEMS : NEED_SIGNATURE;
    return 0;
}

static int read_label(struct reader *reader, struct str value)
{
    if (reader->state != NEED_LABEL && reader->state != NEED_SIGNATURE)
        return fail_at(reader, reader->line_start, "a label cannot be here");
    if (reader->section != SECTION_MTU)
        return read_tcp_label(reader, value);
    if (value.len == 0)
        return fail_at(reader, value.ptr, "the label is empty");
    reader->link_name = fp_build_copy(reader->db, value);
    if (!reader->link_name)
        return fail_memory(reader);
    reader->state = NEED_SIGNATURE;
    return 0;
}

/* What an application runs on.  We do not use it, but names are spelled as here if here they come
 * first. */
static int read_systems(struct reader *reader, struct str value)
{
    if (reader->state != NEED_SYSTEMS)
        return fail_at(reader, reader->line_start,
                       "sys belongs behind the label of an application");
    while (value.len) {
        bool is_class;
        struct str name;

        skip_separators(&value);
        is_class = take_char(&value, '@');
        name = take_while(&value, is_name_char);
        if (name.len == 0 || (value.len && value.ptr[0] != ','))
            return fail_at(reader, value.ptr,
                           "expected names, or classes with '@', separated by commas");
        if (is_class && !find_word(&reader->classes, name))
            return fail_at(reader, name.ptr, "this class is not in the list of classes");
        if (!is_class && !intern(reader, &reader->names, name))
            return fail_memory(reader);
    }
    reader->state = NEED_SIGNATURE;
    return 0;
}

/* "Linux,Solaris=[SunOS]": names and what a User-Agent then contains. */
static int read_user_agents(struct reader *reader, struct str value)
{
    if (reader->state != NEED_LABEL || reader->section != SECTION_HTTP_REQUEST)
        return fail_at(reader, reader->line_start, "ua_os belongs directly behind [http:request]");
    while (value.len) {
        struct str name = take_while(&value, is_name_char);

        if (name.len == 0)
            return fail_at(reader, value.ptr, "expected a name");
        if (!intern(reader, &reader->names, name))
            return fail_memory(reader);
        if (take_char(&value, '=')) {
            ptrdiff_t end = str_find_char(value, ']');

            if (!str_has_prefix(value, STR("[")) || end < 2)
                return fail_at(reader, value.ptr, "expected '[', some text, and ']'");
            value = str_from_offset(value, (size_t)end + 1);
        }
        (void)take_char(&value, ',');
    }
    return 0;
}

static int fail_covered(const struct reader *reader, struct str value, unsigned earlier)
{
    struct place place = {reader->line, (unsigned)(value.ptr - reader->line_start) + 1};

    return diag_set_at(reader->diag, -EINVAL, place,
                       "the signature of line %u covers this one already", earlier);
}

static int read_tcp_signature(struct reader *reader, struct layout_index *index, struct str value)
{
    struct fp_entry *entry = fp_build_alloc(reader->db, sizeof(*entry));
    struct diag reason = {0};
    size_t offset = 0;
    unsigned earlier = 0;
    int r;

    if (!entry)
        return fail_memory(reader);
    entry->label = reader->label;
    entry->line = reader->line;
    if (signature_pattern_parse(value, &entry->pattern, &offset, &reason) < 0)
        return fail_at(reader, value.ptr + offset, reason.text);
    r = fp_build_signature(index, entry, &earlier);
    if (r == -EEXIST)
        return fail_covered(reader, value, earlier);
    return r < 0 ? fail_memory(reader) : 0;
}

static int read_http_signature(struct reader *reader, struct http_signatures *signatures,
                               struct str value)
{
    struct diag reason = {0};
    size_t offset = 0;
    unsigned earlier = 0;
    int r = http_signatures_add(signatures, value, reader->label->generic, reader->line, &offset,
                                &earlier, &reason);

    if (r == -EINVAL)
        return fail_at(reader, value.ptr + offset, reason.text);
    if (r == -EEXIST)
        return fail_covered(reader, value, earlier);
    return r < 0 ? fail_memory(reader) : 0;
}

static int read_mtu(struct reader *reader, struct str value)
{
    const struct str start = value;
    int32_t mtu = signature_take_number(&value);

    if (value.len || value.ptr == start.ptr || mtu < 1 || mtu > UINT16_MAX)
        return fail_at(reader, value.ptr, "expected an MTU of 1..65535");
    return fp_build_link(reader->db, (uint16_t)mtu, reader->link_name) < 0 ? fail_memory(reader)
                                                                           : 0;
}

static int read_signature(struct reader *reader, struct str value)
{
    if (reader->state != NEED_SIGNATURE)
        return fail_at(reader, reader->line_start, "a signature cannot be here");
    switch (reader->section) {
    case SECTION_MTU:
        return read_mtu(reader, value);
    case SECTION_REQUEST:
        return read_tcp_signature(reader, &reader->db->request, value);
    case SECTION_RESPONSE:
        return read_tcp_signature(reader, &reader->response, value);
    case SECTION_HTTP_REQUEST:
        return read_http_signature(reader, &reader->http_request, value);
    case SECTION_HTTP_RESPONSE:
        return read_http_signature(reader, &reader->http_response, value);
    }
    return 0;
}

static int read_section(struct reader *reader, struct str line)
{
    static const struct {
        struct str text;
        enum section section;
    } SECTIONS[] = {
        {STR_INIT("[mtu]"), SECTION_MTU},
        {STR_INIT("[tcp:request]"), SECTION_REQUEST},
        {STR_INIT("[tcp:response]"), SECTION_RESPONSE},
        {STR_INIT("[http:request]"), SECTION_HTTP_REQUEST},
        {STR_INIT("[http:response]"), SECTION_HTTP_RESPONSE},
    };

    for (size_t i = 0; i < sizeof(SECTIONS) / sizeof(SECTIONS[0]); i++)
        if (str_eq(line, SECTIONS[i].text)) {
            reader->section = SECTIONS[i].section;
            reader->state = NEED_LABEL;
            return 0;
        }
    return fail_at(reader, line.ptr,
                   "the sections are [mtu], [tcp:request], [tcp:response], "
                   "[http:request] and [http:response]");
}

static int read_statement(struct reader *reader, struct str line)
{
    static const struct {
        struct str key;
        int (*read)(struct reader *reader, struct str value);
    } STATEMENTS[] = {
        {STR_INIT("classes"), read_classes},   {STR_INIT("label"), read_label},
        {STR_INIT("sys"), read_systems},       {STR_INIT("sig"), read_signature},
        {STR_INIT("ua_os"), read_user_agents},
    };
    struct str value = line;
    struct str key = take_while(&value, is_key_char);

    (void)take_while(&value, is_blank);
    if (!take_char(&value, '='))
        return fail_at(reader, value.ptr, "expected KEY = VALUE");
    (void)take_while(&value, is_blank);
    for (size_t i = 0; i < sizeof(STATEMENTS) / sizeof(STATEMENTS[0]); i++)
        if (str_eq(key, STATEMENTS[i].key))
            return STATEMENTS[i].read(reader, value);
    return fail_at(reader, key.ptr, "the keys are classes, label, sys, sig and ua_os");
}

/* Cuts what editors leave behind at the end of a line and p0f stumbles over.  Blanks at the end of
 * a label are part of it, for p0f as for us. */
static struct str tidy(struct reader *reader, struct str line)
{
    struct str tidied = line;

    if (tidied.len && tidied.ptr[tidied.len - 1] == '\r')
        tidied.len--;
    if (!str_has_prefix(tidied, STR("label")))
        while (tidied.len && is_blank(tidied.ptr[tidied.len - 1]))
            tidied.len--;
    if (tidied.len != line.len && reader->db->tolerated++ == 0)
        reader->db->first_tolerated_line = reader->line;
    return tidied;
}

static int read_line(struct reader *reader, struct str line)
{
    reader->line++;
    reader->line_start = line.ptr;
    (void)take_while(&line, is_blank);
    if (line.len == 0 || line.ptr[0] == ';')
        return 0;
    line = tidy(reader, line);
    if (line.len == 0)
        return 0;
    return line.ptr[0] == '[' ? read_section(reader, line) : read_statement(reader, line);
}

int fp_db_parse(struct str text, const char *name, struct fp_db **ret_db, struct diag *diag)
{
    CLEANUP(reader_done) struct reader reader = {.diag = diag};
    ptrdiff_t nul = str_find_char(text, '\0');
    struct str line;

    if (name && diag)
        diag_set_file(diag, name);
    if (nul >= 0) /* where p0f's C string ends, too */
        text.len = (size_t)nul;
    reader.db = calloc(1, sizeof(*reader.db));
    if (!reader.db)
        return fail_memory(&reader);
    while (str_next_field(&text, '\n', &line)) {
        int r = read_line(&reader, line);

        if (r < 0)
            return r;
    }
    *ret_db = TAKE_PTR(reader.db);
    return 0;
}
