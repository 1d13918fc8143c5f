/* SPDX-License-Identifier: Apache-2.0 */
/* Which rules are counted one by one.
 *
 * A time series per rule, without end, is more than a Prometheus takes: the first RULE_SERIES_MAX
 * rules that were ever loaded have a number of their own, all others share the number 0.  A number
 * belongs to the policy's name and the rule's id, not to its place: it stays through reloads, so
 * that its counter never goes back.  Any thread. */
#ifndef RULE_SERIES_H
#define RULE_SERIES_H

#include <pthread.h>
#include <stddef.h>

#include "str.h"

struct policy;

enum { RULE_SERIES_OTHER = 0, RULE_SERIES_MAX = 128, RULE_SERIES_COUNT_ = RULE_SERIES_MAX + 1 };

/* Whose a number is; both terminated, owned by the table. */
struct rule_series_name {
    char *policy, *rule;
};

struct rule_series {
    pthread_mutex_t lock;
    size_t count; /* of numbers that were given, from 1 */
    struct rule_series_name names[RULE_SERIES_COUNT_];
};

void rule_series_init(struct rule_series *series);
void rule_series_done(struct rule_series *series);

/* Numbers the rules of a policy that is not shared yet.  Rules for which there is no memory share
 * the number 0. */
void rule_series_number(struct rule_series *series, struct policy *policy);

/* The names of the numbers 1..count; borrowed until rule_series_done().  Returns the count. */
size_t rule_series_names(struct rule_series *series,
                         struct rule_series_name ret_names[RULE_SERIES_COUNT_]);

#endif
