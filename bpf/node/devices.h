/* SPDX-License-Identifier: Apache-2.0 */
/* The network devices of this namespace, and word when they change. */
#ifndef DEVICES_H
#define DEVICES_H

#include <net/if.h>
#include <stddef.h>

struct device {
    char name[IF_NAMESIZE];
    unsigned ifindex;
    unsigned short type; /* ARPHRD_*, linux/if_arp.h */
};

/* The caller frees the list.  Returns 0 or a negative errno. */
int devices_list(struct device **ret_devices, size_t *ret_count);

/* A descriptor that becomes readable when a device or an address came, changed or went; what there
 * is now, devices_list() says.  Returns it or a negative errno. */
int devices_watch(void);

/* Forget what has happened until now, also what was lost because it was too much. */
void devices_drain(int fd);

#endif
