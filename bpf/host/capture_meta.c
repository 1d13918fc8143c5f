/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_meta.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "capture_maps.h"
#include "cleanup.h"

enum { BOOT_ID_DIGITS = 32 };

int boot_id_read(uint8_t ret_id[16])
{
    CLEANUP(fclosep) FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    uint8_t id[16] = {0};
    unsigned digits = 0;
    int c;

    if (!file)
        return -errno;
    while (digits < BOOT_ID_DIGITS && (c = fgetc(file)) != EOF) {
        if (c == '-')
            continue;
        id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | (c <= '9' ? c - '0' : c - 'a' + 10));
        digits++;
    }
    if (digits != BOOT_ID_DIGITS)
        return -EIO;
    memcpy(ret_id, id, sizeof(id));
    return 0;
}

uint64_t boot_time_ns(void)
{
    struct timespec now = {0};

    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail: the kernel has it since 2.6.39 */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* 0 where the kernel does not tell (before 5.14). */
static uint64_t own_netns_cookie(void)
{
    CLEANUP(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);

    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) < 0)
        return 0;
    return cookie;
}

int capture_meta_describe(const struct capture_maps *maps, struct capture_meta *ret_meta)
{
    struct capture_meta meta = {
        .magic = META_MAGIC,
        .layout = SYN_LAYOUT,
        .reader_layout = READER_LAYOUT,
        .pending_size = capture_map_size(maps, MAP_PENDING),
        .live_size = capture_map_size(maps, MAP_LIVE),
        .captured_size = capture_map_size(maps, MAP_CAPTURED),
        .started_ns = boot_time_ns(),
        .host_netns = own_netns_cookie(),
    };
    int r = boot_id_read(meta.boot_id);

    if (r == 0)
        *ret_meta = meta;
    return r;
}

int capture_meta_read(const struct capture_maps *maps, struct capture_meta *ret_meta)
{
    return bpf_map_lookup_elem(maps->fd[MAP_META], &(uint32_t){0}, ret_meta) < 0 ? -errno : 0;
}

bool capture_meta_is_of_this_boot(const struct capture_meta *meta)
{
    uint8_t boot_id[16];

    return meta->magic == META_MAGIC && boot_id_read(boot_id) == 0 &&
           memcmp(meta->boot_id, boot_id, sizeof(boot_id)) == 0;
}

int capture_meta_is_usable(const struct capture_meta *meta)
{
    return capture_meta_is_of_this_boot(meta) && meta->reader_layout == READER_LAYOUT &&
           (meta->state == CAPTURE_RUNNING || meta->state == CAPTURE_DEGRADED);
}
