/* SPDX-License-Identifier: Apache-2.0 */
#include "decision_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"

enum { FLUSH_MS = 10000, PATIENCE_MS = 20000 };

struct fixture {
    char folder[40], path[64], other[64], socket[80];
    struct decision_log *log;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/synauthz-log-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/log", f->folder);
    (void)snprintf(f->other, sizeof(f->other), "%s/log.1", f->folder);
    (void)snprintf(f->socket, sizeof(f->socket), "unix:%s/socket", f->folder);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    (void)unlink(f->path);
    (void)unlink(f->other);
    (void)unlink(f->socket + strlen("unix:"));
    (void)rmdir(f->folder);
    free(f);
    return 0;
}

static struct decision_log_config config_to(const char *destination)
{
    return (struct decision_log_config){.destination = destination,
                                        .one_allow_in = 1,
                                        .one_denial_in = 1,
                                        .writers = 1,
                                        .queue_bytes = 1};
}

static void open_log(struct fixture *f, const struct decision_log_config *config)
{
    struct diag diag = {0};

    if (decision_log_open(config, &f->log, &diag) < 0)
        fail_msg("%s", diag.text);
}

/* A line of which only the decision's id matters. */
static void put(struct fixture *f, unsigned writer, unsigned number)
{
    char id[33];
    struct decision_record record = {.outcome = RECORD_OVERSIZE, .decision_id = {id, 32}};

    (void)snprintf(id, sizeof(id), "%016x%016x", writer, number);
    decision_writer_put(decision_log_writer(f->log, writer), &record);
}

static struct decision_log_counts counts_of(struct fixture *f)
{
    struct decision_log_counts counts;

    decision_log_get_counts(f->log, &counts);
    return counts;
}

static void nap(void)
{
    (void)poll(NULL, 0, 5);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        const uint64_t end_ms = now_ms() + PATIENCE_MS;                                            \
                                                                                                   \
        while (!(condition)) {                                                                     \
            assert_true(now_ms() < end_ms);                                                        \
            nap();                                                                                 \
        }                                                                                          \
    } while (0)

/* The numbers of the lines of one writer in a file, which have to rise by one from `next`; returns
 * the one that would follow. */
static unsigned follow(const char *path, unsigned writer, unsigned next)
{
    CLEANUP(fclosep) FILE *file = fopen(path, "r");
    char line[RECORD_LINE_MAX];

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        const char *id = strstr(line, "\"synauthz.decision_id\":\"");
        unsigned of, number;

        assert_int_equal(line[0], '{');
        assert_memory_equal(line + strlen(line) - 2, "}\n", 2);
        assert_non_null(id);
        assert_int_equal(sscanf(id + 24, "%16x%16x", &of, &number), 2);
        if (of == writer)
            assert_int_equal(number, next++);
    }
    return next;
}

/* --- files ------------------------------------------------------------------------------------ */

static void what_was_put_is_in_the_file_when_it_ends(void **state)
{
    struct fixture *f = *state;
    const struct decision_log_config config = config_to(f->path);
    struct stat st;

    open_log(f, &config);
    for (unsigned i = 0; i < 10; i++)
        put(f, 0, i);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
    assert_int_equal(follow(f->path, 0, 0), 10);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777 & ~0640, 0);
    open_log(f, &config); /* appended to */
    put(f, 0, 10);
    WAIT_FOR(counts_of(f).waiting_bytes == 0); /* without an end, too */
    assert_int_equal(follow(f->path, 0, 0), 11);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

static void a_file_that_was_rotated_away_is_left_and_nothing_is_lost(void **state)
{
    enum { ROTATED_AT = 2000, LINES = 4000 };
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    struct diag diag = {0};
    unsigned next;

    config.queue_bytes = 16 << 20;
    open_log(f, &config);
    for (unsigned i = 0; i < LINES; i++) {
        if (i == ROTATED_AT) {
            WAIT_FOR(counts_of(f).waiting_bytes == 0);
            assert_int_equal(rename(f->path, f->other), 0);
            assert_int_equal(decision_log_reopen(f->log, &diag), 0);
        }
        put(f, 0, i);
    }
    assert_int_equal(counts_of(f).queue_full, 0);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
    next = follow(f->other, 0, 0);
    assert_true(next >= ROTATED_AT && next < LINES);
    assert_int_equal(follow(f->path, 0, next), LINES);
}

static void a_file_that_cannot_be_opened_is_said_and_it_goes_on_as_it_was(void **state)
{
    struct fixture *f = *state;
    const struct decision_log_config config = config_to(f->path);
    const struct decision_log_config wrong = config_to("/no/such/folder/log");
    struct decision_log *log = NULL;
    struct diag diag = {0};

    assert_int_equal(decision_log_open(&wrong, &log, &diag), -ENOENT);
    assert_string_equal(diag.text, "/no/such/folder/log: cannot open it to write: "
                                   "No such file or directory");
    assert_null(log);
    open_log(f, &config);
    put(f, 0, 0);
    WAIT_FOR(counts_of(f).waiting_bytes == 0);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0); /* in its place */
    diag_clear(&diag);
    assert_int_equal(decision_log_reopen(f->log, &diag), -EISDIR);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

