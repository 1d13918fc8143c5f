/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent tells its operator: where it captures and why there, and whether anything is
 * missing; a line for each change.  What goes wrong with a hook or a pin is said by the node
 * itself.
 *
 * Before the first "ready" no line has that word: whoever waits for it may search for it. */
#ifndef AGENT_LOG_H
#define AGENT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "node.h"

/* What was said last; zeroed at the start. */
struct agent_log {
    struct node_hook *hooks; /* owned */
    size_t hook_count;
    uint64_t device_losses;
    bool has_been_ready, is_ready, has_said_why_not;
};

/* Once, when the node has started. */
void agent_log_start(const struct node_config *config, const struct node_status *status);

/* Says what is new.  Returns true when the node is ready for the first time. */
bool agent_log_report(struct agent_log *log, const struct node_status *status);

void agent_log_done(struct agent_log *log);

#endif
