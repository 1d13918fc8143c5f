/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the decision log about a request of any bytes is one line: a JSON object, valid UTF-8,
 * with all keys in their order and no other.
 *
 * Input: a byte that chooses what is shown, then texts, each up to the next NUL, one after the
 * other. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "decision_record.h"
#include "record_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- a reader of JSON that forgives nothing (RFC 8259); no objects within objects ------------- */

struct reader {
    const char *at, *end;
};

static int peek(const struct reader *reader)
{
    return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

static void expect(struct reader *reader, char c)
{
    assert(peek(reader) == (unsigned char)c);
    reader->at++;
}

static void expect_word(struct reader *reader, const char *word)
{
    for (; *word; word++)
        expect(reader, *word);
}

static unsigned continuation(struct reader *reader, unsigned low, unsigned high)
{
    const int byte = peek(reader);

    assert(byte >= (int)low && byte <= (int)high);
    reader->at++;
    return (unsigned)byte;
}

/* RFC 3629, 4. */
static void read_utf8(struct reader *reader)
{
    const unsigned first = (unsigned)peek(reader);

    reader->at++;
    if (first < 0x80)
        return;
    assert(first >= 0xc2 && first <= 0xf4);
    (void)continuation(reader,
                       first == 0xe0   ? 0xa0
                       : first == 0xf0 ? 0x90
                                       : 0x80,
                       first == 0xed   ? 0x9f
                       : first == 0xf4 ? 0x8f
                                       : 0xbf);
    if (first >= 0xe0)
        (void)continuation(reader, 0x80, 0xbf);
    if (first >= 0xf0)
        (void)continuation(reader, 0x80, 0xbf);
}

static void read_escape(struct reader *reader)
{
    expect(reader, '\\');
    assert(peek(reader) > 0 && strchr("\"\\/bfnrtu", peek(reader)));
    if (*reader->at++ != 'u')
        return;
    for (unsigned digit = 0; digit < 4; digit++, reader->at++)
        assert(peek(reader) > 0 && strchr("0123456789abcdef", peek(reader)));
}

/* What stands between the quotes. */
static struct str read_string(struct reader *reader)
{
    const char *start = reader->at + 1;

    expect(reader, '"');
    while (peek(reader) != '"') {
        assert(peek(reader) >= 0x20 && peek(reader) != 0x7f);
        if (peek(reader) == '\\')
            read_escape(reader);
        else
            read_utf8(reader);
    }
    reader->at++;
    return (struct str){start, (size_t)(reader->at - 1 - start)};
}

static void read_number(struct reader *reader)
{
    assert(char_is_digit((char)peek(reader)));
    while (peek(reader) >= 0 && (char_is_digit((char)peek(reader)) || peek(reader) == '.'))
        reader->at++;
}

static void read_value(struct reader *reader)
{
    switch (peek(reader)) {
    case '"':
        (void)read_string(reader);
        break;
    case '[':
        expect(reader, '[');
        (void)read_string(reader);
        expect(reader, ']');
        break;
    case 'n':
        expect_word(reader, "null");
        break;
    case 't':
        expect_word(reader, "true");
        break;
    case 'f':
        expect_word(reader, "false");
        break;
    default:
        read_number(reader);
    }
}

static void check_line(const char *line, size_t length, size_t header_count)
{
    struct reader reader = {line, line + length};
    unsigned key = 0;
    size_t headers = 0;

    expect(&reader, '{');
    for (;;) {
        const struct str name = read_string(&reader);

        if (str_has_prefix(name, STR(RECORD_HEADER_PREFIX)))
            headers++;
        else
            assert(str_eq(name, record_key_name((enum record_key)key++)));
        expect(&reader, ':');
        read_value(&reader);
        if (peek(&reader) == '}')
            break;
        expect(&reader, ',');
    }
    assert(key == RECORD_KEY_COUNT_ && headers == header_count);
    expect_word(&reader, "}\n");
    assert(reader.at == reader.end);
}

/* --- what it is about ------------------------------------------------------------------------- */

static struct str next_text(const uint8_t **data, size_t *size)
{
    const uint8_t *end = *size ? memchr(*data, 0, *size) : NULL;
    const struct str text = {*size ? (const char *)*data : NULL,
                             end ? (size_t)(end - *data) : *size};

    *data += text.len + (end != NULL);
    *size -= text.len + (end != NULL);
    return text;
}

static void fill(struct subject *subject, const uint8_t **data, size_t *size)
{
    struct str *const texts[] = {
        &subject->path,   &subject->query,        &subject->host,       &subject->method,
        &subject->scheme, &subject->protocol,     &subject->request_id, &subject->sni,
        &subject->ja3,    &subject->trace_parent, &subject->ja4,        &subject->source_principal,
        &subject->p0f,    &subject->label,
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i] = next_text(data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str NAMES[] = {STR_INIT("x-any"), STR_INIT("cookie")};
    static char line[RECORD_LINE_MAX];
    struct str headers[8] = {{NULL, 0}};
    struct subject subject = {.headers = headers};
    struct record_settings settings = {.headers = NAMES, .header_count = 2};
    struct decision_record record = {.outcome = RECORD_MALFORMED, .subject = &subject};
    struct policy *policy = NULL;

    if (size == 0 || policy_new(&policy) < 0)
        return 0;
    settings.query = (enum query_shown)(data[0] % (QUERY_FULL + 1));
    record.outcome = data[0] & 4 ? RECORD_FAULT : RECORD_OVERSIZE;
    record.policy = policy;
    data++;
    size--;
    fill(&subject, &data, &size);
    for (size_t i = 0; i < 2; i++) {
        int slot = header_table_add_read(policy->headers, NAMES[i]);

        if (slot >= 0 && slot < 8)
            headers[slot] = next_text(&data, &size);
    }
    check_line(line, decision_record_write(&record, &settings, line), 2);
    policy_unref(policy);
    return 0;
}
