/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a real server in this process, and sockets that are none. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_source.h"
#include "health_client.h"
#include "policy_store.h"
#include "server.h"

struct fixture {
    char folder[64], policy_path[96], addresses[4][128];
    struct policy_store *store;
    struct fake_source source;
    struct listener listeners[4];
    struct server *server;
};

enum { LISTENERS = 4 };

static int write_policy(const char *path)
{
    FILE *file = fopen(path, "w");

    if (!file)
        return -1;
    (void)fputs("version: 1\nrules: []\ndefault: allow\n", file);
    return fclose(file);
}

/* An address of IP with a port that is free, by trying. */
static int open_any_port(const char *host, char address[128], struct listener *listener)
{
    for (int tries = 0; tries < 50; tries++) {
        struct diag diag = {0};

        (void)snprintf(address, 128, "%s:%d", host, 20000 + (getpid() + tries * 97) % 10000);
        if (listener_open(str_from(address), listener, &diag) == 0)
            return 0;
    }
    return -1;
}

static int open_listeners(struct fixture *f)
{
    struct diag diag = {0};

    (void)snprintf(f->addresses[0], sizeof(f->addresses[0]), "unix:%s/a b%%20?#.sock", f->folder);
    (void)snprintf(f->addresses[1], sizeof(f->addresses[1]), "unix:@synauthz-health-%d", getpid());
    for (unsigned i = 0; i < 2; i++)
        if (listener_open(str_from(f->addresses[i]), &f->listeners[i], &diag) < 0)
            return -1;
    if (open_any_port("127.0.0.1", f->addresses[2], &f->listeners[2]) < 0)
        return -1;
    return open_any_port("[::1]", f->addresses[3], &f->listeners[3]);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct server_config config = {.listeners = f->listeners, .listener_count = 4, .threads = 2};
    struct diag diag = {0};

    *state = f;
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/synauthz-health-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->policy_path, sizeof(f->policy_path), "%s/policy.yaml", f->folder);
    f->source = fake_source_with_syn(SYN_STATE_VERIFIED);
    if (write_policy(f->policy_path) < 0 ||
        policy_store_open(f->policy_path, &f->store, &diag) < 0 || open_listeners(f) < 0)
        return -1;
    config.store = f->store;
    config.source = &f->source.base;
    return server_start(&config, &f->server, &diag);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    server_stop(f->server, 0);
    for (unsigned i = 0; i < LISTENERS; i++)
        listener_done(&f->listeners[i]);
    policy_store_freep(&f->store);
    (void)unlink(f->addresses[0] + strlen("unix:"));
    (void)unlink(f->policy_path);
    (void)rmdir(f->folder);
    free(f);
    return 0;
}

static bool ask(const char *address, const char *service, char why[HEALTH_WHY_MAX])
{
    const struct health_question question = {
        .address = address, .service = service, .timeout_ms = 5000};
    struct diag diag = {0};
    bool is_serving;

    assert_int_equal(health_client_ask(&question, &is_serving, why, &diag), 0);
    return is_serving;
}

static void every_form_of_address_is_reached(void **state)
{
    struct fixture *f = *state;
    char why[HEALTH_WHY_MAX];

    for (unsigned i = 0; i < LISTENERS; i++)
        if (!ask(f->addresses[i], "", why))
            fail_msg("%s: %s", f->addresses[i], why);
}

static void what_is_not_serving_says_so(void **state)
{
    struct fixture *f = *state;
    char why[HEALTH_WHY_MAX];

    assert_true(ask(f->addresses[0], "envoy.service.auth.v3.Authorization", why));
    assert_false(ask(f->addresses[0], "envoy.service.auth.v3.authorisation", why));
    assert_non_null(strstr(why, "no such service"));
    server_set_serving(f->server, false);
    assert_false(ask(f->addresses[0], "", why));
    assert_string_equal(why, "NOT_SERVING");
    server_set_serving(f->server, true);
    assert_true(ask(f->addresses[0], "", why));
}

static void nobody_there_is_an_answer_too(void **state)
{
    char why[HEALTH_WHY_MAX] = "";

    (void)state;
    assert_false(ask("unix:@synauthz-nobody-listens-here", "", why));
    assert_non_null(strstr(why, "gRPC status 14"));
    assert_false(ask("unix:/no/such/folder", "", why));
    assert_false(ask("127.0.0.1:1", "", why));
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* It listens, and that is all. */
static void silence_has_an_end(void **state)
{
    struct health_question question = {.service = "", .timeout_ms = 1000};
    struct listener silent;
    struct diag diag = {0};
    char address[64], why[HEALTH_WHY_MAX];
    int64_t begun = now_ms();
    bool is_serving = true;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:@synauthz-silent-%d", getpid());
    assert_int_equal(listener_open(str_from(address), &silent, &diag), 0);
    question.address = address;
    assert_int_equal(health_client_ask(&question, &is_serving, why, &diag), 0);
    assert_false(is_serving);
    assert_in_range(now_ms() - begun, 900, 4000);
    assert_string_equal(why, "no answer within 1000 ms");
    listener_done(&silent);
}

/* Answers connections with bytes that are no HTTP/2, until it is told to end. */
struct babbler {
    struct listener listener;
    atomic_bool end;
};

static void *babble(void *context)
{
    struct babbler *babbler = context;

    while (!atomic_load(&babbler->end)) {
        int fd = accept(babbler->listener.fd, NULL, NULL);

        if (fd >= 0) {
            (void)send(fd, "HTTP/1.1 200 OK\r\n\r\nSERVING", 26, MSG_NOSIGNAL);
            (void)close(fd);
        }
        (void)usleep(1000);
    }
    return NULL;
}

static void other_protocols_are_not_serving(void **state)
{
    struct babbler babbler = {.end = false};
    struct diag diag = {0};
    char address[64], why[HEALTH_WHY_MAX];
    pthread_t thread;

    (void)state;
    (void)snprintf(address, sizeof(address), "unix:@synauthz-babble-%d", getpid());
    assert_int_equal(listener_open(str_from(address), &babbler.listener, &diag), 0);
    assert_int_equal(pthread_create(&thread, NULL, babble, &babbler), 0);
    assert_false(ask(address, "", why));
    atomic_store(&babbler.end, true);
    (void)pthread_join(thread, NULL);
    listener_done(&babbler.listener);
}

static void addresses_that_are_none_are_explained(void **state)
{
    static const char *const ROWS[] = {
        "",       "localhost:80",      "127.0.0.1",           "::1:80",   "unix:",
        "unix:x", "unix:/x,mode=0660", "http://127.0.0.1:80", "unix:/x,y"};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct diag diag = {0};

        assert_int_equal(health_address_check(str_from(ROWS[i]), &diag), -EINVAL);
        assert_non_null(strstr(diag.text, "expected"));
    }
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(every_form_of_address_is_reached),
        SERVER_TEST(what_is_not_serving_says_so),
        cmocka_unit_test(nobody_there_is_an_answer_too),
        cmocka_unit_test(silence_has_an_end),
        cmocka_unit_test(other_protocols_are_not_serving),
        cmocka_unit_test(addresses_that_are_none_are_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
