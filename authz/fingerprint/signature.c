/* SPDX-License-Identifier: Apache-2.0 */
#include "signature.h"

#include <string.h>

#include "fit.h"
#include "signature_words.h"

enum {
    MSS_MIN_FOR_MULTIPLES = 100,
    TIMESTAMPS_COST = 12, /* bytes of a segment that timestamps take, padding included */
    IPV4_TCP_HEADERS = 40,
    IPV6_TCP_HEADERS = 60,
    ETHERNET_MTU = 1500,
    UNBELIEVABLE_DISTANCE = FIT_DISTANCE_MAX,
};

/* The first divisor that leaves no remainder wins, in p0f's order. */
struct signature_window signature_window_derive(const struct window_inputs *inputs)
{
    const uint32_t mss = inputs->mss;
    const bool v6 = inputs->ip_version == 6;
    const struct {
        bool tried;
        enum window_form form;
        uint32_t divisor;
    } steps[] = {
        {true, WINDOW_MSS, mss},
        {inputs->timestamps, WINDOW_MSS, mss - TIMESTAMPS_COST},
        {true, WINDOW_MSS, ETHERNET_MTU - IPV4_TCP_HEADERS},
        {true, WINDOW_MSS, ETHERNET_MTU - IPV4_TCP_HEADERS - TIMESTAMPS_COST},
        {v6, WINDOW_MSS, ETHERNET_MTU - IPV6_TCP_HEADERS},
        {v6, WINDOW_MSS, ETHERNET_MTU - IPV6_TCP_HEADERS - TIMESTAMPS_COST},
        {true, WINDOW_MTU, mss + IPV4_TCP_HEADERS}, /* for IPv6, too */
        {true, WINDOW_MTU, mss + inputs->header_length},
        {v6, WINDOW_MTU, mss + IPV6_TCP_HEADERS},
        {true, WINDOW_MTU, ETHERNET_MTU},
    };

    if (inputs->window != 0 && mss >= MSS_MIN_FOR_MULTIPLES)
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
            if (steps[i].tried && inputs->window % steps[i].divisor == 0)
                return (struct signature_window){steps[i].form,
                                                 (uint16_t)(inputs->window / steps[i].divisor)};
    return (struct signature_window){WINDOW_LITERAL, inputs->window};
}

static uint8_t guess_distance(uint8_t ttl)
{
    static const uint8_t INITIAL[] = {32, 64, 128};

    for (size_t i = 0; i < sizeof(INITIAL); i++)
        if (ttl <= INITIAL[i])
            return (uint8_t)(INITIAL[i] - ttl);
    return (uint8_t)(UINT8_MAX - ttl);
}

void signature_from_syn(const struct syn *syn, struct signature *ret_signature)
{
    *ret_signature = (struct signature){
        .syn = syn,
        .window = signature_window_derive(&(struct window_inputs){
            .window = syn->window,
            .mss = syn->mss,
            .header_length = syn->header_length,
            .ip_version = syn->ip_version,
            .timestamps = syn->ts_value != 0,
        }),
        .distance = guess_distance(syn->ttl),
    };
}

/* Text is put together without stdio, because it is done for each connection. */
static char *put_str(char *to, struct str text)
{
    memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static char *put_number(char *to, uint32_t number)
{
    char digits[10];
    size_t count = 0;

    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    while (count)
        *to++ = digits[--count];
    return to;
}

static char *put_window(char *to, const struct signature_window *window)
{
    return put_number(put_str(to, signature_window_prefix(window->form)), window->value);
}

static char *put_layout(char *to, const uint8_t *layout, size_t length, uint8_t eol_pad)
{
    for (size_t i = 0; i < length; i++) {
        struct str name = signature_option_name(layout[i]);

        if (i)
            *to++ = ',';
        if (name.len)
            to = put_str(to, name);
        else
            to = put_number(put_str(to, STR("?")), layout[i]);
        if (layout[i] == TCP_OPTION_EOL)
            to = put_number(put_str(to, STR("+")), eol_pad);
    }
    return to;
}

static char *put_quirks(char *to, uint32_t quirks)
{
    while (quirks) {
        unsigned bit = (unsigned)__builtin_ctz(quirks);

        to = put_str(to, signature_quirk_name(bit));
        quirks &= quirks - 1;
        if (quirks)
            *to++ = ',';
    }
    return to;
}

size_t signature_format(const struct signature *signature, char buffer[SIGNATURE_TEXT_MAX])
{
    const struct syn *syn = signature->syn;
    char *to = buffer;

    to = put_str(put_number(to, syn->ip_version), STR(":"));
    to = put_str(put_number(to, syn->ttl), STR("+"));
    to = signature->distance > UNBELIEVABLE_DISTANCE ? put_str(to, STR("?"))
                                                     : put_number(to, signature->distance);
    to = put_str(to, STR(":"));
    to = put_str(put_number(to, syn->ip_options_length), STR(":"));
    to = put_str(put_number(to, syn->mss), STR(":"));
    to = put_str(put_window(to, &signature->window), STR(","));
    to = put_str(put_number(to, syn->scale), STR(":"));
    to = put_str(put_layout(to, syn->layout, syn->layout_length, syn->eol_pad), STR(":"));
    to = put_str(put_quirks(to, syn->quirks), STR(":"));
    to = put_str(to, syn->payload_length ? STR("+") : STR("0"));
    *to = '\0';
    return (size_t)(to - buffer);
}

bool signature_pattern_matches(const struct signature_pattern *pattern,
                               const struct signature *signature)
{
    const struct syn *syn = signature->syn;
    struct fit_subject subject;

    if (pattern->ip_version != 0 && pattern->ip_version != syn->ip_version)
        return false;
    if (pattern->layout_length != syn->layout_length ||
        memcmp(pattern->layout, syn->layout, syn->layout_length) != 0)
        return false;
    fit_subject_from_signature(signature, &subject);
    return fit_pattern(pattern, &subject) == FIT_EXACT;
}
