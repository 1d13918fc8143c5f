/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3): telling the service manager, over the datagram socket that $NOTIFY_SOCKET names. */
#ifndef NOTIFY_H
#define NOTIFY_H

#include <stdint.h>

/* `state`: "READY=1", "STOPPING=1", ...  Returns 1 when it was sent, 0 when nobody wants to know,
 * or a negative errno: -EAGAIN when the manager has not read for half a second. */
int notify_send(const char *state);

/* How often the service manager wants to hear "WATCHDOG=1" from us (sd_watchdog_enabled(3)), at
 * half its limit; 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
