/* SPDX-License-Identifier: Apache-2.0 */
#include "signature_words.h"

#include <assert.h>

#include "syn.h"

static const struct str QUIRK_NAMES[QUIRK_COUNT] = {
    STR_INIT("df"),    STR_INIT("id+"),    STR_INIT("id-"),  STR_INIT("ecn"),  STR_INIT("0+"),
    STR_INIT("flow"),  STR_INIT("seq-"),   STR_INIT("ack+"), STR_INIT("ack-"), STR_INIT("uptr+"),
    STR_INIT("urgf+"), STR_INIT("pushf+"), STR_INIT("ts1-"), STR_INIT("ts2+"), STR_INIT("opt+"),
    STR_INIT("exws"),  STR_INIT("bad"),
};
static_assert(QUIRK_BAD_OPTIONS == 1 << (QUIRK_COUNT - 1), "name each quirk");

static const struct str OPTION_NAMES[OPTION_NAMED_COUNT] = {
    [TCP_OPTION_EOL] = STR_INIT("eol"),
    [TCP_OPTION_NOP] = STR_INIT("nop"),
    [TCP_OPTION_MSS] = STR_INIT("mss"),
    [TCP_OPTION_WS] = STR_INIT("ws"),
    [TCP_OPTION_SACK_PERMITTED] = STR_INIT("sok"),
    [TCP_OPTION_SACK] = STR_INIT("sack"),
    [TCP_OPTION_TIMESTAMPS] = STR_INIT("ts"),
};

static const struct str WINDOW_PREFIXES[] = {
    [WINDOW_LITERAL] = STR_INIT(""), [WINDOW_MSS] = STR_INIT("mss*"),
    [WINDOW_MTU] = STR_INIT("mtu*"), [WINDOW_MODULO] = STR_INIT("%"),
    [WINDOW_ANY] = STR_INIT("*"),
};
static_assert(sizeof(WINDOW_PREFIXES) / sizeof(WINDOW_PREFIXES[0]) == WINDOW_ANY + 1,
              "name each form");

struct str signature_quirk_name(unsigned bit)
{
    return QUIRK_NAMES[bit];
}

struct str signature_option_name(uint8_t kind)
{
    return kind < OPTION_NAMED_COUNT ? OPTION_NAMES[kind] : (struct str){NULL, 0};
}

struct str signature_window_prefix(enum window_form form)
{
    return WINDOW_PREFIXES[form];
}

int32_t signature_take_number(struct str *rest)
{
    const uint64_t max = INT64_MAX;
    uint64_t number = 0;
    uint32_t low;

    while (rest->len && char_is_digit(rest->ptr[0])) {
        unsigned digit = (unsigned)(rest->ptr[0] - '0');

        number = number > (max - digit) / 10 ? max : number * 10 + digit;
        *rest = str_from_offset(*rest, 1);
    }
    low = (uint32_t)number;
    return low > INT32_MAX ? -1 : (int32_t)low;
}