/* A file that may not grow is as good as a full disk. */
static void a_full_disk_stops_nobody_and_what_waits_is_written_when_there_is_room(void **state)
{
    enum { LINES = 40, LIMIT = 10000 };
    struct fixture *f = *state;
    const struct decision_log_config config = config_to(f->path);
    struct rlimit before, low;
    uint64_t queued;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit){.rlim_cur = LIMIT, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    open_log(f, &config);
    for (unsigned i = 0; i < LINES; i++)
        put(f, 0, i);
    WAIT_FOR(counts_of(f).write_failures >= 2);
    assert_int_equal(counts_of(f).last_error, EFBIG);
    assert_true(counts_of(f).queue_full > 0); /* 16 KiB */
    queued = counts_of(f).queued;
    assert_int_equal(queued + counts_of(f).queue_full, LINES);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    WAIT_FOR(counts_of(f).waiting_bytes == 0);
    assert_int_equal(counts_of(f).last_error, 0);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
    assert_int_equal(follow(f->path, 0, 0), queued); /* none torn where the disk was full */
}

/* --- those that do not read ------------------------------------------------------------------- */

static void a_pipe_that_nobody_empties_delays_nobody(void **state)
{
    enum { LINES = 3000, LINE_BYTES = 700 };
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    struct decision_log_counts counts;
    CLEANUP(closep) int reader = -1;
    uint64_t began_ms;

    assert_int_equal(mkfifo(f->path, 0600), 0);
    reader = open(f->path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    config.queue_bytes = 64 << 10;
    open_log(f, &config);
    began_ms = now_ms();
    for (unsigned i = 0; i < LINES; i++) /* much more than pipe and queue hold */
        put(f, 0, i);
    assert_true(now_ms() - began_ms < PATIENCE_MS);
    counts = counts_of(f);
    assert_int_equal(counts.queued + counts.queue_full, LINES);
    assert_true(counts.queue_full > LINES / 2);
    began_ms = now_ms();
    assert_true(decision_log_close(f->log, 100) > LINE_BYTES); /* nor does it delay the end */
    assert_true(now_ms() - began_ms < PATIENCE_MS);
}

static void a_pipe_without_a_reader_is_said(void **state)
{
    struct fixture *f = *state;
    const struct decision_log_config config = config_to(f->path);
    struct decision_log *log = NULL;
    struct diag diag = {0};

    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(decision_log_open(&config, &log, &diag), -ENXIO);
    assert_non_null(strstr(diag.text, "nobody reads from it"));
}

static void what_a_slow_reader_takes_is_whole_and_in_order(void **state)
{
    enum { LINES = 500 };
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    CLEANUP(closep) int reader = -1, copy = -1;
    char bytes[1000];
    ssize_t length;

    assert_int_equal(mkfifo(f->path, 0600), 0);
    reader = open(f->path, O_RDONLY | O_NONBLOCK);
    copy = open(f->other, O_WRONLY | O_CREAT, 0600);
    config.queue_bytes = 1 << 20;
    open_log(f, &config);
    for (unsigned i = 0; i < LINES; i++)
        put(f, 0, i);
    assert_int_equal(counts_of(f).queue_full, 0);
    while (counts_of(f).waiting_bytes > 0) {
        length = read(reader, bytes, sizeof(bytes));
        if (length > 0)
            assert_int_equal(write(copy, bytes, (size_t)length), length);
        else
            nap();
    }
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
    while ((length = read(reader, bytes, sizeof(bytes))) > 0)
        assert_int_equal(write(copy, bytes, (size_t)length), length);
    assert_int_equal(follow(f->other, 0, 0), LINES);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static int receiver_at(const struct fixture *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket + strlen("unix:"));
    (void)unlink(address.sun_path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void receive(int fd, unsigned number)
{
    char line[RECORD_LINE_MAX], id[64];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t length;

    assert_int_equal(poll(&ready, 1, PATIENCE_MS), 1);
    length = recv(fd, line, sizeof(line) - 1, 0);
    assert_true(length > 2);
    line[length] = '\0';
    assert_memory_equal(line + length - 2, "}\n", 2);
    (void)snprintf(id, sizeof(id), "\"%016x%016x\"", 0, number);
    assert_non_null(strstr(line, id));
}

static void each_line_is_a_datagram_and_a_slow_receiver_gets_all(void **state)
{
    enum { LINES = 300 }; /* many more than a socket queues */
    struct fixture *f = *state;
    CLEANUP(closep) int receiver = receiver_at(f);
    struct decision_log_config config = config_to(f->socket);

    config.queue_bytes = 1 << 20;
    open_log(f, &config);
    for (unsigned i = 0; i < LINES; i++)
        put(f, 0, i);
    for (unsigned i = 0; i < LINES; i++)
        receive(receiver, i);
    assert_int_equal(counts_of(f).no_receiver + counts_of(f).queue_full, 0);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

static void without_a_receiver_lines_are_dropped_until_there_is_one(void **state)
{
    struct fixture *f = *state;
    const struct decision_log_config config = config_to(f->socket);
    int receiver;

    open_log(f, &config);
    put(f, 0, 0);
    WAIT_FOR(counts_of(f).no_receiver == 1);
    for (unsigned life = 1; life < 3; life++) { /* and again when another takes its place */
        receiver = receiver_at(f);
        (void)poll(NULL, 0, 250); /* it is not looked for all the time */
        put(f, 0, life);
        receive(receiver, life);
        (void)close(receiver);
    }
    assert_int_equal(counts_of(f).no_receiver, 1);
    put(f, 0, 3);
    WAIT_FOR(counts_of(f).no_receiver == 2);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

/* --- choosing --------------------------------------------------------------------------------- */

static unsigned chosen(struct decision_writer *writer, struct decision_record *record)
{
    unsigned count = 0;

    for (uint64_t number = 0; number < 10000; number++)
        count += decision_writer_wants(writer, record, number);
    return count;
}

static void one_in_so_many_is_chosen_of_each_kind(void **state)
{
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    struct decision decision = {.verdict = VERDICT_ALLOW, .would_be = VERDICT_ALLOW};
    struct decision_record record = {.outcome = RECORD_DECIDED, .decision = &decision};
    struct decision_writer *writer;

    config.one_allow_in = 100;
    open_log(f, &config);
    writer = decision_log_writer(f->log, 0);
    assert_in_range(chosen(writer, &record), 50, 150);
    assert_int_equal(record.sample, 100);
    assert_in_range(counts_of(f).skipped, 9850, 9950);
    decision.would_be = VERDICT_DENY; /* what an operator wants to see of a shadow rule */
    assert_int_equal(chosen(writer, &record), 10000);
    assert_int_equal(record.sample, 1);
    decision.verdict = VERDICT_DENY;
    assert_int_equal(chosen(writer, &record), 10000);
    record.outcome = RECORD_FAULT;
    record.decision = NULL;
    assert_int_equal(chosen(writer, &record), 10000);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

static void denials_alone_can_be_chosen(void **state)
{
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    struct decision decision = {.verdict = VERDICT_ALLOW, .would_be = VERDICT_ALLOW};
    struct decision_record record = {.outcome = RECORD_DECIDED, .decision = &decision};

    config.one_allow_in = 0;
    config.one_denial_in = 10;
    open_log(f, &config);
    assert_int_equal(chosen(decision_log_writer(f->log, 0), &record), 0);
    decision.verdict = VERDICT_DENY;
    assert_in_range(chosen(decision_log_writer(f->log, 0), &record), 800, 1200);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
}

/* --- many threads ----------------------------------------------------------------------------- */

enum { THREADS = 4, LINES_EACH = 5000 };

struct stress {
    struct fixture *fixture;
    unsigned writer;
    pthread_t thread;
};

static void *put_many(void *context)
{
    const struct stress *stress = context;

    for (unsigned i = 0; i < LINES_EACH; i++) {
        put(stress->fixture, stress->writer, i);
        if (i % 1000 == 999)
            (void)poll(NULL, 0, 20); /* so that the writer goes to sleep now and then */
    }
    return NULL;
}

static void of_many_threads_all_lines_arrive_while_the_file_is_opened_again(void **state)
{
    struct fixture *f = *state;
    struct decision_log_config config = config_to(f->path);
    struct stress stress[THREADS];
    struct diag diag = {0};

    config.writers = THREADS;
    config.queue_bytes = 8 << 20;
    open_log(f, &config);
    for (unsigned i = 0; i < THREADS; i++) {
        stress[i] = (struct stress){.fixture = f, .writer = i};
        assert_int_equal(pthread_create(&stress[i].thread, NULL, put_many, &stress[i]), 0);
    }
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(decision_log_reopen(f->log, &diag), 0);
        (void)counts_of(f);
        nap();
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(stress[i].thread, NULL), 0);
    assert_int_equal(counts_of(f).queued, THREADS * LINES_EACH);
    assert_int_equal(decision_log_close(f->log, FLUSH_MS), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(follow(f->path, i, 0), LINES_EACH);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_put_is_in_the_file_when_it_ends),
        CASE(a_file_that_was_rotated_away_is_left_and_nothing_is_lost),
        CASE(a_file_that_cannot_be_opened_is_said_and_it_goes_on_as_it_was),
        CASE(a_full_disk_stops_nobody_and_what_waits_is_written_when_there_is_room),
        CASE(a_pipe_that_nobody_empties_delays_nobody),
        CASE(a_pipe_without_a_reader_is_said),
        CASE(what_a_slow_reader_takes_is_whole_and_in_order),
        CASE(each_line_is_a_datagram_and_a_slow_receiver_gets_all),
        CASE(without_a_receiver_lines_are_dropped_until_there_is_one),
        CASE(one_in_so_many_is_chosen_of_each_kind),
        CASE(denials_alone_can_be_chosen),
        CASE(of_many_threads_all_lines_arrive_while_the_file_is_opened_again),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
