/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_metrics.h"

#include <inttypes.h>
#include <stdio.h>

#include "capture_metrics.h"
#include "decision_metrics.h"
#include "certificates.h"
#include "pin_reader.h"
#include "policy.h"
#include "policy_store.h"
#include "program_metrics.h"
#include "serve_config.h"
#include "serve_settings.h"
#include "server.h"

enum { LOOP_STALE_MS = 60000 }; /* a reload of a large policy takes its time */

/* --- health ----------------------------------------------------------------------------------- */

static const char *const PIN_STATES[] = {
    [PIN_SOURCE_ABSENT] = "absent",
    [PIN_SOURCE_FRESH] = "fresh",
    [PIN_SOURCE_STALE] = "stale",
    [PIN_SOURCE_DEGRADED] = "degraded",
};

bool serve_has_capture(const struct serve_metrics *metrics, char why[ADMIN_WHY_MAX])
{
    struct pin_source_status status;

    if (!metrics->pins)
        return true;
    pin_source_get_status(metrics->pins, &status);
    if (status.state == PIN_SOURCE_FRESH)
        return true;
    (void)snprintf(why, ADMIN_WHY_MAX, "capture_%s: %.*s", PIN_STATES[status.state],
                   ADMIN_WHY_MAX - 32, status.why);
    return false;
}

/* The loops turn by themselves at least once a second. */
static bool is_live(void *context, char why[ADMIN_WHY_MAX])
{
    const struct serve_metrics *metrics = context;
    const uint64_t silence_ms = server_silence_ms(metrics->server);
    const uint64_t loop_age_ms = beat_age_ms(&metrics->loop);

    if (silence_ms >= BEAT_STALE_MS) {
        (void)snprintf(why, ADMIN_WHY_MAX,
                       "a thread that answers calls has not come round for %" PRIu64 " s",
                       silence_ms / 1000);
        return false;
    }
    if (loop_age_ms >= LOOP_STALE_MS) {
        (void)snprintf(why, ADMIN_WHY_MAX,
                       "the loop that reads signals has not come round for %" PRIu64 " s",
                       loop_age_ms / 1000);
        return false;
    }
    return true;
}

/* There is a policy from the start on, and listeners answer as long as the threads turn. */
static bool is_ready(void *context, char why[ADMIN_WHY_MAX])
{
    const struct serve_metrics *metrics = context;

    if (atomic_load(&metrics->is_draining)) {
        (void)snprintf(why, ADMIN_WHY_MAX, "draining: the server was told to end");
        return false;
    }
    return is_live(context, why) && serve_has_capture(context, why);
}

bool serve_is_ready(struct serve_metrics *metrics, char why[ADMIN_WHY_MAX])
{
    return is_ready(metrics, why);
}

const char *serve_pin_state(enum pin_source_state state)
{
    return PIN_STATES[state];
}

/* --- what the program is and does ------------------------------------------------------------- */

static void write_policy(struct serve_metrics *metrics, struct metric_page *page)
{
    struct policy_reader reader = {0};
    const struct policy *policy = policy_reader_get(&reader, metrics->store);
    char name[64];
    const struct metric_label labels[] = {
        {"policy", name}, {"revision", policy->revision}, {NULL, NULL}};

    (void)snprintf(name, sizeof(name), "%" PRIstr, STR_ARG(policy->name));
    metric_family(page, "synauthz_policy_info", METRIC_GAUGE, "The live policy; always 1.");
    metric_u64(page, "synauthz_policy_info", labels, 1);
    policy_reader_done(&reader);
    reload_log_write_metrics(&metrics->policy_reloads, "synauthz_policy", page);
    reload_log_write_metrics(&metrics->config.reloads, "synauthz_config", page);
}

static void write_health(struct serve_metrics *metrics, struct metric_page *page)
{
    char unused[ADMIN_WHY_MAX];

    metric_gauge(page, "synauthz_ready", "1: as /readyz.", is_ready(metrics, unused));
    metric_family(page, "synauthz_thread_silence_seconds", METRIC_GAUGE,
                  "The longest that a thread which answers calls has not come round its loop.");
    metric_seconds(page, "synauthz_thread_silence_seconds", NULL,
                   server_silence_ms(metrics->server) * 1000000);
}

