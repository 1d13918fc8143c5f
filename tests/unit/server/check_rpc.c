/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "check_rpc.h"
#include "check_wire.h"
#include "decision_log.h"
#include "fake_source.h"

static const char POLICY[] = "version: 1\n"
                             "rules:\n"
                             "  - id: enrich\n"
                             "    then: continue\n"
                             "    request_headers: {set: {x-tcp-p0f: \"%{p0f}\"}}\n"
                             "default: allow\n"
                             "on_unknown: skip\n";

struct fixture {
    char path[64];
    struct policy_store *store;
    struct fake_source source;
    struct check_rpc rpc;
    char wire[1 << 16];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct diag diag = {0};
    FILE *file;

    *state = f;
    (void)snprintf(f->path, sizeof(f->path), "/tmp/synauthz-check-test-XXXXXX");
    file = fdopen(mkstemp(f->path), "w");
    if (!file || fputs(POLICY, file) < 0 || fclose(file) != 0)
        return -1;
    f->source = fake_source_with_syn(SYN_STATE_VERIFIED);
    return policy_store_open(f->path, &f->store, &diag);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    policy_store_freep(&f->store);
    (void)unlink(f->path);
    free(f);
    return 0;
}

static void open_rpc(struct fixture *f, size_t arena_bytes)
{
    const struct check_rpc_config config = {
        .store = f->store, .source = &f->source.base, .arena_bytes = arena_bytes};

    assert_int_equal(check_rpc_init(&f->rpc, &config), 0);
}

static struct str wire_of(struct fixture *f, const char *path)
{
    static const struct str HEADERS[][2] = {{STR_INIT("x_tcp_p0f"), STR_INIT("forged")},
                                            {STR_INIT("accept"), STR_INIT("*/*")}};
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 40000,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .path = path,
                                     .headers = HEADERS,
                                     .header_count = 2};

    return check_wire_write(&check, f->wire, sizeof(f->wire));
}

static struct str some_wire(struct fixture *f)
{
    return wire_of(f, "/");
}

static enum check_outcome ask(struct fixture *f, struct str wire, struct str *ret_reply)
{
    check_rpc_begin(&f->rpc);
    return check_rpc_answer(&f->rpc, &(struct request_wire){.message = wire}, ret_reply);
}

static void each_arena_that_is_too_small_denies(void **state)
{
    struct fixture *f = *state;
    struct str wire = some_wire(f), reply;
    enum check_outcome outcome = CHECK_OVERSIZE;
    size_t cap = 0;

    for (; outcome != CHECK_ALLOWED && cap < 2 * REPLY_BYTES_MAX; cap += cap < 8192 ? 1 : 256) {
        check_response *response;

        open_rpc(f, cap);
        outcome = ask(f, wire, &reply);
        assert_true(outcome == CHECK_OVERSIZE || outcome == CHECK_ALLOWED);
        response = check_response_read(reply);
        assert_non_null(response);
        assert_int_equal(response->status->code, outcome == CHECK_ALLOWED ? 0 : 7);
        check_response_freep(&response);
        check_rpc_done(&f->rpc);
    }
    assert_int_equal(outcome, CHECK_ALLOWED);
    assert_true(cap > REPLY_BYTES_MAX);
}

static void each_cut_of_a_request_is_malformed(void **state)
{
    struct fixture *f = *state;
    struct str wire = some_wire(f);

    open_rpc(f, CHECK_ARENA_BYTES);
    for (size_t length = 0; length < wire.len; length++) {
        struct str reply = {NULL, 0};

        assert_int_equal(ask(f, (struct str){wire.ptr, length}, &reply), CHECK_MALFORMED);
        assert_null(reply.ptr);
    }
    check_rpc_done(&f->rpc);
}

