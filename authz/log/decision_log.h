/* SPDX-License-Identifier: Apache-2.0 */
/* The decision log: a line for each Check that is chosen, written behind the back of the threads
 * that answer.
 *
 *     answering thread --line--> its queue --\
 *     answering thread --line--> its queue ---+--> one writing thread --> sink
 *
 * A thread that answers formats its line and puts it into a queue of its own: no lock, no heap, and
 * no system call but now and then one to wake the writer.  When the queue is full the line is
 * dropped and counted, so a destination that is slow, full or gone never delays a Check.  (The
 * alternative, copying the facts and formatting in the writer, costs the same formatting and the
 * copy on top.)
 *
 * While a destination fails, what is in the queues waits for it, and is tried again; a line is
 * never torn but by the end of the program.  Lines of one thread stay in order. */
#ifndef DECISION_LOG_H
#define DECISION_LOG_H

#include "decision_record.h"
#include "diag.h"

struct decision_log;
struct decision_writer;

struct decision_log_config {
    const char *destination; /* as log_sink.h says; borrowed, as is what `settings` points to */
    struct record_settings settings;
    /* One in so many is logged; 0: none.  With denials go Checks that ended in an error, and those
     * that shadow rules would have decided otherwise. */
    uint64_t one_allow_in, one_denial_in;
    unsigned writers;   /* threads that answer */
    size_t queue_bytes; /* for each, at least: a power of two that takes one line is made of it */
};

struct decision_log_counts {
    uint64_t queued;         /* lines that were accepted */
    uint64_t skipped;        /* Checks that were not chosen */
    uint64_t queue_full;     /* lines that were dropped */
    uint64_t no_receiver;    /* lines that nobody was there to receive */
    uint64_t write_failures; /* tries that failed, and were or will be made again */
    int last_error;          /* errno of the last try, 0: it succeeded */
    uint64_t waiting_bytes;
};

/* Opens the destination and starts the writing thread, which takes no signals that the caller has
 * blocked.  Returns 0, or a negative errno with a message. */
int decision_log_open(const struct decision_log_config *config, struct decision_log **ret_log,
                      struct diag *diag);

/* Open the destination again, after a log was rotated away: what was written before is in the old
 * file, all else goes to the new one.  Returns 0; or a negative errno with a message, and it goes
 * on where it was. */
int decision_log_reopen(struct decision_log *log, struct diag *diag);

/* What is queued is written, as far as that is possible within `flush_ms`; then the log ends. No
 * thread writes to it any more.  Returns how many bytes of lines were not written.  NULL is fine.
 */
uint64_t decision_log_close(struct decision_log *log, unsigned flush_ms);

void decision_log_get_counts(struct decision_log *log, struct decision_log_counts *ret_counts);

/* The writer of one answering thread, 0..writers-1; owned by the log. */
struct decision_writer *decision_log_writer(struct decision_log *log, unsigned index);

/* Is this one to be logged?  Sets record->sample.  `number`: of the Check in this thread. */
bool decision_writer_wants(struct decision_writer *writer, struct decision_record *record,
                           uint64_t number);

/* Log it, by the writer's own thread. */
void decision_writer_put(struct decision_writer *writer, const struct decision_record *record);

#endif