/* --- Checks ----------------------------------------------------------------------------------- */

static const char CHECKS[] = "synauthz_checks_total";

static void write_checks_of(struct metric_page *page, const char *verdict, const char *reason,
                            const char *mode, uint64_t value)
{
    const struct metric_label labels[] = {
        {"verdict", verdict}, {"reason", reason}, {"mode", mode}, {NULL, NULL}};

    metric_u64(page, CHECKS, labels, value);
}

/* Each Check is in one of the two modes: so the sum is that of all. */
static void write_decisions(const struct check_counts *counts, struct metric_page *page)
{
    static const struct {
        enum check_outcome outcome;
        enum decision_reason number;
        const char *verdict, *reason;
    } ROWS[] = {
        {CHECK_ALLOWED, DECISION_RULE, "allow", "rule"},
        {CHECK_ALLOWED, DECISION_DEFAULT, "allow", "default"},
        {CHECK_DENIED, DECISION_RULE, "deny", "rule"},
        {CHECK_DENIED, DECISION_DEFAULT, "deny", "default"},
        {CHECK_DENIED, DECISION_UNKNOWN, "deny", "unknown"},
    };

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const uint64_t all = counts->checks[ROWS[i].outcome][ROWS[i].number];
        const uint64_t shadowed = counts->shadowed[ROWS[i].outcome][ROWS[i].number];

        /* Read one after the other while they go on. */
        write_checks_of(page, ROWS[i].verdict, ROWS[i].reason, "enforce",
                        all > shadowed ? all - shadowed : 0);
        write_checks_of(page, ROWS[i].verdict, ROWS[i].reason, "shadow", shadowed);
    }
}

static void write_checks(const struct server_counts *counts, struct metric_page *page)
{
    const struct check_counts *checks = &counts->checks;

    metric_family(page, CHECKS, METRIC_COUNTER,
                  "Checks that were answered, and why so; mode shadow: shadow rules would have "
                  "answered otherwise.");
    write_decisions(checks, page);
    write_checks_of(page, "deny", "oversize", "enforce", check_counts_of(checks, CHECK_OVERSIZE));
    write_checks_of(page, "error", "fault", "enforce", check_counts_of(checks, CHECK_FAULT));
    write_checks_of(page, "error", "malformed", "enforce",
                    check_counts_of(checks, CHECK_MALFORMED) + counts->unreadable);
    write_checks_of(page, "error", "late", "enforce", counts->late);
}

