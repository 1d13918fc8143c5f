/* SPDX-License-Identifier: Apache-2.0 */
/* p0f v3 SYN signatures: of a SYN, as text, and as patterns.
 *
 * Source: p0f 3.09b README section 5 ("TCP signatures") and the behaviour of the p0f 3.09b binary,
 * which is right where they differ. */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <stdbool.h>
#include <stdint.h>

#include "diag.h"
#include "str.h"
#include "syn.h"

enum window_form {
    WINDOW_LITERAL = 0,
    WINDOW_MSS,    /* mss*N */
    WINDOW_MTU,    /* mtu*N */
    WINDOW_MODULO, /* %N, patterns only */
    WINDOW_ANY,    /* *, patterns only */
};

struct signature_window {
    enum window_form form;
    uint16_t value; /* the literal, or N */
};

enum { SIGNATURE_TEXT_MAX = 512 };

/* The signature of one SYN: the SYN's facts plus what p0f derives from them. */
struct signature {
    const struct syn *syn; /* borrowed */
    struct signature_window window;
    uint8_t distance; /* guessed hops, from the next initial TTL of 32, 64, 128, 255 */
};

void signature_from_syn(const struct syn *syn, struct signature *ret_signature);

/* What p0f looks at when it asks which multiple of MSS or MTU a window is. */
struct window_inputs {
    uint16_t window;
    uint16_t mss;           /* 0: none */
    uint16_t header_length; /* IP and TCP header, bytes */
    uint8_t ip_version;
    bool timestamps; /* TSval is not 0 */
};

/* MSS or MTU with their factor where the window is such a multiple, else the literal. */
struct signature_window signature_window_derive(const struct window_inputs *inputs);

/* p0f's raw_sig: "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0".  Returns the length; the text
 * is terminated and always fits. */
size_t signature_format(const struct signature *signature, char buffer[SIGNATURE_TEXT_MAX]);

/* A pattern in the grammar of p0f.fp's `sig` lines. */
struct signature_pattern {
    uint64_t fields, mask; /* made from the rest for quick comparison (fit.h) */
    uint32_t quirks;
    struct signature_window window;
    uint16_t mss;
    uint8_t ip_version; /* 4, 6, or 0 for '*' */
    uint8_t ttl;        /* initial */
    uint8_t ip_options_length;
    uint8_t scale;
    uint8_t eol_pad;
    uint8_t layout_length;
    uint8_t layout[SYN_LAYOUT_MAX];
    bool any_mss, any_scale;
    bool random_ttl; /* "64-" */
    uint8_t payload; /* enum pattern_payload */
};

enum pattern_payload { PAYLOAD_NONE = 0, PAYLOAD_SOME, PAYLOAD_ANY };

/* Parse one pattern, accepting and refusing what p0f does.  Returns 0, or -EINVAL with a message
 * that names the field; ret_error_offset (may be NULL) is set on failure to the byte of `text`
 * where it went wrong. */
int signature_pattern_parse(struct str text, struct signature_pattern *ret_pattern,
                            size_t *ret_error_offset, struct diag *diag);

/* The strict reading that policies use: version compared, TTL within p0f's maximum distance (35) at
 * or below the initial one, every field equal; never fuzzy.  A '*' version clears the quirks that
 * the packet's version cannot have, as p0f does. */
bool signature_pattern_matches(const struct signature_pattern *pattern,
                               const struct signature *signature);

#endif
