/* SPDX-License-Identifier: Apache-2.0 */
#include "log_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int log_queue_init(struct log_queue *queue, size_t size)
{
    assert(size > 0 && (size & (size - 1)) == 0);
    *queue = (struct log_queue){.bytes = malloc(size), .size = size};
    return queue->bytes ? 0 : -ENOMEM;
}

void log_queue_done(struct log_queue *queue)
{
    free(queue->bytes);
    queue->bytes = NULL;
}

/* Both ends count bytes without end; where a count lies in the ring: */
static size_t place(const struct log_queue *queue, size_t count)
{
    return count & (queue->size - 1);
}

static void copy_in(struct log_queue *queue, size_t head, const char *bytes, size_t length)
{
    const size_t at = place(queue, head), to_end = queue->size - at;

    if (length <= to_end) {
        memcpy(queue->bytes + at, bytes, length);
        return;
    }
    memcpy(queue->bytes + at, bytes, to_end);
    memcpy(queue->bytes, bytes + to_end, length - to_end);
}

/* The head is stored, and the tail loaded by the other thread, in one order for all threads: who
 * puts and then looks whether the other sleeps, and who goes to sleep and then looks whether there
 * is something, cannot both miss it. */
bool log_queue_put(struct log_queue *queue, const char *bytes, size_t length)
{
    const size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);

    if (queue->size - (head - queue->seen_tail) < length) {
        queue->seen_tail = atomic_load_explicit(&queue->tail, memory_order_acquire);
        if (queue->size - (head - queue->seen_tail) < length)
            return false;
    }
    copy_in(queue, head, bytes, length);
    atomic_store(&queue->head, head + length);
    return true;
}

size_t log_queue_peek(struct log_queue *queue, struct iovec ret_spans[2])
{
    const size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
    const size_t count = atomic_load(&queue->head) - tail;
    const size_t at = place(queue, tail), to_end = queue->size - at;
    const size_t first = count < to_end ? count : to_end;

    ret_spans[0] = (struct iovec){.iov_base = queue->bytes + at, .iov_len = first};
    ret_spans[1] = (struct iovec){.iov_base = queue->bytes, .iov_len = count - first};
    return count;
}

void log_queue_take(struct log_queue *queue, size_t count)
{
    const size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

    atomic_store_explicit(&queue->tail, tail + count, memory_order_release);
}

size_t log_queue_used(const struct log_queue *queue)
{
    /* in this order, so that the difference is not negative */
    const size_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);

    return atomic_load_explicit(&queue->head, memory_order_relaxed) - tail;
}
