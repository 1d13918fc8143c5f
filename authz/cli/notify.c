/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "cleanup.h"
#include "num.h"

/* A manager that does not read holds nobody up: the socket takes a few datagrams, and then none. */
static const struct timeval PATIENCE = {.tv_usec = 500000};

int notify_send(const char *state)
{
    CLEANUP(closep) int fd = -1;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    size_t length = path ? strlen(path) : 0;

    if (length == 0)
        return 0;
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';

    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &PATIENCE, sizeof(PATIENCE));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
        return -errno;
    return 1;
}

uint64_t notify_watchdog_ms(void)
{
    const char *limit = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t limit_us, for_pid;

    if (!limit || num_parse_u64(str_from(limit), 1, UINT64_MAX, &limit_us) < 0)
        return 0;
    if (pid &&
        (num_parse_u64(str_from(pid), 1, INT32_MAX, &for_pid) < 0 || (pid_t)for_pid != getpid()))
        return 0;
    return limit_us / 2000 ? limit_us / 2000 : 1;
}
