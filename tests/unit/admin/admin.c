/* SPDX-License-Identifier: Apache-2.0 */
/* The admin server over real sockets, spoken to in plain bytes. */
#include "admin.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

enum { REPLY_MAX = 1 << 20, MANY_SAMPLES = 5000 };

struct fixture {
    struct sockaddr_storage address;
    socklen_t address_length;
    struct admin *admin;

    atomic_bool is_live, is_ready, out_of_memory, many, leaks_signals;
    char reply[REPLY_MAX];
    size_t reply_length;
};

/* --- the server's side ------------------------------------------------------------------------ */

static void on_metrics(void *context, struct metric_page *page)
{
    struct fixture *f = context;
    sigset_t blocked;

    (void)pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGHUP))
        atomic_store(&f->leaks_signals, true);
    metric_family(page, "x_things_total", METRIC_COUNTER, "things");
    for (uint64_t i = 0; i < (atomic_load(&f->many) ? MANY_SAMPLES : 1); i++)
        metric_u64(page, "x_things_total", NULL, i);
    if (atomic_load(&f->out_of_memory)) {
        metric_page_done(page);
        page->failed = true;
    }
}

static void on_config(void *context, FILE *out)
{
    (void)context;
    (void)fputs("{\"a\":1}", out);
}

static bool answer_probe(atomic_bool *state, const char *text, char why[ADMIN_WHY_MAX])
{
    if (!atomic_load(state))
        (void)snprintf(why, ADMIN_WHY_MAX, "%s", text);
    return atomic_load(state);
}

static bool on_live(void *context, char why[ADMIN_WHY_MAX])
{
    return answer_probe(&((struct fixture *)context)->is_live, "a thread hangs", why);
}

static bool on_ready(void *context, char why[ADMIN_WHY_MAX])
{
    return answer_probe(&((struct fixture *)context)->is_ready, "capture_absent: no agent", why);
}

static int listen_at(struct fixture *f, const struct sockaddr *address, socklen_t length)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, address, length), 0);
    assert_int_equal(listen(fd, SOMAXCONN), 0);
    f->address_length = sizeof(f->address);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&f->address, &f->address_length), 0);
    return fd;
}

static int start(struct fixture *f, const struct sockaddr *address, socklen_t length)
{
    const struct admin_pages pages = {
        .context = f, .metrics = on_metrics, .config = on_config, .is_live = on_live, .is_ready = on_ready};
    struct diag diag = {0};

    atomic_init(&f->is_live, true);
    atomic_init(&f->is_ready, true);
    return admin_start(listen_at(f, address, length), &pages, &f->admin, &diag);
}

static int start_tcp(void **state)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *state = calloc(1, sizeof(struct fixture));
    return start(*state, (const struct sockaddr *)&loopback, sizeof(loopback));
}

/* A name of the kernel's choice. */
static int start_unix(void **state)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};

    *state = calloc(1, sizeof(struct fixture));
    return start(*state, (const struct sockaddr *)&any, sizeof(any.sun_family));
}

static int stop(void **state)
{
    struct fixture *f = *state;

    admin_stopp(&f->admin);
    assert_null(f->admin);
    assert_false(atomic_load(&f->leaks_signals));
    free(f);
    return 0;
}

/* --- the client's side ------------------------------------------------------------------------ */

static int connect_to(const struct fixture *f)
{
    const struct timeval patience = {.tv_sec = 20};
    int fd = socket(f->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&f->address, f->address_length), 0);
    return fd;
}

static void send_all(int fd, const char *text)
{
    (void)send(fd, text, strlen(text), MSG_NOSIGNAL); /* who hangs up early is a case, too */
}

/* All that comes until the server closes, as text.  Returns false when it did not close. */
static bool read_reply(struct fixture *f, int fd)
{
    ssize_t length = 1;

    for (f->reply_length = 0; length > 0; f->reply_length += (size_t)(length > 0 ? length : 0))
        length = read(fd, f->reply + f->reply_length, REPLY_MAX - 1 - f->reply_length);
    f->reply[f->reply_length] = '\0';
    return length == 0 || errno == ECONNRESET;
}

