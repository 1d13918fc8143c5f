/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_decisions.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "beat.h"
#include "header_table.h"
#include "log_sink.h"
#include "oplog.h"
#include "policy_store.h"
#include "serve_settings.h"

enum { FLUSH_MS = 2000, SAY_LOSSES_EVERY_S = 60 };

/* --- options ---------------------------------------------------------------------------------- */

int serve_decisions_check_header(struct str name, struct diag *diag)
{
    if (!header_name_is_valid(name))
        return diag_set(diag, -EINVAL, "expected the name of a header");
    if (name.len >= RECORD_HEADER_NAME_MAX)
        return diag_set(diag, -EINVAL, "expected a name of at most %d bytes",
                        RECORD_HEADER_NAME_MAX - 1);
    return 0;
}

int serve_decisions_check(const struct serve_options *options, struct diag *diag)
{
    if (options->decision_log_headers.count > RECORD_HEADERS_MAX)
        return diag_set(diag, -EINVAL, "--decision-log-header: expected at most %d of them",
                        RECORD_HEADERS_MAX);
    if (options->decision_log_only == DECISION_LOG_DENY && options->decision_log_sample_allow != 1)
        return diag_set(diag, -EINVAL,
                        "--decision-log-sample-allow is for Checks that --decision-log-only deny "
                        "leaves out");
    if (options->decision_log)
        return 0;
    if (options->decision_log_headers.count || options->decision_log_query ||
        options->decision_log_only || options->decision_log_sample_allow != 1 ||
        options->decision_log_sample_deny != 1)
        return diag_set(diag, -EINVAL,
                        "the options --decision-log-... need --decision-log, which says where to");
    return 0;
}

/* --- its life --------------------------------------------------------------------------------- */

static int complain(const char *destination, int error, const struct diag *wrong, struct diag *diag)
{
    return diag_set(diag, error, "--decision-log %s: %s", destination,
                    wrong->text[0] ? wrong->text : strerror(-error));
}

int serve_decisions_try(const struct serve_options *options, struct diag *diag)
{
    struct diag wrong = {0};
    struct log_sink sink;
    int r;

    if (!options->decision_log)
        return 0;
    r = log_sink_open(options->decision_log, &sink, &wrong);
    if (r < 0)
        return complain(options->decision_log, r, &wrong, diag);
    log_sink_done(&sink);
    return 0;
}

/* In lower case, as they are compared and shown. */
static void keep_names(const struct text_list *names, struct serve_decisions *decisions)
{
    for (size_t i = 0; i < names->count; i++) {
        const size_t length = strlen(names->items[i]); /* fits: the option's check */

        for (size_t at = 0; at < length; at++)
            decisions->names[i][at] = char_lower(names->items[i][at]);
        decisions->headers[i] = (struct str){decisions->names[i], length};
    }
}

int serve_decisions_open(const struct serve_options *options, struct policy_store *store,
                         struct serve_decisions *ret_decisions, struct diag *diag)
{
    const struct decision_log_config config = {
        .destination = options->decision_log,
        .settings = {.query = (enum query_shown)options->decision_log_query,
                     .headers = ret_decisions->headers,
                     .header_count = options->decision_log_headers.count},
        .one_allow_in = options->decision_log_only == DECISION_LOG_DENY
                            ? 0
                            : options->decision_log_sample_allow,
        .one_denial_in = options->decision_log_sample_deny,
        .writers = (unsigned)options->threads,
        .queue_bytes = options->decision_log_queue,
    };
    struct diag wrong = {0};
    int r;

    if (!options->decision_log)
        return 0;
    ret_decisions->destination = options->decision_log;
    keep_names(&options->decision_log_headers, ret_decisions);
    r = policy_store_read_headers(store, ret_decisions->headers, config.settings.header_count);
    if (r == 0)
        r = decision_log_open(&config, &ret_decisions->log, &wrong);
    return r < 0 ? complain(options->decision_log, r, &wrong, diag) : 0;
}

int serve_decisions_reopen(struct serve_decisions *decisions, struct diag *diag)
{
    struct diag wrong = {0};
    int r = decisions->log ? decision_log_reopen(decisions->log, &wrong) : 0;

    return r < 0 ? complain(decisions->destination, r, &wrong, diag) : 0;
}

void serve_decisions_done(struct serve_decisions *decisions)
{
    const uint64_t left = decision_log_close(decisions->log, FLUSH_MS);

    decisions->log = NULL;
    if (left)
        oplog_error("decision log: %" PRIu64 " bytes of lines could not be written to %s", left,
                    decisions->destination);
}

/* --- what its operator should know ------------------------------------------------------------ */

static void follow_error(struct serve_decisions *decisions,
                         const struct decision_log_counts *counts)
{
    if (counts->last_error == decisions->said_error)
        return;
    if (counts->last_error)
        oplog_error("decision log: cannot write to %s: %s; it is tried again, and lines that do "
                    "not fit into the queue meanwhile are dropped and counted",
                    decisions->destination, strerror(counts->last_error));
    else
        oplog_info("decision log: written to %s again", decisions->destination);
    decisions->said_error = counts->last_error;
}

static void follow_losses(struct serve_decisions *decisions,
                          const struct decision_log_counts *counts)
{
    const uint64_t lost = counts->queue_full + counts->no_receiver;
    const uint64_t now_s = beat_clock_ms() / 1000;

    if (lost == decisions->said_lost ||
        (decisions->said_at_s && now_s < decisions->said_at_s + SAY_LOSSES_EVERY_S))
        return;
    oplog_error("decision log: %" PRIu64 " lines were dropped: %s", lost - decisions->said_lost,
                counts->no_receiver > decisions->said_no_receiver ? "nobody receives them"
                                                                  : "the destination is too slow");
    decisions->said_lost = lost;
    decisions->said_no_receiver = counts->no_receiver;
    decisions->said_at_s = now_s;
}

void serve_decisions_follow(struct serve_decisions *decisions)
{
    struct decision_log_counts counts;

    if (!decisions->log)
        return;
    decision_log_get_counts(decisions->log, &counts);
    follow_error(decisions, &counts);
    follow_losses(decisions, &counts);
}
