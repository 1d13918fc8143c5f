/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "fit.h"
#include "signature.h"
#include "signature_words.h"

enum { VERSION_ANY = 0, MULTIPLIER_MAX = 1000, MODULO_MIN = 2 };

/* Where the parser stands; a failure is told once, with the offset where it was met. */
struct cursor {
    struct str rest;
    const char *start;
    struct diag *diag;
    size_t *ret_error_offset;
};

static int fail(const struct cursor *cursor, const char *message)
{
    if (cursor->ret_error_offset)
        *cursor->ret_error_offset = (size_t)(cursor->rest.ptr - cursor->start);
    return diag_set(cursor->diag, -EINVAL, "%s", message);
}

static void advance(struct cursor *cursor, size_t count)
{
    cursor->rest = str_from_offset(cursor->rest, count);
}

/* The next byte; 0 at the end. */
static char peek(const struct cursor *cursor)
{
    return cursor->rest.len ? cursor->rest.ptr[0] : '\0';
}

static bool take(struct cursor *cursor, struct str word)
{
    if (!str_has_prefix(cursor->rest, word))
        return false;
    advance(cursor, word.len);
    return true;
}

static int32_t take_number(struct cursor *cursor)
{
    return signature_take_number(&cursor->rest);
}

/* A number in a range and the character behind it. */
struct bounded {
    int32_t min, max;
    char end;
    const char *malformed;
    const char *out_of_range;
};

static int take_bounded(struct cursor *cursor, const struct bounded *bounded, int32_t *ret_number)
{
    const struct cursor start = *cursor;
    int32_t number = take_number(cursor);

    if (peek(cursor) != bounded->end)
        return fail(cursor, bounded->malformed);
    if (number < bounded->min || number > bounded->max)
        return fail(&start, bounded->out_of_range);
    advance(cursor, 1);
    *ret_number = number;
    return 0;
}

static int parse_version(struct cursor *cursor, struct signature_pattern *pattern)
{
    switch (peek(cursor)) {
    case '4':
        pattern->ip_version = 4;
        break;
    case '6':
        pattern->ip_version = 6;
        break;
    case '*':
        pattern->ip_version = VERSION_ANY;
        break;
    default:
        return fail(cursor, "IP version: expected 4, 6 or *");
    }
    advance(cursor, 1);
    return take(cursor, STR(":")) ? 0 : fail(cursor, "expected ':' behind the IP version");
}

static int parse_ttl(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const char MALFORMED[] = "initial TTL: expected N, N+DISTANCE or N- and then ':'";
    static const char OUT_OF_RANGE[] = "initial TTL must be 1..255";
    const struct cursor start = *cursor;
    int32_t ttl = take_number(cursor), added = 0;

    if (peek(cursor) != ':' && peek(cursor) != '+' && peek(cursor) != '-')
        return fail(cursor, MALFORMED);
    if (ttl < 1 || ttl > UINT8_MAX)
        return fail(&start, OUT_OF_RANGE);
    if (take(cursor, STR("+"))) {
        const struct bounded rest = {0, UINT8_MAX - ttl, ':', MALFORMED, OUT_OF_RANGE};
        int r = take_bounded(cursor, &rest, &added);

        if (r < 0)
            return r;
    } else if (take(cursor, STR("-:"))) {
        pattern->random_ttl = true;
        if (cursor->rest.len == 0)
            return fail(cursor, "IP options length is missing");
        advance(cursor, 1); /* p0f loses the first digit of the next field here */
    } else {
        advance(cursor, 1); /* ':', or '-' alone, which p0f reads like ':' */
    }
    pattern->ttl = (uint8_t)(ttl + added);
    return 0;
}

static int parse_ip_options_length(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const struct bounded LENGTH = {0, UINT8_MAX, ':',
                                          "IP options length: expected a number and then ':'",
                                          "IP options length must be 0..255"};
    int32_t length = 0;
    int r = take_bounded(cursor, &LENGTH, &length);

    if (r == 0)
        pattern->ip_options_length = (uint8_t)length;
    return r;
}

static int parse_mss(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const struct bounded MSS = {
        0, UINT16_MAX, ':', "MSS: expected a number or *, and then ':'", "MSS must be 0..65535"};
    int32_t mss = 0;
    int r;

    pattern->any_mss = take(cursor, STR("*:"));
    if (pattern->any_mss)
        return 0;
    r = take_bounded(cursor, &MSS, &mss);
    if (r == 0)
        pattern->mss = (uint16_t)mss;
    return r;
}

static int parse_window(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const char MALFORMED[] =
        "window: expected a number, mss*N, mtu*N, %N or *, and then ',' and the window scale";
    static const struct bounded RANGES[] = {
        [WINDOW_LITERAL] = {0, UINT16_MAX, ',', MALFORMED, "window must be 0..65535"},
        [WINDOW_MSS] = {1, MULTIPLIER_MAX, ',', MALFORMED, "N in mss*N must be 1..1000"},
        [WINDOW_MTU] = {1, MULTIPLIER_MAX, ',', MALFORMED, "N in mtu*N must be 1..1000"},
        [WINDOW_MODULO] = {MODULO_MIN, UINT16_MAX, ',', MALFORMED, "N in %N must be 2..65535"},
    };
    enum window_form form = WINDOW_LITERAL;
    int32_t value = 0;
    int r;

    if (take(cursor, STR("*,"))) {
        pattern->window = (struct signature_window){WINDOW_ANY, 0};
        return 0;
    }
    for (enum window_form try = WINDOW_MSS; try <= WINDOW_MODULO && form == WINDOW_LITERAL; try++)
        if (take(cursor, signature_window_prefix(try)))
            form = try;
    r = take_bounded(cursor, &RANGES[form], &value);
    if (r == 0)
        pattern->window = (struct signature_window){form, (uint16_t)value};
    return r;
}

