/* SPDX-License-Identifier: Apache-2.0 */
/* Connections as they are established, from the ring of events of an agent's set of maps.
 *
 * The programs write events only while a watcher asks for them, by a lease that it renews
 * (record.h, struct watch_lease).  There is one watcher at a time, who holds a lock on a folder
 * beside the pins.  Needs to write to pins, so to be root.  One thread. */
#ifndef WATCHER_H
#define WATCHER_H

#include "diag.h"
#include "flow.h"
#include "syn_source.h"

struct watcher;

/* One connection; the answer is what a look-up would have said at that moment. */
typedef void (*watcher_fn)(const struct flow *flow, const struct syn_answer *answer, void *context);

/* Returns 0; -EBUSY: somebody watches already; or a negative errno as pin_reader_open(), all with a
 * message.  Events from before are left out. */
int watcher_open(const char *pin_dir, watcher_fn visit, void *context, struct watcher **ret_watcher,
                 struct diag *diag);

/* Is readable when there are events.  Another one after watcher_step(). */
int watcher_fd(const struct watcher *watcher);

/* Visits what there is, at most `max`; renews the lease, and goes over to another set of maps when
 * the agent has made one: to be called when the descriptor is readable, and every WATCHER_STEP_MS.
 * Returns the number of visits, or a negative errno with a message when the set is gone and no
 * other is there (-ENOENT: one may come, call again). */
enum { WATCHER_STEP_MS = 500 };
int watcher_step(struct watcher *watcher, unsigned max, struct diag *diag);

/* Ends the lease. */
void watcher_freep(struct watcher **watcher);

#endif
