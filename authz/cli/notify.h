/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3): telling the service manager, over the datagram socket that $NOTIFY_SOCKET names. */
#ifndef NOTIFY_H
#define NOTIFY_H

/* `state`: "READY=1", "STOPPING=1", ...  Returns 1 when it was sent, 0 when nobody wants to know,
 * or a negative errno. */
int notify_send(const char *state);

#endif
