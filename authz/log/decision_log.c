/* SPDX-License-Identifier: Apache-2.0 */
#include "decision_log.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "beat.h"
#include "cleanup.h"
#include "log_queue.h"
#include "log_sink.h"

enum {
    PAUSE_MS = 50,  /* between two rounds: lines gather, and are written together */
    RETRY_MS = 200, /* after a failure */
    FULL_MS = 1000, /* looked at again when the destination takes nothing */
    JOIN_MS = 1000, /* for a thread that hangs in a write */
};

/* What has to happen for the writing thread to be woken by one that answers. */
enum waiting {
    WAITING_NOT = 0,
    WAITING_FOR_ANY,  /* line: all queues were empty */
    WAITING_FOR_HALF, /* of a queue: it comes by itself soon */
};

struct decision_writer {
    struct decision_log *log;
    struct log_queue queue;
    atomic_uint_fast64_t queued, skipped, full; /* its own thread's */
    uint64_t salt;
    char line[RECORD_LINE_MAX];
};

struct decision_log {
    struct decision_log_config config;
    struct decision_writer **writers;
    unsigned writer_count;
    pthread_t thread;
    int wake_fd;
    atomic_int waiting;
    atomic_bool is_ending;
    atomic_uint_fast64_t end_ms; /* of the flush, then */

    pthread_mutex_t lock; /* of the sink that is to be used from now on */
    bool has_next;
    struct log_sink next;

    /* the writing thread's */
    struct log_sink sink;
    unsigned at;    /* the queue that is written */
    size_t written; /* of its first line, which is not done with before its end */

    atomic_uint_fast64_t no_receiver, write_failures;
    atomic_int last_error;
};

static void wake(const struct decision_log *log)
{
    (void)eventfd_write(log->wake_fd, 1);
}

/* --- the threads that answer ------------------------------------------------------------------ */

