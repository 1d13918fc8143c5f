/* SPDX-License-Identifier: Apache-2.0 */
#include "matcher.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "fit.h"
#include "syn.h"

enum {
    IPV4_TCP_HEADERS = 40,
    IPV6_TCP_HEADERS = 60,
    SENDSYN_WINDOW = 1337,
    SENDSYN_MSS = 1331,
};

static const char *const KIND_NAMES[] = {
    [MATCH_NONE] = "none",
    [MATCH_SPECIFIC] = "specific",
    [MATCH_GENERIC] = "generic",
    [MATCH_FUZZY] = "fuzzy",
};
static_assert(sizeof(KIND_NAMES) / sizeof(KIND_NAMES[0]) == MATCH_COUNT_, "name each kind");

const char *match_kind_name(enum match_kind kind)
{
    return KIND_NAMES[kind];
}

/* Specific before generic before fuzzy; within each the first in file order. */
static enum match_kind find_entry(const struct fp_db *db, const struct signature *signature,
                                  const struct fp_entry **ret_entry)
{
    const struct fp_entry *generic = NULL, *fuzzy = NULL;
    const struct fp_entry *const *candidates = NULL;
    struct fit_subject subject;
    size_t count =
        fp_db_candidates(db, signature->syn->layout, signature->syn->layout_length, &candidates);

    fit_subject_from_signature(signature, &subject);
    for (size_t i = 0; i < count; i++) {
        const struct fp_entry *entry = candidates[i];
        enum fit fit = fit_pattern(&entry->pattern, &subject);

        if (fit == FIT_EXACT && !entry->label->generic) {
            *ret_entry = entry;
            return MATCH_SPECIFIC;
        }
        if (fit == FIT_EXACT && !generic)
            generic = entry;
        else if (fit == FIT_FUZZY && !fuzzy)
            fuzzy = entry;
    }
    *ret_entry = generic ? generic : fuzzy;
    if (generic)
        return MATCH_GENERIC;
    return fuzzy ? MATCH_FUZZY : MATCH_NONE;
}

static bool distance_is_plausible(const struct signature_pattern *pattern, uint8_t ttl)
{
    return ttl <= pattern->ttl && (pattern->random_ttl || pattern->ttl - ttl <= FIT_DISTANCE_MAX);
}

static void match_label(const struct fp_db *db, const struct signature *signature,
                        struct match *match)
{
    const struct fp_entry *entry = NULL;
    enum match_kind kind = find_entry(db, signature, &entry);

    if (kind == MATCH_NONE)
        return;
    if (kind == MATCH_FUZZY && fp_label_is_app(entry->label)) {
        match->distance = 0; /* p0f drops fuzzy matches of applications, and forgets the distance */
        return;
    }
    match->kind = kind;
    match->label = entry->label;
    match->generic = entry->label->generic;
    match->random_ttl = entry->pattern.random_ttl;
    if (distance_is_plausible(&entry->pattern, signature->syn->ttl))
        match->distance = entry->pattern.ttl - signature->syn->ttl;
}

/* p0f does not speak of the MTU of tools, which build their packets themselves. */
static int mtu_of(const struct match *match, const struct syn *syn)
{
    if (syn->mss == 0 || match->sendsyn || (match->label && fp_label_is_app(match->label)))
        return 0;
    return syn->mss + (syn->ip_version == 4 ? IPV4_TCP_HEADERS : IPV6_TCP_HEADERS);
}

void matcher_match(const struct fp_db *db, const struct signature *signature,
                   struct match *ret_match)
{
    const struct syn *syn = signature->syn;
    struct match match = {
        .distance = signature->distance,
        .sendsyn = syn->window == SENDSYN_WINDOW && syn->mss == SENDSYN_MSS,
    };

    if (db)
        match_label(db, signature, &match);
    match.excess_distance = match.distance > FIT_DISTANCE_MAX;
    match.mtu = mtu_of(&match, syn);
    if (db && match.mtu)
        match.link = fp_db_link(db, (unsigned)match.mtu);
    *ret_match = match;
}

void matcher_match_first(const struct fp_db *const *dbs, size_t count,
                         const struct signature *signature, struct match *ret_match)
{
    struct match match, other;

    matcher_match(count ? dbs[0] : NULL, signature, &match);
    for (size_t i = 1; i < count && match.kind == MATCH_NONE; i++) {
        matcher_match(dbs[i], signature, &other);
        if (other.kind != MATCH_NONE)
            match = other;
    }
    for (size_t i = 0; i < count && match.mtu && !match.link; i++)
        match.link = fp_db_link(dbs[i], (unsigned)match.mtu);
    *ret_match = match;
}

size_t matcher_params(const struct match *match, const struct signature *signature,
                      char buffer[MATCH_PARAMS_MAX])
{
    char tos[sizeof(" tos:0xff")] = "";
    int length;

    if (signature->syn->dscp)
        (void)snprintf(tos, sizeof(tos), " tos:0x%02x", (unsigned)signature->syn->dscp);
    length =
        snprintf(buffer, MATCH_PARAMS_MAX, "%s%s%s%s%s", match->generic ? " generic" : "",
                 match->kind == MATCH_FUZZY ? " fuzzy" : "", match->random_ttl ? " random_ttl" : "",
                 match->excess_distance ? " excess_dist" : "", tos);
    if (length <= 0) {
        memcpy(buffer, "none", sizeof("none"));
        return strlen("none");
    }
    memmove(buffer, buffer + 1, (size_t)length); /* the leading blank */
    return (size_t)length - 1;
}
