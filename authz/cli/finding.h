/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of one SYN, and how it is written: the members that every JSON line about a SYN has
 * (interfaces.md section 3), and the words for people.  All of it goes to standard output; its
 * errors stay there (ferror). */
#ifndef FINDING_H
#define FINDING_H

#include <stdbool.h>

#include "databases.h"
#include "matcher.h"

struct finding {
    const struct syn *syn; /* borrowed */
    struct match match;
    const char *kind; /* p0f's key of the label: "os" or "app" */
    char signature[SIGNATURE_TEXT_MAX];
    char params[MATCH_PARAMS_MAX];
};

void finding_make(const struct syn *syn, const struct databases *databases,
                  struct finding *ret_finding);

/* Members without a comma before or behind them.  `finding` NULL: there is no SYN, they are null.
 */
void finding_print_label(const struct finding *finding);    /* "label" */
void finding_print_os(const struct finding *finding);       /* "os" */
void finding_print_match(const struct finding *finding);    /* "match" */
void finding_print_distance(const struct finding *finding); /* "distance", to this node */
void finding_print_link(const struct finding *finding);     /* "mtu" and "link" */

/* For people: the label or "???"; ", distance 3, MTU 1500 (Ethernet or modem)". */
void finding_print_label_text(const struct finding *finding);
void finding_print_path_text(const struct finding *finding);

/* Any member: a string, null when it is NULL or empty; a number, null when it is not known. */
void member_print_string(const char *key, const char *value);
void member_print_number(const char *key, bool known, long long value);

#endif
