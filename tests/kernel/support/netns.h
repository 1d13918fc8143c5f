/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces without names: the kernel removes them when the test ends, however it ends.
 *
 * All functions fail the running test when something does not work. */
#ifndef NETNS_H
#define NETNS_H

struct netns {
    int fd;
};

/* A new namespace with its loopback device up.  The calling thread stays where it is. */
void netns_make(struct netns *ret_ns);
void netns_done(struct netns *ns);

/* Move the calling thread; -leave takes it back to where the program started. */
void netns_enter(const struct netns *ns);
void netns_leave(void);

/* Run a shell command in the namespace; its exit status must be 0. */
void netns_run(const struct netns *ns, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A veth pair between two namespaces. */
void netns_join(const struct netns *a, const char *device_a, const struct netns *b,
                const char *device_b);

/* Two namespaces that most tests need: device "far" of the client (10.77.0.1, fd77::1), device
 * "near" of the server (10.77.0.2, fd77::2).  Device "near" has the MAC address 02:00:00:00:00:02,
 * "far" ends in 01. */
struct stage {
    struct netns client;
    struct netns server;
};

void stage_make(struct stage *ret_stage);
void stage_done(struct stage *stage);

#endif
