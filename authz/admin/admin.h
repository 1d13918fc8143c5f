/* SPDX-License-Identifier: Apache-2.0 */
/* The admin HTTP server: /metrics, /config, /livez, /readyz.  The only user of libmicrohttpd.
 *
 * One thread of its own.  It answers GET and HEAD and nothing else (405), does not read bodies of
 * requests (413), and closes each connection behind its answer.  A connection that is not done
 * after ADMIN_CONNECTION_MS is ended, and when there are ADMIN_CONNECTIONS_MAX of them the oldest
 * one gives way: slow clients do not keep a probe waiting.  It is for operators and probes: bind it
 * to loopback, a unix socket or the pod's address. */
#ifndef ADMIN_H
#define ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "diag.h"
#include "metric.h"

enum { ADMIN_WHY_MAX = 256, ADMIN_CONNECTIONS_MAX = 8, ADMIN_CONNECTION_MS = 5000 };

/* Called by the admin thread.  Each gets `context`. */
struct admin_pages {
    void *context;
    void (*metrics)(void *context, struct metric_page *page);
    void (*config)(void *context, FILE *out); /* one JSON value */
    /* Both write why not (a line of text, terminated) when they return false. */
    bool (*is_live)(void *context, char why[ADMIN_WHY_MAX]);
    bool (*is_ready)(void *context, char why[ADMIN_WHY_MAX]);
};

struct admin;

/* `fd` is a listening socket, non-blocking, as listener_open() makes it; the server owns it from
 * here on, also when this fails.  /livez and /readyz answer 200 "ok\n", or 503 and the reason.  The
 * thread takes no signals.  Returns 0, or a negative errno with a message. */
int admin_start(int fd, const struct admin_pages *pages, struct admin **ret_admin,
                struct diag *diag);

/* Ends the thread; NULL does nothing. */
void admin_stopp(struct admin **admin);

#endif
