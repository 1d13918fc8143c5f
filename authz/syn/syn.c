/* SPDX-License-Identifier: Apache-2.0 */
#include "syn.h"

#include <assert.h>
#include <string.h>

#include "record.h"

enum {
    IP_RESERVED_BIT = 0x8000,
    IP_DONT_FRAGMENT = 0x4000,
    ECN_MASK = 0x3,

    TCP_PSH = 0x008,
    TCP_ACK = 0x010,
    TCP_URG = 0x020,
    TCP_ECE_CWR_NS = 0x1c0,

    FIXED_IPV4 = 20,
    FIXED_IPV6 = 40,
    FIXED_TCP = 20,

    /* option lengths as they should be, kind and length byte included */
    LENGTH_MSS = 4,
    LENGTH_WS = 3,
    LENGTH_SACK_PERMITTED = 2,
    LENGTH_TIMESTAMPS = 10,
    LENGTH_SACK_MIN = 10,
    LENGTH_SACK_MAX = 34,
    LENGTH_OTHER_MIN = 2,
    LENGTH_OTHER_MAX = 40,
    WS_MAX = 14, /* RFC 7323 2.3 */
};

/* What is left of the option area, `at` standing behind the kind byte of the option being read. */
struct options {
    const uint8_t *at;
    const uint8_t *end;
};

static size_t bytes_left(const struct options *options)
{
    return (size_t)(options->end - options->at);
}

static uint32_t read_be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Everything behind an EOL is padding and should be zero. */
static void read_padding(struct options *options, struct syn *syn)
{
    syn->eol_pad = (uint8_t)bytes_left(options);
    /* p0f never looks at the very last byte, so neither do we */
    for (; options->at < options->end; options->at++)
        if (*options->at && options->at + 1 < options->end)
            syn->quirks |= QUIRK_EOL_PAD_NONZERO;
}

/* An option whose true length is known: p0f flags another length byte, and reads on as if it were
 * right. Returns the option's value, or NULL when it does not fit. */
static const uint8_t *read_fixed(struct options *options, size_t length, struct syn *syn)
{
    const uint8_t *value = options->at + 1;

    if (bytes_left(options) < length - 1)
        return NULL;
    if (*options->at != length)
        syn->quirks |= QUIRK_BAD_OPTIONS;
    options->at += length - 1;
    return value;
}

/* An option that says its length itself. */
static bool skip_variable(struct options *options, size_t min, size_t max)
{
    size_t length;

    if (options->at == options->end)
        return false;
    length = *options->at;
    if (length < min || length > max || length - 1 > bytes_left(options))
        return false;
    options->at += length - 1;
    return true;
}

static void take_timestamps(const uint8_t *value, struct syn *syn)
{
    syn->ts_value = read_be32(value);
    if (syn->ts_value == 0)
        syn->quirks |= QUIRK_TS1_ZERO;
    if (read_be32(value + 4) != 0)
        syn->quirks |= QUIRK_TS2_NONZERO;
}

/* Returns false when the rest of the area cannot be understood.  A repeated option overwrites. */
static bool read_option(uint8_t kind, struct options *options, struct syn *syn)
{
    const uint8_t *value;

    switch (kind) {
    case TCP_OPTION_EOL:
        read_padding(options, syn);
        return true;
    case TCP_OPTION_NOP:
        return true;
    case TCP_OPTION_MSS:
        value = read_fixed(options, LENGTH_MSS, syn);
        if (value)
            syn->mss = (uint16_t)(value[0] << 8 | value[1]);
        return value != NULL;
    case TCP_OPTION_WS:
        value = read_fixed(options, LENGTH_WS, syn);
        if (value)
            syn->scale = value[0];
        if (value && value[0] > WS_MAX)
            syn->quirks |= QUIRK_EXCESSIVE_WS;
        return value != NULL;
    case TCP_OPTION_SACK_PERMITTED:
        return read_fixed(options, LENGTH_SACK_PERMITTED, syn) != NULL;
    case TCP_OPTION_TIMESTAMPS:
        value = read_fixed(options, LENGTH_TIMESTAMPS, syn);
        if (value)
            take_timestamps(value, syn);
        return value != NULL;
    case TCP_OPTION_SACK:
        return skip_variable(options, LENGTH_SACK_MIN, LENGTH_SACK_MAX);
    default:
        return skip_variable(options, LENGTH_OTHER_MIN, LENGTH_OTHER_MAX);
    }
}

