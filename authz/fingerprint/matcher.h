/* SPDX-License-Identifier: Apache-2.0 */
/* p0f's matcher: which label a SYN gets, how well it fits, and what follows for distance, MTU and
 * link.
 *
 * Equal to p0f 3.09b including its bugs (p0f's own answers are the test). */
#ifndef MATCHER_H
#define MATCHER_H

#include "fp_db.h"
#include "signature.h"

enum match_kind {
    MATCH_NONE = 0,
    MATCH_SPECIFIC,
    MATCH_GENERIC,
    MATCH_FUZZY,
    MATCH_COUNT_,
};

/* "none", "specific", "generic", "fuzzy" */
const char *match_kind_name(enum match_kind kind);

struct match {
    enum match_kind kind;
    const struct fp_label *label; /* NULL without a match */
    bool generic;                 /* the label is a generic one (a fuzzy match may be, too) */
    bool random_ttl;
    bool sendsyn;         /* p0f's own probe (window 1337, MSS 1331) */
    bool excess_distance; /* more than 35 hops: not plausible */
    int distance;         /* hops; meaningless ("<= N" in p0f) when random_ttl is set */
    int mtu;              /* 0: p0f says nothing about it */
    const char *link;     /* name of the link with that MTU, NULL if unknown */
};

/* `db` may be NULL: no label, guessed distance, MTU without a link name. */
void matcher_match(const struct fp_db *db, const struct signature *signature,
                   struct match *ret_match);

/* Several databases in order: the first that knows a label wins, however well it fits there; the
 * first that knows the link's name likewise.  Without any label it is what the first database says.
 * `count` may be 0: as without a database. */
void matcher_match_first(const struct fp_db *const *dbs, size_t count,
                         const struct signature *signature, struct match *ret_match);

/* p0f's params text: "none", "generic fuzzy", "random_ttl", "excess_dist tos:0x04" ...  Terminated;
 * returns its length. */
enum { MATCH_PARAMS_MAX = 64 };
size_t matcher_params(const struct match *match, const struct signature *signature,
                      char buffer[MATCH_PARAMS_MAX]);

#endif
