/* SPDX-License-Identifier: Apache-2.0 */
#include "rule_series.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "policy.h"

void rule_series_init(struct rule_series *series)
{
    *series = (struct rule_series){0};
    (void)pthread_mutex_init(&series->lock, NULL); /* cannot fail with default attributes */
}

void rule_series_done(struct rule_series *series)
{
    for (size_t i = 1; i <= series->count; i++) {
        free(series->names[i].policy);
        free(series->names[i].rule);
    }
    (void)pthread_mutex_destroy(&series->lock);
}

static unsigned find(const struct rule_series *series, struct str policy, struct str rule)
{
    for (size_t i = 1; i <= series->count; i++)
        if (str_eq(str_from(series->names[i].rule), rule) &&
            str_eq(str_from(series->names[i].policy), policy))
            return (unsigned)i;
    return RULE_SERIES_OTHER;
}

static unsigned add(struct rule_series *series, struct str policy, struct str rule)
{
    CLEANUP(freep) char *policy_name = str_dup(policy);
    CLEANUP(freep) char *rule_name = str_dup(rule);

    if (!policy_name || !rule_name || series->count == RULE_SERIES_MAX)
        return RULE_SERIES_OTHER;
    series->count++;
    series->names[series->count].policy = TAKE_PTR(policy_name);
    series->names[series->count].rule = TAKE_PTR(rule_name);
    return (unsigned)series->count;
}

void rule_series_number(struct rule_series *series, struct policy *policy)
{
    (void)pthread_mutex_lock(&series->lock);
    for (size_t i = 0; i < policy->rule_count; i++) {
        struct rule *rule = &policy->rules[i];

        rule->series = find(series, policy->name, rule->id);
        if (rule->series == RULE_SERIES_OTHER)
            rule->series = add(series, policy->name, rule->id);
    }
    (void)pthread_mutex_unlock(&series->lock);
}

size_t rule_series_names(struct rule_series *series,
                         struct rule_series_name ret_names[RULE_SERIES_COUNT_])
{
    size_t count;

    (void)pthread_mutex_lock(&series->lock);
    memcpy(ret_names, series->names, sizeof(series->names));
    count = series->count;
    (void)pthread_mutex_unlock(&series->lock);
    return count;
}
