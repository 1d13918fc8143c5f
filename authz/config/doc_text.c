/* SPDX-License-Identifier: Apache-2.0 */
#include "doc_text.h"

#include <errno.h>
#include <stdint.h>

/* Length of the line break at `s`, 0 if there is none: those of YAML 1.1, as libyaml counts lines.
 */
static size_t break_length(struct str s)
{
    static const struct str BREAKS[] = {
        STR_INIT("\r\n"),     STR_INIT("\n"),           STR_INIT("\r"),
        STR_INIT("\xc2\x85"), STR_INIT("\xe2\x80\xa8"), STR_INIT("\xe2\x80\xa9"),
    };

    if (s.len == 0 || (s.ptr[0] >= ' ' && s.ptr[0] <= '~'))
        return 0;
    for (size_t i = 0; i < sizeof(BREAKS) / sizeof(BREAKS[0]); i++)
        if (str_has_prefix(s, BREAKS[i]))
            return BREAKS[i].len;
    return 0;
}

/* The first character of `s`.  Returns its length in bytes, or 0 when it is not UTF-8 (RFC 3629 3).
 */
static size_t utf8_decode(struct str s, uint32_t *ret_character)
{
    static const uint32_t FIRST_OF_LENGTH[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)s.ptr[0];
    size_t length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = length == 1 ? lead : lead & (0x7fu >> length);

    if (length == 0 || length > s.len || lead >= 0xf8)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)s.ptr[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    }
    if (character < FIRST_OF_LENGTH[length] || character > 0x10ffff)
        return 0;
    *ret_character = character;
    return length;
}

/* The characters that YAML allows in a file, as libyaml reads its specification. */
static bool is_printable(uint32_t c)
{
    if (c < 0xa0)
        return c == '\t' || c == '\n' || c == '\r' || c == 0x85 || (c >= 0x20 && c <= 0x7e);
    return c <= 0xd7ff || (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

static void step(struct doc_text *text)
{
    struct str rest = str_from_offset(text->text, text->offset);
    size_t length = break_length(rest);
    uint32_t character;

    if (length) {
        text->offset += length;
        text->line_offset = text->offset;
        text->line++;
        text->column = 0;
        return;
    }
    text->offset += utf8_decode(rest, &character);
    text->column++;
}

int doc_text_check(struct str text, struct diag *diag)
{
    struct doc_text at = {.text = text};

    while (at.offset < text.len) {
        struct str rest = str_from_offset(text, at.offset);
        uint32_t character;

        if (utf8_decode(rest, &character) == 0 || !is_printable(character))
            return diag_set_at(diag, -EINVAL, doc_text_place(&at),
                               "found byte 0x%02x, expected a text file in UTF-8",
                               (unsigned char)rest.ptr[0]);
        step(&at);
    }
    return 0;
}

static bool is_before(const struct doc_text *text, size_t line, size_t column)
{
    return text->line < line || (text->line == line && text->column < column);
}

struct place doc_text_seek(struct doc_text *text, size_t line, size_t column)
{
    if (text->line > line || (text->line == line && text->column > column))
        *text = (struct doc_text){.text = text->text};
    while (text->offset < text->text.len && is_before(text, line, column))
        step(text);
    return doc_text_place(text);
}

struct place doc_text_place(const struct doc_text *text)
{
    return (struct place){(unsigned)text->line + 1,
                          (unsigned)(text->offset - text->line_offset) + 1};
}

char doc_text_char(const struct doc_text *text)
{
    return text->offset < text->text.len ? text->text.ptr[text->offset] : '\0';
}

struct str doc_text_rest_of_line(const struct doc_text *text)
{
    struct str rest = str_from_offset(text->text, text->offset);
    size_t length = 0;

    while (length < rest.len && length <= 40 && !break_length(str_from_offset(rest, length)))
        length++;
    return doc_text_cut((struct str){rest.ptr, length}, 40);
}

struct str doc_text_cut(struct str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return (struct str){s.ptr, max};
}
