/* SPDX-License-Identifier: Apache-2.0 */
#include "slots.h"

#include <errno.h>
#include <grpc/support/time.h>
#include <stdlib.h>

#include "oplog.h"

/* How many usually wait.  Checks: at least one burst; more costs time, since Debian's gRPC core
 * looks through all tags of a queue for each event. */
static const unsigned USUAL[CALL_KIND_COUNT_] = {
    [CALL_CHECK] = 128,
    [CALL_HEALTH] = 4,
    [CALL_WATCH] = 4,
    [CALL_UNKNOWN] = 4,
};

/* --- slots ------------------------------------------------------------------------------------ */

static void put_idle(struct slot_kind *kind, struct call *call)
{
    call->next_idle = kind->idle;
    kind->idle = call;
}

static int add_slot(struct slots *slots, enum call_kind number)
{
    struct slot_kind *kind = &slots->kinds[number];
    struct call *call = malloc(sizeof(*call));

    if (!call)
        return -ENOMEM;
    call_init(call, slots->port, number);
    call->next = kind->all;
    kind->all = call;
    kind->count++;
    put_idle(kind, call);
    return 0;
}

int slots_init(struct slots *slots, struct call_port *port)
{
    *slots = (struct slots){.port = port, .next_sweep = gpr_inf_past(GPR_CLOCK_MONOTONIC)};
    for (unsigned kind = 0; kind < CALL_KIND_COUNT_; kind++)
        while (slots->kinds[kind].count < USUAL[kind])
            if (add_slot(slots, (enum call_kind)kind) < 0)
                return -ENOMEM;
    return 0;
}

static void free_all(struct call *call)
{
    while (call) {
        struct call *next = call->next;

        call_done(call);
        free(call);
        call = next;
    }
}

void slots_done(struct slots *slots)
{
    for (unsigned kind = 0; kind < CALL_KIND_COUNT_; kind++)
        free_all(slots->kinds[kind].all);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void arm(struct slot_kind *kind, struct call *call)
{
    call_arm(call);
    if (call->state == CALL_WAITING)
        kind->waiting++;
    else
        put_idle(kind, call); /* the server drains */
}

/* Nothing to arm (memory, the maximum): slots that end come back to wait. */
static void arm_another(struct slots *slots, enum call_kind number)
{
    struct slot_kind *kind = &slots->kinds[number];
    struct call *call;

    if (!kind->idle && kind->count < SLOTS_MAX)
        (void)add_slot(slots, number);
    call = kind->idle;
    if (!call)
        return;
    kind->idle = call->next_idle;
    arm(kind, call);
}

void slots_arm(struct slots *slots)
{
    for (unsigned kind = 0; kind < CALL_KIND_COUNT_; kind++)
        for (unsigned i = 0; i < USUAL[kind]; i++)
            arm_another(slots, (enum call_kind)kind);
}

static void begin_reply(struct slots *slots, enum call_kind number)
{
    struct slot_kind *kind = &slots->kinds[number];

    if (++kind->replying == USUAL[number])
        slots->short_kinds++;
    if (kind->waiting == 0)
        arm_another(slots, number);
}

static void end_reply(struct slots *slots, struct call *call)
{
    struct slot_kind *kind = &slots->kinds[call->kind];

    if (kind->replying-- == USUAL[call->kind])
        slots->short_kinds--;
    if (call->is_overdue)
        slots->overdue--;
    if (kind->waiting < USUAL[call->kind])
        arm(kind, call);
    else
        put_idle(kind, call);
}

void slots_on_event(struct slots *slots, struct call *call, bool success)
{
    struct slot_kind *kind = &slots->kinds[call->kind];
    enum call_state before = call->state;

    call_on_event(call, success);
    if (before == CALL_REPLYING) {
        end_reply(slots, call);
        return;
    }
    kind->waiting--;
    if (call->state == CALL_REPLYING)
        begin_reply(slots, call->kind);
    else
        arm(kind, call); /* handed over; or the server shuts down */
}

/* --- overdue replies -------------------------------------------------------------------------- */

static bool has_to_sweep(const struct slots *slots)
{
    return slots->short_kinds > 0 || slots->overdue > 0;
}

gpr_timespec slots_wake_time(const struct slots *slots)
{
    return has_to_sweep(slots) ? slots->next_sweep : gpr_inf_future(GPR_CLOCK_MONOTONIC);
}

static unsigned sweep_kind(const struct slot_kind *kind)
{
    unsigned cancelled = 0;

    for (struct call *call = kind->all; call; call = call->next)
        if (call->state == CALL_REPLYING && call_sweep(call, SWEEPS_OVERDUE))
            cancelled++;
    return cancelled;
}

void slots_sweep(struct slots *slots)
{
    gpr_timespec now;
    unsigned cancelled = 0;

    if (!has_to_sweep(slots))
        return;
    now = gpr_now(GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(now, slots->next_sweep) < 0)
        return;
    slots->next_sweep = gpr_time_add(now, gpr_time_from_millis(SWEEP_INTERVAL_MS, GPR_TIMESPAN));
    for (unsigned kind = 0; kind < CALL_KIND_COUNT_; kind++)
        cancelled += sweep_kind(&slots->kinds[kind]);
    slots->overdue += cancelled;
    if (cancelled)
        oplog_error("calls cancelled because their clients do not take the replies: %u", cancelled);
}
