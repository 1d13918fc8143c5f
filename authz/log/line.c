/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include "json.h"

void line_put(struct line *line, struct str bytes)
{
    memcpy(line->at, bytes.ptr, bytes.len);
    line->at += bytes.len;
}

static void put_char(struct line *line, char c)
{
    *line->at++ = c;
}

/* --- text ------------------------------------------------------------------------------------- */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Has one of the eight bytes its highest bit set, once the trick for zero bytes was done? */
static uint64_t zero_bytes(uint64_t word)
{
    return (word - EACH(0x01)) & ~word & EACH(0x80);
}

/* Are all eight bytes ASCII that JSON takes as it is? A false "no" costs time only. */
static bool is_plain_word(uint64_t word)
{
    const uint64_t control = (word - EACH(0x20)) & ~word;

    return (((word | control) & EACH(0x80)) | zero_bytes(word ^ EACH('"')) |
            zero_bytes(word ^ EACH('\\')) | zero_bytes(word ^ EACH(0x7f))) == 0;
}

static bool is_plain(char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Copies what needs no escape off the front of the text; it fits. */
static void copy_plain(struct line *line, struct str *text, size_t room)
{
    const size_t end = text->len < room ? text->len : room;
    size_t at = 0;

    for (uint64_t word; at + sizeof(word) <= end; at += sizeof(word)) {
        memcpy(&word, text->ptr + at, sizeof(word));
        if (!is_plain_word(word))
            break;
        memcpy(line->at + at, &word, sizeof(word));
    }
    for (; at < end && is_plain(text->ptr[at]); at++)
        line->at[at] = text->ptr[at];
    line->at += at;
    *text = str_from_offset(*text, at);
}

size_t line_escape(struct line *line, struct str text, size_t max)
{
    char *const start = line->at, *const end = start + max;

    for (;;) {
        char piece[JSON_PIECE_MAX];
        size_t length;

        copy_plain(line, &text, (size_t)(end - line->at));
        if (text.len == 0)
            break;
        length = json_take_character(&text, piece);
        if (length > (size_t)(end - line->at)) {
            line->cut = true;
            break;
        }
        line_put(line, (struct str){piece, length});
    }
    return (size_t)(line->at - start);
}

void line_text(struct line *line, struct str text, size_t max)
{
    if (!text.ptr) {
        line_put(line, STR("null"));
        return;
    }
    put_char(line, '"');
    (void)line_escape(line, text, max);
    put_char(line, '"');
}

/* --- numbers ---------------------------------------------------------------------------------- */

void line_digits(struct line *line, uint64_t number, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        line->at[i - 1] = (char)('0' + number % 10);
        number /= 10;
    }
    line->at += digits;
}

void line_number(struct line *line, uint64_t number)
{
    unsigned digits = 1;

    for (uint64_t rest = number; rest >= 10; rest /= 10)
        digits++;
    line_digits(line, number, digits);
}

/* --- time ------------------------------------------------------------------------------------- */

enum { SECONDS_PER_DAY = 86400, DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400 };

struct date {
    unsigned year, month, day;
};

/* Of the Gregorian calendar, in which everything repeats after 400 years.  Years are counted from
 * March here: then the leap day is the last of its year, and the months' lengths follow a line. */
static struct date date_of(uint64_t days_since_1970)
{
    const uint64_t days = days_since_1970 + 719468; /* since 1 March of the year 0 */
    const unsigned day_of_era = (unsigned)(days % DAYS_PER_ERA);
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned month = (5 * day_of_year + 2) / 153; /* from March */
    const bool is_next_year = month >= 10;

    return (struct date){
        .year = (unsigned)(days / DAYS_PER_ERA) * YEARS_PER_ERA + year_of_era + is_next_year,
        .month = is_next_year ? month - 9 : month + 3,
        .day = day_of_year - (153 * month + 2) / 5 + 1,
    };
}

void line_time(struct line *line, uint64_t unix_ns)
{
    const uint64_t seconds = unix_ns / 1000000000, of_day = seconds % SECONDS_PER_DAY;
    const struct date date = date_of(seconds / SECONDS_PER_DAY);

    put_char(line, '"');
    line_digits(line, date.year, 4);
    put_char(line, '-');
    line_digits(line, date.month, 2);
    put_char(line, '-');
    line_digits(line, date.day, 2);
    put_char(line, 'T');
    line_digits(line, of_day / 3600, 2);
    put_char(line, ':');
    line_digits(line, of_day / 60 % 60, 2);
    put_char(line, ':');
    line_digits(line, of_day % 60, 2);
    put_char(line, '.');
    line_digits(line, unix_ns / 1000 % 1000000, 6);
    line_put(line, STR("Z\""));
}