static const char *ask(struct fixture *f, const char *request)
{
    int fd = connect_to(f);

    send_all(fd, request);
    assert_true(read_reply(f, fd));
    (void)close(fd);
    return f->reply;
}

static const char *get(struct fixture *f, const char *path)
{
    char request[256];

    (void)snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return ask(f, request);
}

static int status_of(const char *reply)
{
    return strncmp(reply, "HTTP/1.1 ", 9) == 0 ? (int)strtol(reply + 9, NULL, 10) : -1;
}

static const char *body_of(const char *reply)
{
    const char *end = strstr(reply, "\r\n\r\n");

    return end ? end + 4 : "(no end of headers)";
}

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- pages ------------------------------------------------------------------------------------ */

static void metrics_are_prometheus_text(void **state)
{
    const char *reply = get(*state, "/metrics");

    assert_int_equal(status_of(reply), 200);
    assert_non_null(
        strstr(reply, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
    assert_string_equal(body_of(reply), "# HELP x_things_total things\n"
                                        "# TYPE x_things_total counter\n"
                                        "x_things_total 0\n");
}

static void config_is_json(void **state)
{
    const char *reply = get(*state, "/config");

    assert_int_equal(status_of(reply), 200);
    assert_non_null(strstr(reply, "\r\nContent-Type: application/json\r\n"));
    assert_string_equal(body_of(reply), "{\"a\":1}\n");
}

static void probes_can_turn_both_ways(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(status_of(get(f, "/livez")), 200);
    assert_string_equal(body_of(get(f, "/readyz")), "ok\n");
    atomic_store(&f->is_ready, false);
    assert_int_equal(status_of(get(f, "/readyz")), 503);
    assert_string_equal(body_of(f->reply), "capture_absent: no agent\n");
    assert_int_equal(status_of(get(f, "/livez")), 200);
    atomic_store(&f->is_live, false);
    assert_int_equal(status_of(get(f, "/livez")), 503);
    assert_string_equal(body_of(f->reply), "a thread hangs\n");
    atomic_store(&f->is_ready, true);
    assert_int_equal(status_of(get(f, "/readyz")), 200);
}

static void without_memory_there_is_no_half_page(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->out_of_memory, true);
    assert_int_equal(status_of(get(f, "/metrics")), 500);
    assert_string_equal(body_of(f->reply), "out of memory\n");
}

static void a_long_page_comes_whole(void **state)
{
    struct fixture *f = *state;

    atomic_store(&f->many, true);
    assert_int_equal(status_of(get(f, "/metrics")), 200);
    assert_memory_equal(f->reply + f->reply_length - 6, " 4999\n", 6);
}

/* --- requests --------------------------------------------------------------------------------- */

static void what_is_asked_decides_the_status(void **state)
{
#define REST " HTTP/1.1\r\nHost: x\r\n"
    static const struct {
        const char *request;
        int status;
        const char *has;
    } ROWS[] = {
        {"GET /livez" REST "\r\n", 200, "\r\n\r\nok\n"},
        {"GET /livez?verbose=1" REST "\r\n", 200, "\r\n\r\nok\n"},
        {"GET /livez" REST "Content-Length: 0\r\n\r\n", 200, "\r\n\r\nok\n"},
        {"GET /livez" REST "\r\n", 200, "\r\nConnection: close\r\n"},
        {"GET /livez HTTP/1.0\r\n\r\n", 200, "ok\n"},
        {"GET /livez/" REST "\r\n", 404, "there are /metrics, /config, /livez and /readyz\n"},
        {"GET /" REST "\r\n", 404, "/readyz\n"},
        {"GET /../livez" REST "\r\n", 404, "/readyz\n"},
        {"GET /LIVEZ" REST "\r\n", 404, "/readyz\n"},
        {"POST /livez" REST "Content-Length: 0\r\n\r\n", 405, "\r\nAllow: GET, HEAD\r\n"},
        {"POST /livez" REST "Content-Length: 4\r\n\r\nbody", 405, "GET and HEAD"},
        {"PUT /metrics" REST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 405, "Allow: "},
        {"DELETE /metrics" REST "\r\n", 405, "Allow: "},
        {"OPTIONS *" REST "\r\n", 405, "Allow: "},
        {"CONNECT x:80" REST "\r\n", 405, "Allow: "},
        {"TRACE /livez" REST "\r\n", 405, "Allow: "},
        {"get /livez" REST "\r\n", 405, "Allow: "},
        {"BREW /livez" REST "\r\n", 405, "Allow: "},
        {"GET /livez" REST "Content-Length: 4\r\n\r\nbody", 413, "no body"},
        {"GET /livez" REST "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n", 413, "no body"},
        {"GET /livez" REST "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", 413, ""},
        {"GET /livez" REST "Content-Length: -1\r\n\r\n", 400, ""},
        {"GET /livez" REST "Content-Length: 99999999999999999999\r\n\r\n", 413, ""},
        {"GET /livez HTTP/1.1\r\n\r\n", 400, ""}, /* no Host */
        {"GET /livez HTTP/7.1\r\nHost: x\r\n\r\n", 505, ""},
    };
#undef REST

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const char *reply = ask(*state, ROWS[i].request);

        if (status_of(reply) != ROWS[i].status || !strstr(reply, ROWS[i].has))
            fail_msg("%s\n  answered\n%s", ROWS[i].request, reply);
    }
}

