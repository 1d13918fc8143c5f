/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Floors to measure a hook's program against, which the including file has included as it is.
 * BPF_PROG_TEST_RUN hands the same packet in again and again; next_tuple() makes each one a new
 * client's, since the same key twice costs a fraction of a new one. */
#ifndef PACKET_FLOOR_H
#define PACKET_FLOOR_H

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 131072); /* packet_bench checks that `pending` has as many */
    __type(key, struct pending_key);
    __type(value, struct syn_record);
} plain SEC(".maps");

struct syn_record blank;

/* IPv4 without options behind Ethernet.  Calls of their own, so that what they have checked does
 * not make the program behind them cheaper than it is.  Returns 0 if the packet is another. */
static __attribute__((noinline)) int next_tuple(__u8 *data, void *end, struct pending_key *ret_key)
{
    __u8 *ip = data + PARSE_ETH_SIZE, *tcp = ip + PARSE_IP4_SIZE;
    struct pending_key key = {.family = 4};

    if ((void *)(tcp + PARSE_TCP_SIZE) > end)
        return 0;
    /* odd: all 2^32 addresses before one comes again */
    *(__u32 *)(ip + PARSE_IP4_SOURCE) += 0x01000193;
    *(__u32 *)(tcp + PARSE_TCP_SEQUENCE) += 0x9e3779b1;
    *(__u16 *)(tcp + PARSE_TCP_SOURCE) += 1;
    __builtin_memcpy(key.source + 12, ip + PARSE_IP4_SOURCE, 4);
    key.isn = *(__u32 *)(tcp + PARSE_TCP_SEQUENCE);
    key.source_port_be = *(__u16 *)(tcp + PARSE_TCP_SOURCE);
    *ret_key = key;
    return 1;
}

/* Returns 0 when the map took it. */
static __attribute__((noinline)) int update_plain(const struct pending_key *key)
{
    return (int)bpf_map_update_elem(&plain, key, &blank, BPF_ANY);
}

#endif
