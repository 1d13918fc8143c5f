/* SPDX-License-Identifier: Apache-2.0 */
/* syn_source over the pins of an agent, followed for as long as the server runs.
 *
 * A thread of its own looks at the pin folder twice a second: it opens a set of maps that has
 * appeared or was replaced completely, checks it again, and swaps it in by one atomic step.  Pins
 * that vanish change nothing while an agent beats (it will pin again); without either the entries
 * are not kept true any more, so the set is given up, and answers are `unavailable`. */
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

/* Never waits for an agent: without one it starts empty.  The thread takes no signals.  Logs each
 * change once.  Returns 0, or a negative errno with a message (no memory, no thread). */
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
    char why[256];
    uint64_t swaps;    /* sets taken into use since the start */
    uint64_t failures; /* tries to open that failed for another reason than absence */
    uint64_t heartbeat_age_ns;
    bool tracked;
};
/* Safe from any thread. */
void pin_source_get_status(const struct syn_source *source, struct pin_source_status *ret_status);

#endif
