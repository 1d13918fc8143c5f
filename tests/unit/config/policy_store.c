/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_store.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "cleanup.h"
#include "policy.h"
#include "rule_series.h"

#define POLICY(verdict) "version: 1\nrules: []\ndefault: " verdict "\n"

struct fixture {
    char path[64];
    struct policy_store *store;
};

static void write_file(const char *path, const char *text)
{
    CLEANUP(fclosep) FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct diag diag = {0};
    int fd;

    assert_non_null(fixture);
    (void)strcpy(fixture->path, "/tmp/synauthz-store-XXXXXX");
    fd = mkstemp(fixture->path);
    assert_true(fd >= 0);
    closep(&fd);
    write_file(fixture->path, POLICY("deny"));
    assert_int_equal(policy_store_open(fixture->path, &fixture->store, &diag), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    policy_store_freep(&fixture->store);
    (void)unlink(fixture->path);
    free(fixture);
    return 0;
}

static enum verdict current(struct policy_reader *reader, struct policy_store *store)
{
    return policy_reader_get(reader, store)->default_verdict;
}

static void a_reader_sees_the_reloaded_policy(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(policy_reader_done) struct policy_reader reader = {0};
    struct diag diag = {0};

    assert_int_equal(current(&reader, fixture->store), VERDICT_DENY);
    write_file(fixture->path, POLICY("allow"));
    assert_int_equal(current(&reader, fixture->store), VERDICT_DENY);
    assert_int_equal(policy_store_reload(fixture->store, &diag), 0);
    assert_int_equal(current(&reader, fixture->store), VERDICT_ALLOW);
}

static void a_failed_reload_keeps_the_last_good_policy(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP(policy_reader_done) struct policy_reader reader = {0};
    const struct policy *before = policy_reader_get(&reader, fixture->store);
    struct diag diag = {0};

    write_file(fixture->path, "version: 2\n");
    assert_int_equal(policy_store_reload(fixture->store, &diag), -EINVAL);
    assert_string_equal(diag.text, "found \"2\", expected 1");
    assert_string_equal(diag.file, fixture->path);
    assert_ptr_equal(policy_reader_get(&reader, fixture->store), before);

    diag_clear(&diag);
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(policy_store_reload(fixture->store, &diag), -ENOENT);
    assert_string_equal(diag.text, "cannot read the file: No such file or directory");
    assert_ptr_equal(policy_reader_get(&reader, fixture->store), before);
}

static void a_store_can_move_to_another_file(void **state)
{
    struct fixture *fixture = *state;
    struct policy_reader reader = {0};
    char other[96], broken[96];
    struct diag diag = {0};

    (void)snprintf(other, sizeof(other), "%s.other", fixture->path);
    (void)snprintf(broken, sizeof(broken), "%s.broken", fixture->path);
    write_file(other, POLICY("allow"));
    write_file(broken, "version: 1\n");
    assert_true(policy_store_move(fixture->store, broken, &diag) < 0);
    assert_non_null(strstr(diag.file, ".broken"));
    assert_int_equal(current(&reader, fixture->store), VERDICT_DENY);
    diag_clear(&diag);
    assert_int_equal(policy_store_reload(fixture->store, &diag), 0); /* of the file as before */
    assert_int_equal(current(&reader, fixture->store), VERDICT_DENY);
    assert_int_equal(policy_store_move(fixture->store, other, &diag), 0);
    assert_int_equal(current(&reader, fixture->store), VERDICT_ALLOW);
    write_file(other, POLICY("deny"));
    assert_int_equal(policy_store_reload(fixture->store, &diag), 0); /* of the other one */
    assert_int_equal(current(&reader, fixture->store), VERDICT_DENY);
    policy_reader_done(&reader);
    (void)unlink(other);
    (void)unlink(broken);
}

static void a_store_opens_only_with_a_good_policy(void **state)
{
    struct policy_store *store = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(policy_store_open("/nonexistent/policy.yaml", &store, &diag), -ENOENT);
    assert_null(store);
}

static void headers_for_others_are_read_by_each_policy_and_rules_have_numbers(void **state)
{
    static const char RULES[] = "version: 1\nrules: [{id: one, then: allow}]\ndefault: deny\n";
    static const struct str NAMES[] = {STR_INIT("x-one"), STR_INIT("x-two")};
    struct fixture *fixture = *state;
    CLEANUP(policy_reader_done) struct policy_reader reader = {0};
    struct rule_series_name names[RULE_SERIES_COUNT_];
    struct diag diag = {0};

    assert_int_equal(policy_store_read_headers(fixture->store, NAMES, 2), 0);
    for (unsigned load = 0; load < 2; load++) {
        const struct policy *policy = policy_reader_get(&reader, fixture->store);

        assert_true(header_table_match(policy->headers, NAMES[0]).read_slot >= 0);
        assert_true(header_table_match(policy->headers, NAMES[1]).read_slot >= 0);
        write_file(fixture->path, RULES);
        assert_int_equal(policy_store_reload(fixture->store, &diag), 0);
    }
    assert_int_equal(policy_reader_get(&reader, fixture->store)->rules[0].series, 1);
    assert_int_equal(rule_series_names(policy_store_series(fixture->store), names), 1);
    assert_string_equal(names[1].rule, "one");
}

static void a_policy_outlives_its_store_in_a_reader(void **state)
{
    struct fixture *fixture = *state;
    struct policy_reader reader = {0};
    const struct policy *policy = policy_reader_get(&reader, fixture->store);

    policy_store_freep(&fixture->store);
    assert_string_equal(policy->file, fixture->path);
    policy_reader_done(&reader);
    policy_reader_done(&reader); /* a reader that holds nothing */
}

/* --- threads: AddressSanitizer sees a policy freed too early, ThreadSanitizer a race */

enum { THREADS = 4, RELOADS = 60 };

struct hammer {
    struct policy_store *store;
    atomic_bool stop;
    atomic_uint seen[VERDICT_COUNT_];
};

static void *read_until_stopped(void *argument)
{
    struct hammer *hammer = argument;
    CLEANUP(policy_reader_done) struct policy_reader reader = {0};

    while (!atomic_load(&hammer->stop)) {
        const struct policy *policy = policy_reader_get(&reader, hammer->store);

        atomic_fetch_add(&hammer->seen[policy->default_verdict], strlen(policy->revision) == 12);
    }
    return NULL;
}

static void reloads_and_readers_do_not_wait_for_each_other(void **state)
{
    struct fixture *fixture = *state;
    struct hammer hammer = {.store = fixture->store};
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_until_stopped, &hammer), 0);
    for (int i = 0; i < RELOADS; i++) {
        unsigned before = atomic_load(&hammer.seen[i % 2]);
        struct diag diag = {0};

        write_file(fixture->path, i % 2 == VERDICT_ALLOW ? POLICY("allow") : POLICY("deny"));
        assert_int_equal(policy_store_reload(fixture->store, &diag), 0);
        while (atomic_load(&hammer.seen[i % 2]) == before) /* somebody sees each policy */
            (void)sched_yield();
    }
    atomic_store(&hammer.stop, true);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_sees_the_reloaded_policy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_reload_keeps_the_last_good_policy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_store_can_move_to_another_file, set_up, tear_down),
        cmocka_unit_test(a_store_opens_only_with_a_good_policy),
        cmocka_unit_test_setup_teardown(
            headers_for_others_are_read_by_each_policy_and_rules_have_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_policy_outlives_its_store_in_a_reader, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reloads_and_readers_do_not_wait_for_each_other, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