static void count(atomic_uint_fast64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Spreads numbers that follow each other (the finalizer of MurmurHash3 by A. Appleby), so that no
 * pattern among Checks meets the pattern of a sample. */
static uint64_t spread(uint64_t number)
{
    number ^= number >> 33;
    number *= UINT64_C(0xff51afd7ed558ccd);
    number ^= number >> 33;
    number *= UINT64_C(0xc4ceb9fe1a85ec53);
    return number ^ number >> 33;
}

static bool is_plain_allow(const struct decision_record *record)
{
    const struct decision *decision = record->decision;

    return record->outcome == RECORD_DECIDED && decision->verdict == VERDICT_ALLOW &&
           decision->would_be == VERDICT_ALLOW;
}

bool decision_writer_wants(struct decision_writer *writer, struct decision_record *record,
                           uint64_t number)
{
    const struct decision_log_config *config = &writer->log->config;
    const uint64_t one_in = is_plain_allow(record) ? config->one_allow_in : config->one_denial_in;

    record->sample = one_in;
    if (one_in == 1 || (one_in > 1 && spread(number + writer->salt) % one_in == 0))
        return true;
    count(&writer->skipped);
    return false;
}

static void wake_if_it_waits(struct decision_writer *writer)
{
    struct decision_log *log = writer->log;
    const int waiting = atomic_load(&log->waiting);

    if (waiting == WAITING_NOT ||
        (waiting == WAITING_FOR_HALF && log_queue_used(&writer->queue) < writer->queue.size / 2))
        return;
    if (atomic_exchange(&log->waiting, WAITING_NOT) != WAITING_NOT)
        wake(log);
}

void decision_writer_put(struct decision_writer *writer, const struct decision_record *record)
{
    const size_t length =
        decision_record_write(record, &writer->log->config.settings, writer->line);

    if (log_queue_put(&writer->queue, writer->line, length))
        count(&writer->queued);
    else
        count(&writer->full);
    wake_if_it_waits(writer);
}

/* --- the thread that writes: one round -------------------------------------------------------- */

enum round {
    ROUND_EMPTY = 0, /* there was nothing */
    ROUND_WRITTEN,
    ROUND_FULL,   /* the destination takes no more now */
    ROUND_FAILED, /* it has an error */
};

static void use_next_sink(struct decision_log *log)
{
    (void)pthread_mutex_lock(&log->lock);
    if (log->has_next) {
        log_sink_done(&log->sink);
        log->sink = log->next;
        log->has_next = false;
        log->written = 0; /* the new one gets the whole line */
    }
    (void)pthread_mutex_unlock(&log->lock);
}

/* Without the first `count` bytes. */
static void skip(struct iovec spans[2], size_t count)
{
    const size_t first = count < spans[0].iov_len ? count : spans[0].iov_len;

    spans[0].iov_base = (char *)spans[0].iov_base + first;
    spans[0].iov_len -= first;
    spans[1].iov_base = (char *)spans[1].iov_base + (count - first);
    spans[1].iov_len -= count - first;
}

static size_t last_line_end(const struct iovec *span, size_t length)
{
    const char *newline = length ? memrchr(span->iov_base, '\n', length) : NULL;

    return newline ? (size_t)(newline - (const char *)span->iov_base) + 1 : 0;
}

/* How many of the first `count` bytes are whole lines. */
static size_t whole_lines(const struct iovec spans[2], size_t count)
{
    const size_t first = count < spans[0].iov_len ? count : spans[0].iov_len;
    const size_t in_second = last_line_end(&spans[1], count - first);

    return in_second ? first + in_second : last_line_end(&spans[0], first);
}

/* Bytes of the queue that is at the front were written: lines that are complete leave it. */
static void advance(struct decision_log *log, struct log_queue *queue, size_t count)
{
    struct iovec spans[2];
    const size_t waiting = log_queue_peek(queue, spans);
    const size_t all = log->written + count;
    const size_t whole = all == waiting ? all : whole_lines(spans, all);

    log->written = all - whole;
    log_queue_take(queue, whole);
}

/* Returns 0 when all is written that was there at the beginning; or what log_sink_write() says. */
static ssize_t write_queue(struct decision_log *log, struct log_queue *queue)
{
    size_t left = log_queue_used(queue);

    left -= log->written;
    while (left > 0) {
        struct iovec spans[2];
        uint64_t lost = 0;
        ssize_t written;

        (void)log_queue_peek(queue, spans);
        skip(spans, log->written);
        written = log_sink_write(&log->sink, spans, &lost);
        if (written < 0)
            return written;
        atomic_fetch_add_explicit(&log->no_receiver, lost, memory_order_relaxed);
        advance(log, queue, (size_t)written);
        left = (size_t)written < left ? left - (size_t)written : 0;
    }
    return 0;
}

static enum round failed(struct decision_log *log, int error)
{
    if (error == EAGAIN)
        return ROUND_FULL;
    atomic_store_explicit(&log->last_error, error, memory_order_relaxed);
    (void)atomic_fetch_add_explicit(&log->write_failures, 1, memory_order_relaxed);
    return ROUND_FAILED;
}

/* Once through all queues; the next round goes on where this one came to a stop. */
static enum round run_round(struct decision_log *log)
{
    enum round round = ROUND_EMPTY;

    for (unsigned i = 0; i < log->writer_count; i++) {
        struct log_queue *queue = &log->writers[log->at]->queue;

        if (log_queue_used(queue) > 0) {
            ssize_t r = write_queue(log, queue);

            if (r < 0)
                return failed(log, (int)-r);
            atomic_store_explicit(&log->last_error, 0, memory_order_relaxed);
            round = ROUND_WRITTEN;
        }
        if (log->written == 0) /* else its line goes first */
            log->at = (log->at + 1) % log->writer_count;
    }
    return round;
}

/* --- the thread that writes: between rounds --------------------------------------------------- */

static bool has_lines(const struct decision_log *log)
{
    for (unsigned i = 0; i < log->writer_count; i++)
        if (atomic_load(&log->writers[i]->queue.head) != atomic_load(&log->writers[i]->queue.tail))
            return true;
    return false;
}

static void rest(struct decision_log *log, enum waiting until, bool until_writable, int at_most_ms)
{
    struct pollfd events[] = {
        {.fd = log->wake_fd, .events = POLLIN},
        {.fd = until_writable ? log->sink.fd : -1, .events = POLLOUT},
    };
    eventfd_t unused;

    atomic_store(&log->waiting, until);
    if (until == WAITING_FOR_ANY && has_lines(log)) /* put after the round, before the store */
        at_most_ms = 0;
    (void)poll(events, 2, at_most_ms);
    atomic_store(&log->waiting, WAITING_NOT);
    (void)eventfd_read(log->wake_fd, &unused);
}

static void rest_after(struct decision_log *log, enum round round)
{
    switch (round) {
    case ROUND_EMPTY:
        rest(log, WAITING_FOR_ANY, false, -1);
        break;
    case ROUND_WRITTEN:
        rest(log, WAITING_FOR_HALF, false, PAUSE_MS);
        break;
    case ROUND_FULL:
        rest(log, WAITING_NOT, true, FULL_MS);
        break;
    case ROUND_FAILED:
        rest(log, WAITING_NOT, false, RETRY_MS);
        break;
    }
}

/* What is in the queues when the end was said, or as much as there is time for. */
static void flush(struct decision_log *log)
{
    for (;;) {
        const enum round round = run_round(log);
        const uint64_t now_ms = beat_clock_ms(), end_ms = atomic_load(&log->end_ms);

        if (round == ROUND_EMPTY || now_ms >= end_ms)
            return;
        if (round != ROUND_WRITTEN)
            rest(log, WAITING_NOT, round == ROUND_FULL,
                 end_ms - now_ms < RETRY_MS ? (int)(end_ms - now_ms) : RETRY_MS);
    }
}

static void *run(void *context)
{
    struct decision_log *log = context;

    (void)pthread_setname_np(pthread_self(), "decision-log");
    while (!atomic_load(&log->is_ending)) {
        use_next_sink(log);
        rest_after(log, run_round(log));
    }
    use_next_sink(log);
    flush(log);
    return NULL;
}

/* --- its life --------------------------------------------------------------------------------- */

static void free_writer(struct decision_writer *writer)
{
    if (writer)
        log_queue_done(&writer->queue);
    free(writer);
}

static void free_log(struct decision_log *log)
{
    for (unsigned i = 0; i < log->writer_count; i++)
        free_writer(log->writers[i]);
    free(log->writers);
    if (log->has_next)
        log_sink_done(&log->next);
    log_sink_done(&log->sink);
    closep(&log->wake_fd);
    (void)pthread_mutex_destroy(&log->lock);
    free(log);
}

static void free_logp(struct decision_log **log)
{
    if (*log)
        free_log(*log);
}

static size_t power_of_two(size_t at_least)
{
    size_t power = RECORD_LINE_MAX;

    while (power < at_least)
        power *= 2;
    return power;
}

static int add_writer(struct decision_log *log)
{
    const size_t size = power_of_two(log->config.queue_bytes);
    struct decision_writer *writer = aligned_alloc(64, sizeof(*writer));
    int r;

    if (!writer)
        return -ENOMEM;
    memset(writer, 0, offsetof(struct decision_writer, line));
    writer->log = log;
    writer->salt = (uint64_t)log->writer_count << 48;
    r = log_queue_init(&writer->queue, size);
    if (r < 0) {
        free(writer);
        return r;
    }
    log->writers[log->writer_count++] = writer;
    return 0;
}

static int add_writers(struct decision_log *log)
{
    log->writers = calloc(log->config.writers, sizeof(struct decision_writer *));
    if (!log->writers)
        return -ENOMEM;
    while (log->writer_count < log->config.writers)
        if (add_writer(log) < 0)
            return -ENOMEM;
    return 0;
}

static int start(struct decision_log *log, struct diag *diag)
{
    int r = add_writers(log);

    if (r < 0)
        return diag_set(diag, r, "no memory for the queues");
    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log->wake_fd < 0)
        return diag_set(diag, -errno, "no eventfd: %s", strerror(errno));
    r = log_sink_open(log->config.destination, &log->sink, diag);
    if (r < 0)
        return r;
    r = -pthread_create(&log->thread, NULL, run, log);
    return r < 0 ? diag_set(diag, r, "no thread to write it: %s", strerror(-r)) : 0;
}

