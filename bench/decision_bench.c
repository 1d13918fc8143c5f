/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread that answers does for metrics and for the decision log, alone: nanoseconds for each
 * Check.
 *
 *     decision_bench counts    two readings of the clock, the counters, the bucket of the latency
 *     decision_bench line      a line is formatted and put into its queue; a thread writes it to
 * /dev/null
 *
 * Prints the best of several rounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "check_counts.h"
#include "decision_log.h"
#include "policy.h"

enum { ROUNDS = 20, CHECKS = 20000, QUEUE_BYTES = 64 << 20 };

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

struct subjects {
    struct check_tally tally;
    struct decision_writer *writer;
    struct decision_record record;
};

static void count_one(struct subjects *subjects, uint64_t number)
{
    const uint64_t begun_ns = clock_ns(CLOCK_MONOTONIC);

    (void)number;
    check_tally_decision(&subjects->tally, CHECK_ALLOWED, subjects->record.decision);
    check_tally_latency(&subjects->tally, clock_ns(CLOCK_MONOTONIC) - begun_ns);
}

static void log_one(struct subjects *subjects, uint64_t number)
{
    if (!decision_writer_wants(subjects->writer, &subjects->record, number))
        return;
    subjects->record.time_ns = clock_ns(CLOCK_REALTIME);
    decision_writer_put(subjects->writer, &subjects->record);
}

static double best_of(void (*one)(struct subjects *, uint64_t), struct subjects *subjects)
{
    uint64_t best = UINT64_MAX;

    for (unsigned round = 0; round < ROUNDS; round++) {
        const uint64_t begun_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        uint64_t spent;

        for (uint64_t number = 0; number < CHECKS; number++)
            one(subjects, number);
        spent = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
        best = spent < best ? spent : best;
    }
    return (double)best / CHECKS;
}

/* What the bench's request is about, as far as the log says it. */
static struct subject browser(void)
{
    return (struct subject){
        .peer = PEER_TCP,
        .source = {.addr = addr_from_v4((const uint8_t[]){203, 0, 113, 7}), .port = 51234},
        .destination = {.addr = addr_from_v4((const uint8_t[]){192, 0, 2, 1}), .port = 443},
        .syn_state = SYN_STATE_VERIFIED,
        .p0f = STR("4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"),
        .has_http = true,
        .method = STR("GET"),
        .path = STR("/catalog/items/4711"),
        .query = STR("lang=en&sort=price"),
        .host = STR("shop.example.test"),
        .scheme = STR("https"),
        .protocol = STR("HTTP/2"),
        .request_id = STR("5f2c9a1e-3b7d-4c55-9d0e-1f6a7b8c9d0e"),
    };
}

static int measure(const char *what, struct subjects *subjects)
{
    const struct decision_log_config config = {.destination = "/dev/null",
                                               .one_allow_in = 1,
                                               .one_denial_in = 1,
                                               .writers = 1,
                                               .queue_bytes = QUEUE_BYTES};
    struct decision_log_counts counts;
    struct decision_log *log;
    struct diag diag = {0};

    if (strcmp(what, "counts") == 0) {
        (void)printf("%.1f\n", best_of(count_one, subjects));
        return 0;
    }
    if (decision_log_open(&config, &log, &diag) < 0)
        return 1;
    subjects->writer = decision_log_writer(log, 0);
    (void)printf("%.1f\n", best_of(log_one, subjects));
    decision_log_get_counts(log, &counts);
    (void)decision_log_close(log, 10000);
    return counts.queue_full ? 1 : 0; /* what is dropped costs less */
}

int main(int argc, char **argv)
{
    const struct rule rule = {.id = STR("enrich"), .series = 3};
    const struct subject subject = browser();
    struct decision decision = {.verdict = VERDICT_ALLOW,
                                .reason = DECISION_RULE,
                                .rule = &rule,
                                .would_be = VERDICT_ALLOW,
                                .would_be_rule = &rule,
                                .fired = {&rule, &rule},
                                .fired_count = 2};
    static struct subjects subjects;
    struct policy *policy;

    if (argc != 2 || policy_new(&policy) < 0)
        return 2;
    subjects.record =
        (struct decision_record){.outcome = RECORD_DECIDED,
                                 .latency_ns = 3217,
                                 .decision_id = STR("74574d6b9617430f0000000000000000"),
                                 .policy = policy,
                                 .subject = &subject,
                                 .decision = &decision};
    if (measure(argv[1], &subjects) != 0)
        return 1;
    policy_unref(policy);
    return 0;
}