static void read_options(struct options options, struct syn *syn)
{
    bool understood = true;

    while (understood && options.at < options.end && syn->layout_length < SYN_LAYOUT_MAX) {
        uint8_t kind = *options.at++;

        syn->layout[syn->layout_length++] = kind;
        understood = read_option(kind, &options, syn);
    }
    if (!understood || options.at < options.end)
        syn->quirks |= QUIRK_BAD_OPTIONS;
}

static uint32_t ip_quirks(const struct syn_record *record)
{
    uint32_t quirks = record->tos & ECN_MASK ? QUIRK_ECN : 0;

    if (record->ip_version != 4)
        return quirks | (record->flow_label ? QUIRK_FLOW : 0);
    if (record->ip_fragment & IP_RESERVED_BIT)
        quirks |= QUIRK_RESERVED_BIT;
    if (record->ip_fragment & IP_DONT_FRAGMENT)
        return quirks | QUIRK_DF | (record->ip_id ? QUIRK_ID_NONZERO : 0);
    return quirks | (record->ip_id ? 0 : QUIRK_ID_ZERO);
}

static uint32_t tcp_quirks(const struct syn_record *record)
{
    uint32_t quirks = 0;

    if (record->tcp_flags & TCP_ECE_CWR_NS)
        quirks |= QUIRK_ECN;
    if (record->isn == 0)
        quirks |= QUIRK_SEQ_ZERO;
    if (record->tcp_flags & TCP_ACK)
        quirks |= record->ack == 0 ? QUIRK_ACK_ZERO : 0;
    else if (record->ack & 1u << 24) /* p0f means "not 0", but tests this bit of it only */
        quirks |= QUIRK_ACK_NONZERO;
    if (record->tcp_flags & TCP_URG)
        quirks |= QUIRK_URG;
    else if (record->urgent_pointer)
        quirks |= QUIRK_URG_POINTER;
    if (record->tcp_flags & TCP_PSH)
        quirks |= QUIRK_PUSH;
    return quirks;
}

void syn_from_record(const struct syn_record *record, struct syn *ret_syn)
{
    size_t options_length = record->tcp_options_length;
    uint8_t ip_fixed = record->ip_version == 4 ? FIXED_IPV4 : FIXED_IPV6;

    static_assert(sizeof(record->tcp_options) == SYN_OPTIONS_MAX, "the option area is the array");
    if (options_length > SYN_OPTIONS_MAX)
        options_length = SYN_OPTIONS_MAX;
    *ret_syn = (struct syn){
        .seen_ns = record->seen_ns,
        .isn = record->isn,
        .quirks = ip_quirks(record) | tcp_quirks(record),
        .payload_length = record->payload_length,
        .window = record->window,
        .header_length =
            (uint16_t)(ip_fixed + record->ip_options_length + FIXED_TCP + options_length),
        .ip_version = record->ip_version,
        .ttl = record->ttl,
        .ip_options_length = record->ip_options_length,
        .dscp = record->tos >> 2,
        .hook = record->hook,
        .beyond_p0f = record->seen != 0,
    };
    read_options((struct options){record->tcp_options, record->tcp_options + options_length},
                 ret_syn);
}

const char *syn_hook_name(unsigned hook)
{
    static const char *const NAMES[] = {
        [SYN_HOOK_NONE] = NULL,
        [SYN_HOOK_XDP] = "xdp",
        [SYN_HOOK_TCX] = "tcx",
        [SYN_HOOK_CGROUP] = "cgroup",
    };
    static_assert(sizeof(NAMES) / sizeof(NAMES[0]) == SYN_HOOK_COUNT_, "name each hook");

    return hook < SYN_HOOK_COUNT_ ? NAMES[hook] : NULL;
}