/* What there is before anything was counted, so that a rate has a beginning. */
static bool is_usual(enum syn_state state, enum syn_reason reason)
{
    static const struct {
        enum syn_state state;
        enum syn_reason reason;
    } USUAL[] = {
        {SYN_STATE_VERIFIED, SYN_REASON_NONE},
        {SYN_STATE_CAPTURED, SYN_REASON_UNTRACKED},
        {SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {SYN_STATE_MISSING, SYN_REASON_FILTERED},
        {SYN_STATE_MISSING, SYN_REASON_NO_SYN},
        {SYN_STATE_MISSING, SYN_REASON_MAP_FULL},
        {SYN_STATE_MISSING, SYN_REASON_NOT_SEEN},
        {SYN_STATE_UNSUPPORTED, SYN_REASON_HTTP3},
        {SYN_STATE_UNSUPPORTED, SYN_REASON_PIPE},
        {SYN_STATE_UNSUPPORTED, SYN_REASON_INTERNAL},
        {SYN_STATE_UNSUPPORTED, SYN_REASON_PROXY_PROTOCOL},
        {SYN_STATE_UNSUPPORTED, SYN_REASON_NO_PEER},
        {SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR},
    };

    for (size_t i = 0; i < sizeof(USUAL) / sizeof(USUAL[0]); i++)
        if (USUAL[i].state == state && USUAL[i].reason == reason)
            return true;
    return false;
}

static void write_lookups(const struct check_counts *counts, struct metric_page *page)
{
    static const char NAME[] = "synauthz_lookups_total";

    metric_family(page, NAME, METRIC_COUNTER,
                  "Connections of Checks that were looked up, and what was known of their SYNs.");
    for (unsigned state = 0; state < SYN_STATE_COUNT_; state++)
        for (unsigned reason = 0; reason < SYN_REASON_COUNT_; reason++) {
            const struct metric_label labels[] = {
                {"state", syn_state_name((enum syn_state)state)},
                {"reason", syn_reason_name((enum syn_reason)reason)},
                {NULL, NULL},
            };

            if (counts->lookups[state][reason] ||
                is_usual((enum syn_state)state, (enum syn_reason)reason))
                metric_u64(page, NAME, labels, counts->lookups[state][reason]);
        }
}

/* PEER_HEADER_READ: it was not asked for what it says, over HTTP/3 or for a fault of ours. */
static void write_peer_headers(const struct check_counts *counts, struct metric_page *page)
{
    static const enum peer_header RESULTS[] = {PEER_HEADER_USED, PEER_HEADER_IGNORED,
                                               PEER_HEADER_ABSENT, PEER_HEADER_REPEATED,
                                               PEER_HEADER_MALFORMED};
    static const char NAME[] = "synauthz_peer_header_total";

    metric_family(page, NAME, METRIC_COUNTER,
                  "Checks for which a header was named that holds the connection's own tuple, and "
                  "what became of it.");
    for (size_t i = 0; i < sizeof(RESULTS) / sizeof(RESULTS[0]); i++)
        metric_u64(page, NAME,
                   (struct metric_label[]){{"result", peer_header_name(RESULTS[i])}, {NULL, NULL}},
                   counts->peer_headers[RESULTS[i]]);
}

static void write_calls(const struct server_counts *counts, struct metric_page *page)
{
    metric_gauge(page, "synauthz_calls_in_flight", "Calls that are being answered.",
                 counts->in_flight);
    metric_gauge(page, "synauthz_health_watchers",
                 "Streams of grpc.health.v1.Health/Watch that are open.", counts->watchers);
    metric_counter(page, "synauthz_calls_cancelled_total",
                   "Calls whose client did not wait for the answer, or did not take it.",
                   counts->cancelled);
    metric_counter(page, "synauthz_connections_refused_total",
                   "Connections that were closed at once, beyond the limit.",
                   counts->refused_connections);
    metric_counter(page, "synauthz_connections_ended_total",
                   "Connections that were ended because their clients flooded them.",
                   counts->ended_connections);
}

/* --- capture ---------------------------------------------------------------------------------- */

static void write_pins(const struct syn_source *pins, struct metric_page *page)
{
    static const char STATE[] = "synauthz_pins_state";
    struct pin_source_status status;

    pin_source_get_status(pins, &status);
    metric_family(page, STATE, METRIC_GAUGE, "1 for the state that the agent's pins are in.");
    for (unsigned i = 0; i < sizeof(PIN_STATES) / sizeof(PIN_STATES[0]); i++)
        metric_u64(page, STATE, (struct metric_label[]){{"state", PIN_STATES[i]}, {NULL, NULL}},
                   status.state == (enum pin_source_state)i);
    metric_counter(page, "synauthz_pins_swaps_total", "Sets of maps that were taken into use.",
                   status.swaps);
    metric_counter(page, "synauthz_pins_failures_total",
                   "Tries to open the pins that failed, though there were some.", status.failures);
    if (status.state == PIN_SOURCE_ABSENT) /* neither of the two is known then */
        return;
    metric_gauge(page, "synauthz_pins_tracked",
                 "1: SYNs are verified by the kernel's sockets; 0: only captured.", status.tracked);
    metric_family(page, "synauthz_heartbeat_age_seconds", METRIC_GAUGE,
                  "Since the agent wrote its heartbeat into the maps.");
    metric_seconds(page, "synauthz_heartbeat_age_seconds", NULL, status.heartbeat_age_ns);
}

static void write_maps(struct serve_metrics *metrics, const struct capture_maps *maps, bool tracked,
                       struct metric_page *page)
{
    struct capture_numbers numbers;

    metrics->map_read_failures += capture_numbers_read(maps, tracked, &numbers);
    capture_metrics_write(&numbers, page);
}

/* Opened for this page alone: which set of maps is in use is the source's own to know, and it may
 * close one at any time. */
static void write_pinned_maps(struct serve_metrics *metrics, struct metric_page *page)
{
    struct pin_source_status status;
    struct capture_maps maps;

    pin_source_get_status(metrics->pins, &status);
    if (status.state == PIN_SOURCE_ABSENT)
        return;
    if (pin_reader_open(metrics->orders->options.pin_dir, &maps, NULL) < 0) {
        metrics->map_read_failures++;
        return;
    }
    write_maps(metrics, &maps, status.tracked, page);
    capture_maps_close(&maps);
}

/* What an agent's page says of its maps. */
static void write_capture(struct serve_metrics *metrics, struct metric_page *page)
{
    if (metrics->pins)
        write_pinned_maps(metrics, page);
    else if (metrics->maps)
        write_maps(metrics, metrics->maps, true, page);
    else
        return;
    metric_counter(page, "synauthz_map_read_failures_total",
                   "Reads of a map for this page that failed; what they were for is left out.",
                   metrics->map_read_failures);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void write_tls(struct serve_metrics *metrics, const struct relay_counts *counts,
                      struct metric_page *page)
{
    static const char HANDSHAKES[] = "synauthz_tls_handshakes_total";

    reload_log_write_metrics(&metrics->tls_reloads, "synauthz_tls", page);
    metric_family(page, HANDSHAKES, METRIC_COUNTER, "TLS handshakes of clients.");
    metric_u64(page, HANDSHAKES, (struct metric_label[]){{"result", "refused"}, {NULL, NULL}},
               counts->refused);
    metric_u64(page, HANDSHAKES, (struct metric_label[]){{"result", "ok"}, {NULL, NULL}},
               counts->accepted);
    metric_gauge(page, "synauthz_tls_connections",
                 "TLS connections now, those in their handshake included.", counts->open);
    metric_gauge(page, "synauthz_tls_certificate_expiry_timestamp_seconds",
                 "When the certificate ends, in Unix time.",
                 (uint64_t)certificates_expiry(metrics->certificates));
}

/* --- the pages -------------------------------------------------------------------------------- */

static void write_page(void *context, struct metric_page *page)
{
    struct serve_metrics *metrics = context;
    struct server_counts counts;

    server_get_counts(metrics->server, &counts);
    program_metrics_write(page);
    write_policy(metrics, page);
    write_health(metrics, page);
    write_checks(&counts, page);
    write_lookups(&counts.checks, page);
    write_peer_headers(&counts.checks, page);
    write_calls(&counts, page);
    decision_metrics_latency(&counts.checks, page);
    decision_metrics_rules(&counts.checks, policy_store_series(metrics->store), page);
    if (metrics->decision_log)
        decision_metrics_log(metrics->decision_log, page);
    if (metrics->certificates)
        write_tls(metrics, &counts.tls, page);
    if (metrics->pins)
        write_pins(metrics->pins, page);
    write_capture(metrics, page);
}

static void print_config(void *context, FILE *out)
{
    serve_config_print(context, out);
}

void serve_metrics_init(struct serve_metrics *metrics)
{
    *metrics = (struct serve_metrics){0};
    reload_log_init(&metrics->policy_reloads);
    reload_log_init(&metrics->tls_reloads);
    config_page_init(&metrics->config);
}

void serve_metrics_done(struct serve_metrics *metrics)
{
    config_page_done(&metrics->config);
    reload_log_done(&metrics->tls_reloads);
    reload_log_done(&metrics->policy_reloads);
}

struct admin_pages serve_metrics_pages(struct serve_metrics *metrics)
{
    return (struct admin_pages){
        .context = metrics,
        .metrics = write_page,
        .config = print_config,
        .is_live = is_live,
        .is_ready = is_ready,
    };
}
