/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hashes of a source, for the cells of `limiter` and `last_isn`.  With a seed that nobody outside
 * knows, so that nobody can choose sources that meet in one cell. */
#ifndef SOURCE_HASH_H
#define SOURCE_HASH_H

#include "maps.h"

INLINE __u64 hash_seed(void)
{
    const struct capture_secret *known = bpf_map_lookup_elem(&secret, &(__u32){0});

    return known ? known->seed : 0;
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every
 * bit of x. */
INLINE __u64 hash_mix(__u64 x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* Half of an address of a key, which need not be aligned to 8. */
INLINE __u64 hash_half(const __u8 *at)
{
    const __u32 *words = (const __u32 *)at;

    return (__u64)words[1] << 32 | words[0];
}

/* Of an IPv4 address, or of the /64 that an IPv6 address is in: one client may have them all. */
INLINE __u64 hash_network(const __u8 source[16], __u8 family)
{
    return hash_mix(hash_seed() ^ hash_half(family == 6 ? source : source + 8));
}

/* Of the whole address and the port; `network` is its hash_network(). */
INLINE __u64 hash_source(__u64 network, const __u8 source[16], __u16 port_be)
{
    return hash_mix(network + (hash_half(source + 8) ^ (__u64)port_be << 32));
}

#endif
