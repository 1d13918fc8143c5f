/* SPDX-License-Identifier: Apache-2.0 */
#include "decision_metrics.h"

#include "decision_log.h"
#include "rule_series.h"

void decision_metrics_latency(const struct check_counts *counts, struct metric_page *page)
{
    static const char NAME[] = "synauthz_check_latency_microseconds";
    const struct metric_buckets buckets = {
        .bounds = LATENCY_BOUNDS_US,
        .counts = counts->latency,
        .bound_count = LATENCY_BOUND_COUNT,
        .sum = counts->latency_ns / 1000,
    };

    metric_family(page, NAME, METRIC_HISTOGRAM,
                  "From the bytes of a Check to those of its reply, handed to gRPC.");
    metric_histogram(page, NAME, NULL, &buckets);
}

static void write_rules(struct metric_page *page, const char *name, const char *help,
                        const struct rule_series_name *names, size_t count, const uint64_t *values)
{
    metric_family(page, name, METRIC_COUNTER, help);
    for (size_t i = 1; i <= count; i++)
        metric_u64(page, name,
                   (struct metric_label[]){
                       {"policy", names[i].policy}, {"rule", names[i].rule}, {NULL, NULL}},
                   values[i]);
    metric_u64(page, name,
               (struct metric_label[]){{"policy", "(other)"}, {"rule", "(other)"}, {NULL, NULL}},
               values[RULE_SERIES_OTHER]);
}

void decision_metrics_rules(const struct check_counts *counts, struct rule_series *series,
                            struct metric_page *page)
{
    struct rule_series_name names[RULE_SERIES_COUNT_];
    const size_t count = rule_series_names(series, names);

    write_rules(page, "synauthz_rules_fired_total",
                "Rules that fired; `(other)` are all that have no series of their own.", names,
                count, counts->fired);
    write_rules(page, "synauthz_shadow_differences_total",
                "Checks that a shadow rule would have decided otherwise.", names, count,
                counts->differences);
}

static void write_results(struct metric_page *page, const struct decision_log_counts *counts)
{
    static const char NAME[] = "synauthz_decision_log_lines_total";
    const struct {
        const char *result;
        uint64_t value;
    } rows[] = {
        {"queued", counts->queued},
        {"not_chosen", counts->skipped},
        {"dropped_queue_full", counts->queue_full},
        {"dropped_no_receiver", counts->no_receiver},
    };

    metric_family(
        page, NAME, METRIC_COUNTER,
        "Checks by what became of their line; those without a receiver were queued before.");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        metric_u64(page, NAME, (struct metric_label[]){{"result", rows[i].result}, {NULL, NULL}},
                   rows[i].value);
}

void decision_metrics_log(struct decision_log *log, struct metric_page *page)
{
    static const char FAILURES[] = "synauthz_decision_log_write_failures_total";
    static const char WAITING[] = "synauthz_decision_log_waiting_bytes";
    struct decision_log_counts counts;

    decision_log_get_counts(log, &counts);
    write_results(page, &counts);
    metric_family(page, FAILURES, METRIC_COUNTER, "Tries to write that failed, to be made again.");
    metric_u64(page, FAILURES, NULL, counts.write_failures);
    metric_family(page, WAITING, METRIC_GAUGE, "Lines that wait to be written, in bytes.");
    metric_u64(page, WAITING, NULL, counts.waiting_bytes);
}
