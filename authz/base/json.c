/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <time.h>

enum { TIME_TEXT_MAX = 64 };

static bool is_continuation(struct str text, size_t at)
{
    return at < text.len && ((uint8_t)text.ptr[at] & 0xc0) == 0x80;
}

/* Length of the UTF-8 sequence at the start of `text` (RFC 3629), or 0 when there is none: no
 * surrogates, nothing beyond U+10FFFF, no longer form than needed. */
static size_t utf8_length(struct str text)
{
    const uint8_t first = (uint8_t)text.ptr[0];
    const uint8_t second = text.len > 1 ? (uint8_t)text.ptr[1] : 0;
    size_t length;

    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f))
        return 0;
    length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(text, i))
            return 0;
    return length;
}

/* The letter that names this character behind a backslash, or 0. */
static char short_escape(char c)
{
    static const char NAMES[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                    {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};

    for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++)
        if (NAMES[i][0] == c)
            return NAMES[i][1];
    return 0;
}

static size_t put_code(char piece[JSON_PIECE_MAX], unsigned code)
{
    static const char HEX[] = "0123456789abcdef";

    piece[0] = '\\';
    piece[1] = 'u';
    for (unsigned digit = 0; digit < 4; digit++)
        piece[2 + digit] = HEX[code >> (12 - 4 * digit) & 0xf];
    return JSON_PIECE_MAX;
}

size_t json_take_character(struct str *text, char piece[JSON_PIECE_MAX])
{
    const char first = text->ptr[0];
    const char escape = short_escape(first);
    size_t length = utf8_length(*text);

    if (length == 0) {
        *text = str_from_offset(*text, 1);
        return put_code(piece, 0xfffd);
    }
    memcpy(piece, text->ptr, length);
    *text = str_from_offset(*text, length);
    if (escape) {
        piece[0] = '\\';
        piece[1] = escape;
        return 2;
    }
    if ((uint8_t)first < 0x20 || first == 0x7f)
        return put_code(piece, (uint8_t)first);
    return length;
}

void json_print_text(FILE *out, struct str text)
{
    char piece[JSON_PIECE_MAX];

    while (text.len) {
        size_t length = json_take_character(&text, piece);

        (void)fwrite(piece, 1, length, out);
    }
}

void json_print_string(FILE *out, struct str text)
{
    (void)fputc('"', out);
    json_print_text(out, text);
    (void)fputc('"', out);
}

void json_print_text_or_null(FILE *out, const char *text)
{
    if (text && *text)
        json_print_string(out, str_from(text));
    else
        (void)fputs("null", out);
}

void json_print_time(FILE *out, int64_t unix_s)
{
    const time_t seconds = (time_t)unix_s;
    char text[TIME_TEXT_MAX];
    struct tm parts;

    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
    (void)fprintf(out, "\"%s\"", text);
}
