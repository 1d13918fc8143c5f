/* SPDX-License-Identifier: Apache-2.0 */
/* Captures for tests, put together in memory. */
#ifndef FRAMES_H
#define FRAMES_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_SIZE_MAX = 4096, FRAMES_LINK_RAW = 101 };

struct frames {
    uint8_t bytes[FRAMES_SIZE_MAX];
    size_t size;
};

static inline void frames_put(struct frames *frames, const void *bytes, size_t size)
{
    if (size > sizeof(frames->bytes) - frames->size)
        abort();
    memcpy(frames->bytes + frames->size, bytes, size);
    frames->size += size;
}

static inline void frames_begin(struct frames *frames, uint32_t link)
{
    const uint32_t header[6] = {0xa1b2c3d4, 2 | 4 << 16, 0, 0, 65535, link};

    frames->size = 0;
    frames_put(frames, header, sizeof(header));
}

static inline void frames_add(struct frames *frames, uint32_t seconds, const void *packet,
                              uint32_t size, uint32_t wire_size)
{
    const uint32_t header[4] = {seconds, 7, size, wire_size};

    frames_put(frames, header, sizeof(header));
    frames_put(frames, packet, size);
}

/* 192.0.2.2 port `port` to 192.0.2.10:443, no options. */
static inline void frames_add_syn(struct frames *frames, uint16_t port, uint16_t window)
{
    uint8_t packet[40] = {0x45, 0, 0,  40, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 2,    192,
                          0,    2, 10, 0,  0,    0x01, 0xbb, 0, 0,  0, 1, 0, 0,   0, 0, 0x50, 0x02};

    packet[20] = (uint8_t)(port >> 8);
    packet[21] = (uint8_t)port;
    packet[34] = (uint8_t)(window >> 8);
    packet[35] = (uint8_t)window;
    frames_add(frames, 1700000000, packet, sizeof(packet), sizeof(packet));
}

#endif