static int parse_scale(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const struct bounded SCALE = {0, UINT8_MAX, ':',
                                         "window scale: expected a number or *, and then ':'",
                                         "window scale must be 0..255"};
    int32_t scale = 0;
    int r;

    pattern->any_scale = take(cursor, STR("*:"));
    if (pattern->any_scale)
        return 0;
    r = take_bounded(cursor, &SCALE, &scale);
    if (r == 0)
        pattern->scale = (uint8_t)scale;
    return r;
}

static int parse_eol(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const struct bounded PAD = {0, UINT8_MAX, ':',
                                       "eol+N must be the last option, and ':' must follow",
                                       "N in eol+N must be 0..255"};
    struct cursor probe;
    int32_t pad = 0;
    int r;

    if (!take(cursor, STR("+")))
        return fail(cursor, "expected eol+N");
    probe = *cursor;
    r = take_bounded(&probe, &PAD, &pad);
    if (r < 0)
        return r;
    (void)take_number(cursor); /* the ':' is left to the list */
    pattern->eol_pad = (uint8_t)pad;
    return 0;
}

static int parse_numbered_option(struct cursor *cursor, uint8_t *ret_kind)
{
    const struct cursor start = *cursor;
    int32_t kind = take_number(cursor);

    if (peek(cursor) != ':' && peek(cursor) != ',')
        return fail(cursor, "expected ?N, N being the number of the option");
    if (kind < 0 || kind > UINT8_MAX)
        return fail(&start, "N in ?N must be 0..255");
    *ret_kind = (uint8_t)kind;
    return 0;
}

static int parse_option(struct cursor *cursor, struct signature_pattern *pattern)
{
    uint8_t *kind = &pattern->layout[pattern->layout_length];

    if (pattern->layout_length == SYN_LAYOUT_MAX)
        return fail(cursor, "more than 24 TCP options");
    pattern->layout_length++;
    if (take(cursor, STR("?")))
        return parse_numbered_option(cursor, kind);
    for (unsigned named = 0; named < OPTION_NAMED_COUNT; named++) {
        struct str name = signature_option_name((uint8_t)named);

        if (name.len && take(cursor, name)) {
            *kind = (uint8_t)named;
            return named == TCP_OPTION_EOL ? parse_eol(cursor, pattern) : 0;
        }
    }
    return fail(cursor, "TCP option: expected nop, mss, ws, sok, sack, ts, eol+N or ?N");
}

static int parse_quirk(struct cursor *cursor, struct signature_pattern *pattern)
{
    static const uint32_t NOT_IN_IPV6 =
        QUIRK_DF | QUIRK_ID_NONZERO | QUIRK_ID_ZERO | QUIRK_RESERVED_BIT;
    const struct cursor start = *cursor;

    for (unsigned bit = 0; bit < QUIRK_COUNT; bit++) {
        uint32_t quirk = 1u << bit;

        if (!take(cursor, signature_quirk_name(bit)))
            continue;
        if (pattern->ip_version == 6 && quirk & NOT_IN_IPV6)
            return fail(&start, "df, id+, id- and 0+ cannot be in IPv6");
        if (pattern->ip_version == 4 && quirk == QUIRK_FLOW)
            return fail(&start, "flow cannot be in IPv4");
        pattern->quirks |= quirk;
        return 0;
    }
    return fail(cursor, "unknown quirk");
}

/* Items with commas between them, up to the ':'; p0f accepts a comma behind the last one, too. */
static int parse_list(struct cursor *cursor, struct signature_pattern *pattern,
                      int (*parse_item)(struct cursor *, struct signature_pattern *))
{
    while (!take(cursor, STR(":"))) {
        int r = parse_item(cursor, pattern);

        if (r < 0)
            return r;
        if (!take(cursor, STR(",")) && peek(cursor) != ':')
            return fail(cursor, "expected ',' or ':'");
    }
    return 0;
}

static int parse_layout(struct cursor *cursor, struct signature_pattern *pattern)
{
    return parse_list(cursor, pattern, parse_option);
}

static int parse_quirks(struct cursor *cursor, struct signature_pattern *pattern)
{
    return parse_list(cursor, pattern, parse_quirk);
}

static int parse_payload(struct cursor *cursor, struct signature_pattern *pattern)
{
    if (str_eq(cursor->rest, STR("0")))
        pattern->payload = PAYLOAD_NONE;
    else if (str_eq(cursor->rest, STR("+")))
        pattern->payload = PAYLOAD_SOME;
    else if (str_eq(cursor->rest, STR("*")))
        pattern->payload = PAYLOAD_ANY;
    else
        return fail(cursor, "payload class: expected 0, + or * at the end");
    return 0;
}

int signature_pattern_parse(struct str text, struct signature_pattern *ret_pattern,
                            size_t *ret_error_offset, struct diag *diag)
{
    static int (*const FIELDS[])(struct cursor *, struct signature_pattern *) = {
        parse_version, parse_ttl,    parse_ip_options_length, parse_mss, parse_window, parse_scale,
        parse_layout,  parse_quirks, parse_payload,
    };
    struct cursor cursor = {text, text.ptr, diag, ret_error_offset};
    struct signature_pattern pattern = {0};

    for (size_t i = 0; i < sizeof(FIELDS) / sizeof(FIELDS[0]); i++) {
        int r = FIELDS[i](&cursor, &pattern);

        if (r < 0)
            return r;
    }
    fit_prepare(&pattern);
    *ret_pattern = pattern;
    return 0;
}