int decision_log_open(const struct decision_log_config *config, struct decision_log **ret_log,
                      struct diag *diag)
{
    CLEANUP(free_logp) struct decision_log *log = calloc(1, sizeof(*log));
    int r;

    assert(config->writers > 0);
    if (!log)
        return diag_set(diag, -ENOMEM, "out of memory");
    log->config = *config;
    log->wake_fd = log->sink.fd = -1;
    (void)pthread_mutex_init(&log->lock, NULL); /* cannot fail with default attributes */
    r = start(log, diag);
    if (r < 0)
        return r;
    *ret_log = TAKE_PTR(log);
    return 0;
}

int decision_log_reopen(struct decision_log *log, struct diag *diag)
{
    struct log_sink opened;
    int r = log_sink_open(log->config.destination, &opened, diag);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&log->lock);
    if (log->has_next)
        log_sink_done(&log->next);
    log->next = opened;
    log->has_next = true;
    (void)pthread_mutex_unlock(&log->lock);
    wake(log);
    return 0;
}

static uint64_t waiting_bytes(const struct decision_log *log)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < log->writer_count; i++)
        sum += log_queue_used(&log->writers[i]->queue);
    return sum;
}

uint64_t decision_log_close(struct decision_log *log, unsigned flush_ms)
{
    struct timespec until;
    uint64_t left;

    if (!log)
        return 0;
    atomic_store(&log->end_ms, beat_clock_ms() + flush_ms);
    atomic_store(&log->is_ending, true);
    wake(log);
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (flush_ms + JOIN_MS) / 1000;
    if (pthread_timedjoin_np(log->thread, NULL, &until) != 0)
        return waiting_bytes(log); /* it hangs in a write, and goes when the process does */
    left = waiting_bytes(log);
    free_log(log);
    return left;
}

/* --- what others ask -------------------------------------------------------------------------- */

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void decision_log_get_counts(struct decision_log *log, struct decision_log_counts *ret_counts)
{
    struct decision_log_counts sum = {
        .no_receiver = get(&log->no_receiver),
        .write_failures = get(&log->write_failures),
        .last_error = atomic_load_explicit(&log->last_error, memory_order_relaxed),
        .waiting_bytes = waiting_bytes(log),
    };

    for (unsigned i = 0; i < log->writer_count; i++) {
        sum.queued += get(&log->writers[i]->queued);
        sum.skipped += get(&log->writers[i]->skipped);
        sum.queue_full += get(&log->writers[i]->full);
    }
    *ret_counts = sum;
}

struct decision_writer *decision_log_writer(struct decision_log *log, unsigned index)
{
    assert(index < log->writer_count);
    return log->writers[index];
}
