/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which destinations are captured: the live filter, asked before anything is written. */
#ifndef FILTER_H
#define FILTER_H

#include "maps.h"

enum filter_answer {
    FILTER_PORT = 1, /* the port is not captured */
    FILTER_PREFIX,   /* the address is not */
    FILTER_PASS,
};

/* NULL while capture is not enabled: then nothing is even counted. */
INLINE const struct capture_config *get_settings(void)
{
    const struct capture_config *now = bpf_map_lookup_elem(&config, &(__u32){0});

    return now && now->enabled ? now : 0;
}

INLINE int filter_has_port(__u16 port)
{
    __u64 *word = bpf_map_lookup_elem(&ports, &(__u32){port / 64});

    return word && (*word >> (port % 64) & 1);
}

INLINE int filter_has_address(const __u8 address[16])
{
    struct prefix_key key = {.bits = 128};

    __builtin_memcpy(key.address, address, sizeof(key.address));
    return bpf_map_lookup_elem(&prefixes, &key) != 0;
}

/* `address` is in the form of the keys; it is read only when there are prefixes. */
INLINE enum filter_answer filter_destination(const struct capture_config *settings,
                                             const __u8 address[16], __u16 port)
{
    if (!filter_has_port(port))
        return FILTER_PORT;
    if (settings->use_prefixes && !filter_has_address(address))
        return FILTER_PREFIX;
    return FILTER_PASS;
}

#endif
