/* SPDX-License-Identifier: Apache-2.0 */
/* How one pattern fits one SYN, by p0f's rules but for the option layout, which the caller has
 * compared.
 *
 * One description of the comparison serves three callers: the matcher, policies, and the reader of
 * databases, which asks whether an earlier pattern already covers a new one (p0f refuses that). */
#ifndef FIT_H
#define FIT_H

#include "signature.h"

enum fit {
    FIT_NO = 0,
    FIT_FUZZY, /* TTL out of range, or a harmless difference in quirks */
    FIT_EXACT,
};

enum { FIT_DISTANCE_MAX = 35 };

/* What a pattern is compared with: a SYN, or another pattern. */
struct fit_subject {
    uint64_t fields; /* fit_pack() */
    uint64_t wild;   /* fields that are a wildcard themselves, which only a wildcard covers */
    uint32_t quirks;
    uint8_t ip_version; /* 4, 6; 0 only from a pattern */
    uint8_t ttl;
    bool window_is_pattern;          /* a non-literal window of a pattern: it fits its like only */
    uint16_t window;                 /* the literal window */
    struct signature_window derived; /* as p0f writes the literal; or the pattern's window */
};

/* The fields that are equal or are not, side by side: a pattern is compared with many SYNs, nearly
 * always in vain, and which field decides cannot be predicted, so that one comparison is much
 * cheaper than six. */
static inline uint64_t fit_pack(uint16_t window, uint16_t mss, uint8_t scale,
                                uint8_t ip_options_length, uint8_t eol_pad, uint8_t payload)
{
    return (uint64_t)window << 48 | (uint64_t)mss << 32 | (uint32_t)scale << 24 |
           (uint32_t)ip_options_length << 16 | (uint32_t)eol_pad << 8 | payload;
}

/* Sets the pattern's `fields` and `mask` from the rest of it. */
void fit_prepare(struct signature_pattern *pattern);

void fit_subject_from_signature(const struct signature *signature, struct fit_subject *ret_subject);
void fit_subject_from_pattern(const struct signature_pattern *pattern,
                              struct fit_subject *ret_subject);

/* What the packed fields do not say: window forms, quirks, TTL. */
enum fit fit_rest(const struct signature_pattern *pattern, const struct fit_subject *subject);

/* As in p0f, a version of 4 or 6 in the pattern is not compared; signature_pattern_matches() does
 * that. */
static inline enum fit fit_pattern(const struct signature_pattern *pattern,
                                   const struct fit_subject *subject)
{
    if (((pattern->fields ^ subject->fields) | subject->wild) & pattern->mask)
        return FIT_NO;
    return fit_rest(pattern, subject);
}

#endif
