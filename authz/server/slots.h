/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of one thread: some of each kind wait for calls, however many are held by peers that do
 * not take their replies.
 *
 * In normal operation the same slots go round and nothing here costs more than counting.  A reply
 * that its peer does not read (HTTP/2 flow control, a full socket) holds its slot, so
 *   - when the last waiting slot of a kind is matched another one is armed, up to a maximum; it is
 *     kept, and used again when slots run short again;
 *   - while as many slots reply as usually wait, slots_sweep() cancels the replies that are
 * overdue: past their deadline, or seen by several sweeps, whatever deadline the peer has named; a
 *     connection on which even that does not end them is cut by the sweep that follows.
 * One thread at a time. */
#ifndef SLOTS_H
#define SLOTS_H

#include "call.h"

/* Of each kind. */
enum { SLOTS_MAX = 4096 };

/* A sweep at most each second; a reply seen by this many is overdue. */
enum { SWEEP_INTERVAL_MS = 1000, SWEEPS_OVERDUE = 3 };

struct slot_kind {
    struct call *all, *idle; /* linked by `next` and `next_idle` */
    unsigned count, waiting, replying;
};

struct slots {
    struct call_port *port;
    struct slot_kind kinds[CALL_KIND_COUNT_];
    unsigned short_kinds;    /* how many kinds have as many slots replying as usually wait */
    unsigned overdue;        /* replies that were cancelled and have not ended */
    gpr_timespec next_sweep; /* not before this time */
};

/* Slots that are idle.  Returns 0 or -ENOMEM; slots_done() afterwards in any case. */
int slots_init(struct slots *slots, struct call_port *port);

/* All slots must be idle. */
void slots_done(struct slots *slots);

/* Let the usual number of each kind wait. */
void slots_arm(struct slots *slots);

/* An event of the queue whose tag is `call`. */
void slots_on_event(struct slots *slots, struct call *call, bool success);

/* Until when to wait for an event: for ever, unless slots are short or replies overdue. */
gpr_timespec slots_wake_time(const struct slots *slots);

/* Cancel what is overdue.  Does nothing while no kind is short and nothing overdue, or when the
 * last sweep was less than SWEEP_INTERVAL_MS ago. */
void slots_sweep(struct slots *slots);

#endif