static void a_fault_has_no_reply(void **state)
{
    struct fixture *f = *state;
    struct str reply = {NULL, 0};

    f->source = fake_source_without_syn(SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    open_rpc(f, CHECK_ARENA_BYTES);
    assert_int_equal(ask(f, some_wire(f), &reply), CHECK_FAULT);
    assert_null(reply.ptr);
    check_rpc_done(&f->rpc);
}

/* Never an allow: the status is UNAVAILABLE, also for an Envoy that does not know error_response.
 */
static void a_fault_can_have_an_error_response(void **state)
{
    struct fixture *f = *state;
    const struct check_rpc_config config = {.store = f->store,
                                            .source = &f->source.base,
                                            .fault_status = 503,
                                            .arena_bytes = CHECK_ARENA_BYTES};
    struct str wire = some_wire(f), reply = {NULL, 0};
    check_response *response;

    f->source = fake_source_without_syn(SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    assert_int_equal(check_rpc_init(&f->rpc, &config), 0);
    assert_int_equal(ask(f, wire, &reply), CHECK_FAULT);
    response = check_response_read(reply);
    assert_int_equal(response->status->code, 14);
    assert_int_equal(response->http_response_case,
                     ENVOY__SERVICE__AUTH__V3__CHECK_RESPONSE__HTTP_RESPONSE_ERROR_RESPONSE);
    assert_int_equal(response->error_response->status->code, 503);
    check_response_freep(&response);

    assert_int_equal(ask(f, (struct str){wire.ptr, 1}, &reply), CHECK_MALFORMED); /* no fault */
    check_rpc_done(&f->rpc);
}

static void a_request_too_large_to_be_read_is_denied(void **state)
{
    struct fixture *f = *state;
    struct str reply;
    check_response *response;

    open_rpc(f, CHECK_ARENA_BYTES);
    check_rpc_begin(&f->rpc);
    assert_int_equal(check_rpc_refuse_size(&f->rpc, &reply), CHECK_OVERSIZE);
    response = check_response_read(reply);
    assert_int_equal(response->denied_response->status->code, 431);
    check_response_freep(&response);
    check_rpc_done(&f->rpc);
}

static const char SHADOWED[] = "version: 1\n"
                               "rules:\n"
                               "  - id: soon\n"
                               "    mode: shadow\n"
                               "    when: {http.path: /soon}\n"
                               "    then: deny\n"
                               "default: allow\n";

static void what_shadow_rules_would_answer_is_counted(void **state)
{
    static const char *const PATHS[] = {"/", "/soon", "/soon"};
    struct fixture *f = *state;
    FILE *file = fopen(f->path, "w");
    struct diag diag = {0};
    struct check_counts counts = {0};

    assert_true(file && fputs(SHADOWED, file) >= 0 && fclose(file) == 0);
    assert_int_equal(policy_store_reload(f->store, &diag), 0);
    open_rpc(f, CHECK_ARENA_BYTES);
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        struct str reply;

        assert_int_equal(ask(f, wire_of(f, PATHS[i]), &reply), CHECK_ALLOWED);
    }
    check_counts_add(&counts, &f->rpc.tally);
    assert_int_equal(counts.checks[CHECK_ALLOWED][DECISION_DEFAULT], 3);
    assert_int_equal(counts.shadowed[CHECK_ALLOWED][DECISION_DEFAULT], 2);
    check_rpc_done(&f->rpc);
}

/* --- the decision log ------------------------------------------------------------------------- */

static void open_rpc_with_log(struct fixture *f, const char *path, struct decision_log **ret_log)
{
    const struct decision_log_config to = {.destination = path,
                                           .one_allow_in = 1,
                                           .one_denial_in = 1,
                                           .writers = 1,
                                           .queue_bytes = 1 << 16};
    struct check_rpc_config config = {
        .store = f->store, .source = &f->source.base, .arena_bytes = CHECK_ARENA_BYTES};
    struct diag diag = {0};

    assert_int_equal(decision_log_open(&to, ret_log, &diag), 0);
    config.log = decision_log_writer(*ret_log, 0);
    assert_int_equal(check_rpc_init(&f->rpc, &config), 0);
}

/* What a Check says of itself, up to what differs from run to run. */
static void says(FILE *file, const char *verdict, const char *what)
{
    char line[RECORD_LINE_MAX];

    assert_non_null(fgets(line, sizeof(line), file));
    if (!strstr(line, verdict) || !strstr(line, what))
        fail_msg("neither %s nor %s in %s", verdict, what, line);
}

static void each_check_is_logged_when_its_reply_is_gone_however_it_ends(void **state)
{
    struct fixture *f = *state;
    struct check_counts counts = {0};
    struct decision_log *log;
    struct str reply;
    char path[96];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s.log", f->path);
    open_rpc_with_log(f, path, &log);
    assert_int_equal(ask(f, some_wire(f), &reply), CHECK_ALLOWED);
    check_rpc_end(&f->rpc);
    check_rpc_end(&f->rpc); /* once is enough */
    assert_int_equal(ask(f, STR("\xff"), &reply), CHECK_MALFORMED);
    check_rpc_end(&f->rpc);
    check_rpc_begin(&f->rpc);
    assert_int_equal(check_rpc_refuse_size(&f->rpc, &reply), CHECK_OVERSIZE);
    check_rpc_end(&f->rpc);
    f->source = fake_source_without_syn(SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    assert_int_equal(ask(f, some_wire(f), &reply), CHECK_FAULT);
    check_rpc_end(&f->rpc);
    assert_int_equal(decision_log_close(log, 10000), 0);

    file = fopen(path, "r");
    assert_non_null(file);
    says(file, "\"synauthz.verdict\":\"allow\",\"synauthz.reason\":\"default\"",
         "\"synauthz.p0f\":\"" FAKE_SIGNATURE "\"");
    says(file, "\"synauthz.verdict\":\"error\",\"synauthz.reason\":\"malformed\"",
         "\"client.address\":null");
    says(file, "\"synauthz.verdict\":\"deny\",\"synauthz.reason\":\"oversize\"",
         "\"url.path\":null");
    says(file, "\"synauthz.verdict\":\"error\",\"synauthz.reason\":\"fault\"",
         "\"synauthz.fingerprint.reason\":\"map_error\"");
    assert_int_equal(fgetc(file), EOF);
    (void)fclose(file);
    (void)unlink(path);
    check_counts_add(&counts, &f->rpc.tally);
    for (size_t i = 0; i < LATENCY_BOUND_COUNT; i++)
        counts.latency[LATENCY_BOUND_COUNT] += counts.latency[i];
    assert_int_equal(counts.latency[LATENCY_BOUND_COUNT], 4);
    check_rpc_done(&f->rpc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_arena_that_is_too_small_denies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_cut_of_a_request_is_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_has_no_reply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_check_is_logged_when_its_reply_is_gone_however_it_ends,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_shadow_rules_would_answer_is_counted, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_fault_can_have_an_error_response, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_too_large_to_be_read_is_denied, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