static void head_is_get_without_the_page(void **state)
{
    struct fixture *f = *state;
    const char *reply = ask(f, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n");

    assert_int_equal(status_of(reply), 200);
    assert_non_null(strstr(reply, "\r\nContent-Length: 3\r\n"));
    assert_string_equal(body_of(reply), "");
    atomic_store(&f->is_ready, false);
    assert_int_equal(status_of(ask(f, "HEAD /readyz HTTP/1.1\r\nHost: x\r\n\r\n")), 503);
    assert_int_equal(status_of(ask(f, "HEAD /nothing HTTP/1.1\r\nHost: x\r\n\r\n")), 404);
}

/* Bytes that are no HTTP, and HTTP that does not end: an error or a closed connection, and the
 * server answers on. */
static void hostile_bytes_do_no_harm(void **state)
{
    static const char *const ROWS[] = {
        "\r\n\r\n\r\n",       "\x16\x03\x01\x02\x00\x01",      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /livez\r\n\r\n", "GET  /livez HTTP/1.1 \r\n\r\n", ": : :\r\n: \r\n\r\n"};
    struct fixture *f = *state;
    char *huge = calloc(1, 100000);

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        (void)ask(f, ROWS[i]);
        assert_int_not_equal(status_of(f->reply), 200);
        assert_int_equal(status_of(get(f, "/livez")), 200);
    }
    memset(huge, 'a', 99999);
    memcpy(huge, "GET /", 5);
    (void)ask(f, huge); /* a path without an end */
    assert_int_not_equal(status_of(f->reply), 200);
    memcpy(huge, "GET /livez HTTP/1.1\r\nHost: x\r\na: ", 33);
    (void)ask(f, huge); /* a header without an end */
    assert_int_not_equal(status_of(f->reply), 200);
    assert_int_equal(status_of(get(f, "/livez")), 200);
    free(huge);
}

/* --- connections ------------------------------------------------------------------------------ */

static void one_byte_at_a_time_has_an_end(void **state)
{
    static const char REQUEST[] = "GET /livez HTTP/1.1\r\nHost: x\r\n";
    struct fixture *f = *state;
    const int64_t begun = now_ms();
    int fd = connect_to(f);

    for (unsigned sent = 0; now_ms() - begun < 4 * ADMIN_CONNECTION_MS; sent++) {
        struct pollfd closed = {.fd = fd, .events = POLLIN};

        if (send(fd, REQUEST + sent % 31, 1, MSG_NOSIGNAL) < 0 || poll(&closed, 1, 400) > 0)
            break;
    }
    assert_in_range(now_ms() - begun, ADMIN_CONNECTION_MS - 500, ADMIN_CONNECTION_MS + 2000);
    assert_true(read_reply(f, fd));
    assert_int_not_equal(status_of(f->reply), 200);
    (void)close(fd);
}

static void a_client_that_does_not_read_is_let_go(void **state)
{
    struct fixture *f = *state;
    const int few = 2048;
    int fd = connect_to(f);

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few)), 0);
    atomic_store(&f->many, true);
    send_all(fd, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    for (int64_t begun = now_ms(); now_ms() - begun < ADMIN_CONNECTION_MS + 1000;)
        (void)usleep(100000);
    assert_int_equal(status_of(get(f, "/livez")), 200);
    (void)close(fd);
}

