/* SPDX-License-Identifier: Apache-2.0 */
#include "netns.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int home_fd(void)
{
    static int fd = -1;

    if (fd < 0)
        fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

void netns_enter(const struct netns *ns)
{
    (void)home_fd();
    assert_int_equal(setns(ns->fd, CLONE_NEWNET), 0);
}

void netns_leave(void)
{
    assert_int_equal(setns(home_fd(), CLONE_NEWNET), 0);
}

void netns_make(struct netns *ret_ns)
{
    (void)home_fd();
    assert_int_equal(unshare(CLONE_NEWNET), 0);
    ret_ns->fd = open("/proc/self/ns/net", O_RDONLY); /* inherited: netns_join() names it to `ip` */
    assert_true(ret_ns->fd >= 0);
    assert_int_equal(system("ip link set lo up"), 0);
    netns_leave();
}

void netns_done(struct netns *ns)
{
    assert_int_equal(close(ns->fd), 0);
    ns->fd = -1;
}

void netns_run(const struct netns *ns, const char *format, ...)
{
    char command[1024];
    va_list args;
    int length, status;

    va_start(args, format);
    length = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_in_range(length, 1, sizeof(command) - 1);
    netns_enter(ns);
    status = system(command);
    netns_leave();
    if (status != 0)
        fail_msg("`%s` ended with status %d", command, status);
}

void netns_join(const struct netns *a, const char *device_a, const struct netns *b,
                const char *device_b)
{
    netns_run(a, "ip link add %s type veth peer name %s netns /proc/self/fd/%d", device_a, device_b,
              b->fd);
}

void stage_make(struct stage *ret_stage)
{
    netns_make(&ret_stage->client);
    netns_make(&ret_stage->server);
    netns_join(&ret_stage->client, "far", &ret_stage->server, "near");
    netns_run(&ret_stage->client,
              "ip link set far address 02:00:00:00:00:01 up && ip addr add 10.77.0.1/16 dev far && "
              "ip -6 addr add fd77::1/64 dev far nodad");
    netns_run(
        &ret_stage->server,
        "ip link set near address 02:00:00:00:00:02 up && ip addr add 10.77.0.2/16 dev near && "
        "ip -6 addr add fd77::2/64 dev near nodad");
}

void stage_done(struct stage *stage)
{
    netns_done(&stage->client);
    netns_done(&stage->server);
}
