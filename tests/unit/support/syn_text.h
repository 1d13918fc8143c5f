/* SPDX-License-Identifier: Apache-2.0 */
/* A SYN for tests, written as its own p0f signature:
 * "4:60+4:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0". */
#ifndef SYN_TEXT_H
#define SYN_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "signature.h"

/* Its TTL is the one before the '+'; mss*N and mtu*N are multiples of the MSS and of MSS + 40 (60
 * for IPv6). */
static inline struct syn syn_from_text(const char *text)
{
    struct signature_pattern pattern;
    struct syn syn = {0};
    unsigned headers;

    if (signature_pattern_parse(str_from(text), &pattern, NULL, NULL) < 0)
        abort();
    headers = pattern.ip_version == 4 ? 40 : 60;
    syn.ip_version = pattern.ip_version;
    syn.ttl = (uint8_t)strtol(text + 2, NULL, 10);
    syn.ip_options_length = pattern.ip_options_length;
    syn.mss = pattern.mss;
    syn.scale = pattern.scale;
    syn.quirks = pattern.quirks;
    syn.eol_pad = pattern.eol_pad;
    syn.payload_length = pattern.payload == PAYLOAD_SOME;
    syn.header_length = 60;
    syn.ts_value = memchr(pattern.layout, TCP_OPTION_TIMESTAMPS, pattern.layout_length) != NULL;
    syn.layout_length = pattern.layout_length;
    memcpy(syn.layout, pattern.layout, pattern.layout_length);
    syn.window = pattern.window.value;
    if (pattern.window.form == WINDOW_MSS)
        syn.window = (uint16_t)(pattern.window.value * pattern.mss);
    else if (pattern.window.form == WINDOW_MTU)
        syn.window = (uint16_t)(pattern.window.value * (pattern.mss + headers));
    return syn;
}

#endif
