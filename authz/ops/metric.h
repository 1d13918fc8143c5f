/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text (exposition format 0.0.4), written in one go for each scrape.
 *
 * A family is begun once and then gets its samples; labels are pairs of name and value, values are
 * escaped.  Memory that cannot be had makes the page `failed`, and everything after it does
 * nothing: half a page is never served. */
#ifndef METRIC_H
#define METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum metric_kind { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM };

struct metric_page {
    char *text; /* owned; not terminated */
    size_t length, size;
    bool failed;
};

struct metric_label {
    const char *name, *value;
};

/* `name` with its unit and, of a counter, "_total"; both static text. */
void metric_family(struct metric_page *page, const char *name, enum metric_kind kind,
                   const char *help);

/* A sample of the family that was begun last.  `labels` ends with a NULL name, or is NULL. */
void metric_u64(struct metric_page *page, const char *name, const struct metric_label *labels,
                uint64_t value);
void metric_seconds(struct metric_page *page, const char *name, const struct metric_label *labels,
                    uint64_t nanoseconds);

/* Families of one sample without labels. */
void metric_gauge(struct metric_page *page, const char *name, const char *help, uint64_t value);
void metric_counter(struct metric_page *page, const char *name, const char *help, uint64_t value);

/* What was observed, in the unit of the family's name.  `counts` holds one bucket more than
 * `bounds`: how many observations were at most bounds[i] and above the bound before it, the last
 * one those above all bounds; the page has them cumulated, as Prometheus wants them. */
struct metric_buckets {
    const uint64_t *bounds; /* ascending */
    const uint64_t *counts;
    size_t bound_count;
    uint64_t sum; /* of all observations */
};

/* The samples name_bucket{le=...}, name_sum and name_count. `labels` do not have `le`. */
void metric_histogram(struct metric_page *page, const char *name, const struct metric_label *labels,
                      const struct metric_buckets *buckets);

void metric_page_done(struct metric_page *page);

#endif
