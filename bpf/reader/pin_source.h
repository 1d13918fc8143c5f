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
 *   state is ENDED      given up
 *
 * Whether it is so is asked behind each look-up.  The thread may be late, for seconds on a CPU that
 * is throttled, so what it last saw counts for one second from when it began to look
 * (PIN_BELIEVED_MS); after that the look-up asks for itself: state and heartbeat in meta and,
 * without a heartbeat, the pins, by the way that the thread goes, which counts for a second again.
 * That is slower and as right:
 *
 *   - Pins that are seen behind a look-up were there during it, so the programs ran, and the entry
 *     was that of a connection which had not ended.
 *
 *   - Whoever ends a set (synauthz cleanup, an agent that replaces it) writes ENDED, and takes
 *     nothing away for longer than what was seen before counts (PIN_NOTICE_MS).  A look-up that has
 *     to ask finds ENDED; nothing depends on when the thread runs.
 *
 *   - What was seen is one word, the time until which it counts.  A thread that is held up between
 *     looking and writing it writes a time that has passed.
 *
 * So nobody gets a wrong answer when capture is ended in one of its own ways.  Where somebody
 * removes the pins by hand, entries may outlive their connections for the second that a look
 * counts; where he kills the agent as well within two seconds, for these. */
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
