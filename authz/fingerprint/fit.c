/* SPDX-License-Identifier: Apache-2.0 */
#include "fit.h"

#include "syn.h"

enum {
    QUIRKS_OF_IPV4 = QUIRK_DF | QUIRK_ID_NONZERO | QUIRK_ID_ZERO, /* "0+" is not cleared by p0f */
    QUIRKS_OF_IPV6 = QUIRK_FLOW,

    /* what a router or a busy stack may change, so that p0f still calls it a fuzzy match */
    QUIRKS_MAY_VANISH = QUIRK_DF | QUIRK_ID_NONZERO,
    QUIRKS_MAY_APPEAR = QUIRK_ID_ZERO | QUIRK_ECN,
};

void fit_prepare(struct signature_pattern *pattern)
{
    pattern->fields =
        fit_pack(pattern->window.value, pattern->mss, pattern->scale, pattern->ip_options_length,
                 pattern->eol_pad, pattern->payload == PAYLOAD_SOME);
    pattern->mask = fit_pack(pattern->window.form == WINDOW_LITERAL ? UINT16_MAX : 0,
                             pattern->any_mss ? 0 : UINT16_MAX, pattern->any_scale ? 0 : UINT8_MAX,
                             UINT8_MAX, UINT8_MAX, pattern->payload == PAYLOAD_ANY ? 0 : UINT8_MAX);
}

void fit_subject_from_signature(const struct signature *signature, struct fit_subject *ret_subject)
{
    const struct syn *syn = signature->syn;

    *ret_subject = (struct fit_subject){
        .fields = fit_pack(syn->window, syn->mss, syn->scale, syn->ip_options_length, syn->eol_pad,
                           syn->payload_length != 0),
        .quirks = syn->quirks,
        .ip_version = syn->ip_version,
        .ttl = syn->ttl,
        .window = syn->window,
        .derived = signature->window,
    };
}

void fit_subject_from_pattern(const struct signature_pattern *pattern,
                              struct fit_subject *ret_subject)
{
    bool literal = pattern->window.form == WINDOW_LITERAL;
    struct signature_window window = pattern->window;

    /* p0f knows neither timestamps nor header length of a pattern and takes 0 for both */
    if (literal && !pattern->any_mss)
        window = signature_window_derive(&(struct window_inputs){
            .window = window.value, .mss = pattern->mss, .ip_version = pattern->ip_version});
    *ret_subject = (struct fit_subject){
        .fields = pattern->fields,
        .wild = ~pattern->mask,
        .quirks = pattern->quirks,
        .ip_version = pattern->ip_version,
        .ttl = pattern->ttl,
        .window_is_pattern = !literal,
        .window = pattern->window.value,
        .derived = window,
    };
}

static enum fit fit_quirks(const struct signature_pattern *pattern,
                           const struct fit_subject *subject)
{
    uint32_t wanted = pattern->quirks, vanished, appeared;

    if (pattern->ip_version == 0)
        wanted &= ~(uint32_t)(subject->ip_version == 4 ? QUIRKS_OF_IPV6 : QUIRKS_OF_IPV4);
    vanished = wanted & ~subject->quirks;
    appeared = subject->quirks & ~wanted;
    if ((vanished | appeared) == 0)
        return FIT_EXACT;
    if (vanished & ~(uint32_t)QUIRKS_MAY_VANISH || appeared & ~(uint32_t)QUIRKS_MAY_APPEAR)
        return FIT_NO;
    return FIT_FUZZY;
}

static enum fit fit_ttl(const struct signature_pattern *pattern, const struct fit_subject *subject)
{
    bool above = subject->ttl > pattern->ttl;

    if (pattern->random_ttl)
        return above ? FIT_NO : FIT_EXACT;
    return above || pattern->ttl - subject->ttl > FIT_DISTANCE_MAX ? FIT_FUZZY : FIT_EXACT;
}

static bool fits_window(const struct signature_window *wanted, const struct fit_subject *subject)
{
    if (wanted->form == WINDOW_LITERAL) /* one of the fields */
        return true;
    if (subject->window_is_pattern || wanted->form == WINDOW_MSS || wanted->form == WINDOW_MTU)
        return wanted->form == subject->derived.form && wanted->value == subject->derived.value;
    return wanted->form == WINDOW_ANY || subject->window % wanted->value == 0;
}

enum fit fit_rest(const struct signature_pattern *pattern, const struct fit_subject *subject)
{
    enum fit quirks, ttl;

    if (!fits_window(&pattern->window, subject))
        return FIT_NO;
    quirks = fit_quirks(pattern, subject);
    ttl = fit_ttl(pattern, subject);
    return quirks < ttl ? quirks : ttl;
}
