/* SPDX-License-Identifier: Apache-2.0 */
/* What /metrics says of decisions: how long they took, the rules that fired, and their log. */
#ifndef DECISION_METRICS_H
#define DECISION_METRICS_H

#include "check_counts.h"
#include "metric.h"

struct decision_log;
struct rule_series;

void decision_metrics_latency(const struct check_counts *counts, struct metric_page *page);
void decision_metrics_rules(const struct check_counts *counts, struct rule_series *series,
                            struct metric_page *page);
void decision_metrics_log(struct decision_log *log, struct metric_page *page);

#endif
