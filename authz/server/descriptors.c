/* SPDX-License-Identifier: Apache-2.0 */
#include "descriptors.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include "oplog.h"

enum {
    /* Ours beside the connections: standard streams, maps, links, listeners, what gRPC itself
       needs. */
    OTHER_DESCRIPTORS = 64,
    /* Never taken by connections: a reload opens files, however many clients there are. */
    RESERVED_DESCRIPTORS = 32,
};

/* The process may then have as many descriptors as its hard limit says. */
static int raise_descriptor_limit(rlim_t *ret_limit)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* else it stays as it is */
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    *ret_limit = limit.rlim_cur;
    return 0;
}

int descriptors_limit(unsigned connections, int *ret_limit, struct diag *diag)
{
    rlim_t wanted = (rlim_t)connections + OTHER_DESCRIPTORS, allowed = 0;
    int r = raise_descriptor_limit(&allowed);

    if (r < 0)
        return diag_set(diag, r, "cannot read the limit of open files: %s", strerror(-r));
    if (allowed <= 2 * RESERVED_DESCRIPTORS)
        return diag_set(diag, -EMFILE, "the limit of open files, %ju, is too low",
                        (uintmax_t)allowed);
    if (wanted > allowed - RESERVED_DESCRIPTORS) {
        wanted = allowed - RESERVED_DESCRIPTORS;
        oplog_info("fewer than %u connections: the limit of open files is %ju", connections,
                   (uintmax_t)allowed);
    }
    *ret_limit = (int)wanted;
    return 0;
}
