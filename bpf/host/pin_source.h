/* SPDX-License-Identifier: Apache-2.0 */
/* syn_source over the pins of an agent, followed for as long as the server runs.
 *
 * A thread of its own looks at the pin folder twice a second: it opens a set of maps that has
 * appeared or was replaced completely, checks it again, and swaps it in by one atomic step; the old
 * one is closed when its last reader has left.
 *
 * A set is believed only while somebody takes entries away when their connections end, else the
 * next connection of a tuple would get the last one's fingerprint:
 *
 *   pins there          the programs run, with or without an agent: in use
 *   pins gone           the agent holds the programs and will pin them again: in use as long as it
 *                       beats (every second; two may be late)
 *   neither             given up: `unavailable`, until there is a set again
 *   state is ENDED      given up; whoever ends it waits before anything is taken away, for longer
 *                       than a look is believed (pin_names.h), however late the thread may be
 *
 * So nobody gets a wrong answer when capture is ended in one of its own ways.  Where somebody kills
 * the agent and removes its pins by hand within the same two seconds, entries may outlive their
 * connections for those, and for the half second between two looks. */
#ifndef PIN_SOURCE_H
#define PIN_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "diag.h"
#include "syn_source.h"

struct pin_source_config {
    const char *pin_dir;            /* copied */
    const uint16_t *redirect_ports; /* copied */
    size_t redirect_port_count;
};

/* Never waits for an agent: what is there is in use on return, without it starts empty.  The thread
 * takes no signals.  Logs each change once.  Returns 0, or a negative errno with a message (no
 * memory, no thread). */
int pin_source_open(const struct pin_source_config *config, struct syn_source **ret_source,
                    struct diag *diag);

enum pin_source_state {
    PIN_SOURCE_ABSENT = 0, /* nothing to read; `why` says what pin_reader_open() said */
    PIN_SOURCE_FRESH,      /* in use, an agent looks after it */
    PIN_SOURCE_STALE,      /* in use and attached, but no heartbeat for HEARTBEAT_STALE_NS */
    PIN_SOURCE_DEGRADED,   /* in use, but a hook that was asked for is not attached */
};

struct pin_source_status {
    enum pin_source_state state;
    char why[256];             /* empty when it is FRESH */
    uint64_t swaps;            /* sets taken into use since the start */
    uint64_t failures;         /* tries to open that failed for another reason than absence */
    uint64_t heartbeat_age_ns; /* 0: no set in use */
    bool tracked;
};
/* Safe from any thread. */
void pin_source_get_status(const struct syn_source *source, struct pin_source_status *ret_status);

#endif
