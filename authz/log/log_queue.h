/* SPDX-License-Identifier: Apache-2.0 */
/* Lines on their way from one thread to another: a ring of bytes of fixed size.
 *
 * One thread puts, one takes; neither ever waits.  A line is put whole or not at all. */
#ifndef LOG_QUEUE_H
#define LOG_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The two ends on cache lines of their own. */
struct log_queue {
    char *bytes;
    size_t size;                     /* a power of two */
    _Alignas(64) atomic_size_t head; /* bytes that were ever put; the putting thread's */
    size_t seen_tail;                /* what that thread last saw of `tail` */
    _Alignas(64) atomic_size_t tail; /* bytes that were ever taken; the taking thread's */
};

/* Returns 0 or -ENOMEM.  Pages are touched only when they are used. */
int log_queue_init(struct log_queue *queue, size_t size);
void log_queue_done(struct log_queue *queue);

/* Returns false, and nothing was put, when there is no room. */
bool log_queue_put(struct log_queue *queue, const char *bytes, size_t length);

/* What waits: two spans, the second one mostly empty.  Returns their bytes together. */
size_t log_queue_peek(struct log_queue *queue, struct iovec ret_spans[2]);

/* The first `count` bytes of those are done with. */
void log_queue_take(struct log_queue *queue, size_t count);

/* Any thread: how many bytes wait, about. */
size_t log_queue_used(const struct log_queue *queue);

#endif
