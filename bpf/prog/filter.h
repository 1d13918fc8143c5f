/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which destinations are captured: the live filter, asked before anything is written. */
#ifndef FILTER_H
#define FILTER_H

#include "maps.h"

enum filter_answer {
    FILTER_OFF = 0, /* capture is not enabled: not even counted */
    FILTER_PORT,    /* the port is not captured */
    FILTER_PREFIX,  /* the address is not */
    FILTER_PASS,
};

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
INLINE enum filter_answer filter_destination(const __u8 address[16], __u16 port)
{
    struct capture_config *now = bpf_map_lookup_elem(&config, &(__u32){0});

    if (!now || !now->enabled)
        return FILTER_OFF;
    if (!filter_has_port(port))
        return FILTER_PORT;
    if (now->use_prefixes && !filter_has_address(address))
        return FILTER_PREFIX;
    return FILTER_PASS;
}

#endif