/* However many sit there and say nothing, the next one is answered at once. */
static void many_silent_clients_do_not_keep_a_probe_waiting(void **state)
{
    struct fixture *f = *state;
    int silent[100];

    for (size_t i = 0; i < 100; i++)
        silent[i] = connect_to(f);
    for (unsigned i = 0; i < 50; i++) {
        const int64_t begun = now_ms();

        assert_int_equal(status_of(get(f, "/livez")), 200);
        assert_true(now_ms() - begun < 2000);
    }
    for (size_t i = 0; i < 100; i++)
        (void)close(silent[i]);
}

static void many_clients_one_after_the_other_leak_nothing(void **state)
{
    struct fixture *f = *state;
    int before = dup(0), after;

    (void)close(before);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(status_of(get(f, i % 2 ? "/livez" : "/metrics")), 200);
    after = dup(0); /* the lowest free number */
    (void)close(after);
    assert_true(after <= before + 1); /* the last connection may be closing yet */
}

static void it_ends_while_clients_are_connected(void **state)
{
    struct fixture *f = *state;
    int silent = connect_to(f), asking = connect_to(f);
    int64_t begun;

    send_all(asking, "GET /livez HTTP");
    (void)usleep(50000);
    begun = now_ms();
    admin_stopp(&f->admin);
    assert_true(now_ms() - begun < 2000);
    assert_true(read_reply(f, silent));
    assert_true(read_reply(f, asking));
    assert_int_equal(f->reply_length, 0);
    (void)close(silent);
    (void)close(asking);
}

/* A client of a unix socket may have any name, longer than an address of IP. */
static void a_client_with_a_long_name_is_answered(void **state)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    struct fixture *f = *state;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "synauthz-admin-test-%075d",
                   getpid());
    assert_int_equal(bind(fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&f->address, f->address_length), 0);
    send_all(fd, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(read_reply(f, fd));
    assert_int_equal(status_of(f->reply), 200);
    (void)close(fd);
}

#define TCP(test) cmocka_unit_test_setup_teardown(test, start_tcp, stop)
#define UNIX(test)                                                                                 \
    {                                                                                              \
#test " (unix)", test, start_unix, stop, NULL                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP(metrics_are_prometheus_text),
        TCP(config_is_json),
        UNIX(metrics_are_prometheus_text),
        TCP(probes_can_turn_both_ways),
        TCP(without_memory_there_is_no_half_page),
        TCP(a_long_page_comes_whole),
        UNIX(a_long_page_comes_whole),
        TCP(what_is_asked_decides_the_status),
        UNIX(what_is_asked_decides_the_status),
        TCP(head_is_get_without_the_page),
        TCP(hostile_bytes_do_no_harm),
        TCP(one_byte_at_a_time_has_an_end),
        UNIX(one_byte_at_a_time_has_an_end),
        TCP(a_client_that_does_not_read_is_let_go),
        UNIX(a_client_that_does_not_read_is_let_go),
        TCP(many_silent_clients_do_not_keep_a_probe_waiting),
        UNIX(many_silent_clients_do_not_keep_a_probe_waiting),
        TCP(many_clients_one_after_the_other_leak_nothing),
        TCP(it_ends_while_clients_are_connected),
        UNIX(a_client_with_a_long_name_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
