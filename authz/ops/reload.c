/* SPDX-License-Identifier: Apache-2.0 */
#include "reload.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "json.h"

enum { NAME_MAX_BYTES = 96 };

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

void reload_log_init(struct reload_log *log)
{
    *log = (struct reload_log){.result = {.success_s = now_s()}};
    log->result.attempt_s = log->result.success_s;
    (void)pthread_mutex_init(&log->lock, NULL); /* glibc's cannot fail */
}

void reload_log_done(struct reload_log *log)
{
    (void)pthread_mutex_destroy(&log->lock);
}

static void note(struct reload_result *result, int error, const struct diag *diag)
{
    result->attempt_s = now_s();
    if (error == 0) {
        result->succeeded++;
        result->success_s = result->attempt_s;
        result->error[0] = '\0';
        return;
    }
    result->failed++;
    if (diag->text[0])
        diag_format(diag, result->error, sizeof(result->error));
    else
        (void)snprintf(result->error, sizeof(result->error), "%s", strerror(-error));
}

void reload_log_note(struct reload_log *log, int error, const struct diag *diag)
{
    (void)pthread_mutex_lock(&log->lock);
    note(&log->result, error, diag);
    (void)pthread_mutex_unlock(&log->lock);
}

void reload_log_get(struct reload_log *log, struct reload_result *ret_result)
{
    (void)pthread_mutex_lock(&log->lock);
    *ret_result = log->result;
    (void)pthread_mutex_unlock(&log->lock);
}

/* --- metrics ---------------------------------------------------------------------------------- */

static const char *name_of(const char *thing, const char *rest, char name[NAME_MAX_BYTES])
{
    (void)snprintf(name, NAME_MAX_BYTES, "%s%s", thing, rest);
    return name;
}

void reload_log_write_metrics(struct reload_log *log, const char *thing, struct metric_page *page)
{
    static const struct metric_label OK[] = {{"result", "ok"}, {NULL, NULL}};
    static const struct metric_label FAILED[] = {{"result", "failed"}, {NULL, NULL}};
    struct reload_result result;
    char name[NAME_MAX_BYTES];

    reload_log_get(log, &result);
    metric_family(page, name_of(thing, "_reloads_total", name), METRIC_COUNTER,
                  "Times that it was read again, by how that ended.");
    metric_u64(page, name, OK, result.succeeded);
    metric_u64(page, name, FAILED, result.failed);
    metric_gauge(page, name_of(thing, "_last_reload_successful", name),
                 "0: the last one failed, and what was read before it is in use.",
                 result.error[0] == '\0');
    metric_family(page, name_of(thing, "_last_reload_success_timestamp_seconds", name),
                  METRIC_GAUGE, "When what is in use was read, in Unix time.");
    metric_u64(page, name, NULL, (uint64_t)result.success_s);
}

/* --- JSON ---------------------------------------------------------------------------------- */

void reload_log_print_json(struct reload_log *log, FILE *out)
{
    struct reload_result result;

    reload_log_get(log, &result);
    (void)fputs("{\"loaded\":", out);
    json_print_time(out, result.success_s);
    (void)fprintf(out, ",\"reloads\":{\"ok\":%" PRIu64 ",\"failed\":%" PRIu64 "},\"last\":{",
                  result.succeeded, result.failed);
    (void)fputs("\"tried\":", out);
    json_print_time(out, result.attempt_s);
    (void)fputs(",\"error\":", out);
    json_print_text_or_null(out, result.error);
    (void)fputs("}}", out);
}
