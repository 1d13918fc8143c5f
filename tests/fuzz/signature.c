/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns: a SYN made after one is matched by it, and so is what its own signature says. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SOME_MSS = 100, QUIRKS_OF_IPV4 = QUIRK_DF | QUIRK_ID_NONZERO | QUIRK_ID_ZERO };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A SYN that the pattern describes; false where finding one takes more than filling in. */
static bool make_syn(const struct signature_pattern *pattern, struct syn *ret_syn)
{
    uint32_t mss = pattern->any_mss ? SOME_MSS : pattern->mss;
    uint32_t window = pattern->window.value;

    if (pattern->window.form == WINDOW_MTU)
        return false;
    if (pattern->window.form == WINDOW_MSS)
        window *= mss;
    if (window > UINT16_MAX || (pattern->window.form == WINDOW_MSS && mss < SOME_MSS))
        return false;
    *ret_syn = (struct syn){
        .quirks = pattern->quirks,
        .payload_length = pattern->payload == PAYLOAD_SOME,
        .mss = (uint16_t)mss,
        .window = (uint16_t)window,
        .header_length = 40,
        .ip_version = pattern->ip_version ? pattern->ip_version : 4,
        .ttl = pattern->ttl,
        .ip_options_length = pattern->ip_options_length,
        .scale = pattern->scale,
        .eol_pad = pattern->eol_pad,
        .layout_length = pattern->layout_length,
    };
    memcpy(ret_syn->layout, pattern->layout, pattern->layout_length);
    if (pattern->ip_version == 0) /* both versions' quirks may be there; a packet has one's */
        ret_syn->quirks &= ~(uint32_t)QUIRK_FLOW;
    return true;
}

/* An EOL that is not the last option, which "?0" allows, is printed as p0f prints it and cannot be
 * read back. */
static bool has_early_eol(const struct syn *syn)
{
    for (uint8_t i = 0; i + 1 < syn->layout_length; i++)
        if (syn->layout[i] == TCP_OPTION_EOL)
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct signature_pattern pattern, again;
    struct signature signature;
    struct diag diag = {0};
    struct syn syn;
    char text[SIGNATURE_TEXT_MAX];
    size_t offset = SIZE_MAX;

    if (signature_pattern_parse(input, &pattern, &offset, &diag) < 0) {
        require(offset <= size && diag.text[0] != '\0');
        return 0;
    }
    require(pattern.layout_length <= SYN_LAYOUT_MAX && pattern.ttl != 0);
    if (!make_syn(&pattern, &syn))
        return 0;
    signature_from_syn(&syn, &signature);
    require(signature_pattern_matches(&pattern, &signature));
    require(signature_format(&signature, text) == strlen(text));
    if (has_early_eol(&syn) || strstr(text, "+?:"))
        return 0;
    require(signature_pattern_parse(str_from(text), &again, NULL, NULL) == 0);
    require(signature_pattern_matches(&again, &signature));
    return 0;
}
