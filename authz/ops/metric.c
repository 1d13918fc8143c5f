/* SPDX-License-Identifier: Apache-2.0 */
#include "metric.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { FIRST_BYTES = 8192, NS_PER_S = 1000000000 };

/* --- the text --------------------------------------------------------------------------------- */

static void fail(struct metric_page *page)
{
    metric_page_done(page);
    page->failed = true;
}

/* Room for `more` bytes; false when the page has failed. */
static bool reserve(struct metric_page *page, size_t more)
{
    size_t size = page->size ? page->size : FIRST_BYTES;
    char *text;

    if (page->failed)
        return false;
    while (size - page->length < more)
        size *= 2;
    if (size == page->size)
        return true;
    text = realloc(page->text, size);
    if (!text) {
        fail(page);
        return false;
    }
    page->text = text;
    page->size = size;
    return true;
}

static void append(struct metric_page *page, const char *bytes, size_t length)
{
    if (!reserve(page, length))
        return;
    memcpy(page->text + page->length, bytes, length);
    page->length += length;
}

static void append_text(struct metric_page *page, const char *text)
{
    append(page, text, strlen(text));
}

/* Between quotes.  Prometheus knows three of JSON's escapes; there is no way to write the other
 * control characters. */
static void append_value(struct metric_page *page, const char *value)
{
    struct str rest = str_from(value);
    char piece[JSON_PIECE_MAX];

    while (rest.len > 0) {
        size_t length = json_take_character(&rest, piece);

        if (piece[0] == '\\' && !strchr("\"\\n", piece[1]))
            append_text(page, "?");
        else
            append(page, piece, length);
    }
}

static void append_label(struct metric_page *page, const char *before, const char *name,
                         const char *value)
{
    append_text(page, before);
    append_text(page, name);
    append_text(page, "=\"");
    append_value(page, value);
    append_text(page, "\"");
}

/* `le`, unless NULL, is the bound of a histogram's bucket. */
static void append_labels(struct metric_page *page, const struct metric_label *labels,
                          const char *le)
{
    const char *before = "{";

    for (; labels && labels->name; labels++) {
        append_label(page, before, labels->name, labels->value);
        before = ",";
    }
    if (le) {
        append_label(page, before, "le", le);
        before = ",";
    }
    if (*before == ',')
        append_text(page, "}");
}

static void append_number(struct metric_page *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append_number(struct metric_page *page, const char *format, ...)
{
    char number[64];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(number, sizeof(number), format, args);
    va_end(args);
    append_text(page, number);
}

/* `suffix` and `le` are a histogram's. */
static void append_sample(struct metric_page *page, const char *name, const char *suffix,
                          const struct metric_label *labels, const char *le, uint64_t value)
{
    append_text(page, name);
    append_text(page, suffix);
    append_labels(page, labels, le);
    append_number(page, " %" PRIu64 "\n", value);
}

/* --- the interface ---------------------------------------------------------------------------- */

void metric_family(struct metric_page *page, const char *name, enum metric_kind kind,
                   const char *help)
{
    static const char *const KINDS[] = {
        [METRIC_GAUGE] = " gauge\n",
        [METRIC_COUNTER] = " counter\n",
        [METRIC_HISTOGRAM] = " histogram\n",
    };

    append_text(page, "# HELP ");
    append_text(page, name);
    append_text(page, " ");
    append_text(page, help);
    append_text(page, "\n# TYPE ");
    append_text(page, name);
    append_text(page, KINDS[kind]);
}

void metric_u64(struct metric_page *page, const char *name, const struct metric_label *labels,
                uint64_t value)
{
    append_sample(page, name, "", labels, NULL, value);
}

void metric_gauge(struct metric_page *page, const char *name, const char *help, uint64_t value)
{
    metric_family(page, name, METRIC_GAUGE, help);
    metric_u64(page, name, NULL, value);
}

void metric_counter(struct metric_page *page, const char *name, const char *help, uint64_t value)
{
    metric_family(page, name, METRIC_COUNTER, help);
    metric_u64(page, name, NULL, value);
}

void metric_seconds(struct metric_page *page, const char *name, const struct metric_label *labels,
                    uint64_t nanoseconds)
{
    append_text(page, name);
    append_labels(page, labels, NULL);
    append_number(page, " %" PRIu64 ".%09" PRIu64 "\n", nanoseconds / NS_PER_S,
                  nanoseconds % NS_PER_S);
}

void metric_histogram(struct metric_page *page, const char *name, const struct metric_label *labels,
                      const struct metric_buckets *buckets)
{
    uint64_t count = 0;

    for (size_t i = 0; i < buckets->bound_count; i++) {
        char bound[24];

        (void)snprintf(bound, sizeof(bound), "%" PRIu64, buckets->bounds[i]);
        count += buckets->counts[i];
        append_sample(page, name, "_bucket", labels, bound, count);
    }
    count += buckets->counts[buckets->bound_count];
    append_sample(page, name, "_bucket", labels, "+Inf", count);
    append_sample(page, name, "_sum", labels, NULL, buckets->sum);
    append_sample(page, name, "_count", labels, NULL, count);
}

void metric_page_done(struct metric_page *page)
{
    free(page->text);
    *page = (struct metric_page){0};
}
