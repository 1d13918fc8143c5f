/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps (layouts and meaning: record.h), the same for every program: the loader makes them once
 * and gives each object the same ones. */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 131072);
    __type(key, struct pending_key);
    __type(value, struct syn_record);
} pending SEC(".maps");

/* `pending` of the set of maps that this one replaces, for handshakes that began before; without
 * one it is `pending` itself. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 131072);
    __type(key, struct pending_key);
    __type(value, struct syn_record);
} pending_before SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 65536);
    __type(key, struct tuple_key);
    __type(value, struct live_entry);
} live SEC(".maps");

/* Most hosts have no NAT between hook and socket: memory only for what is there. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct tuple_key);
    __type(value, struct alias_entry);
} alias SEC(".maps");

/* As many as `live` has; hardly ever any. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 65536);
    __type(key, struct crowd_key);
    __type(value, struct crowd_member);
} crowd SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, PORTS_WORDS);
    __type(key, __u32);
    __type(value, __u64);
} ports SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, PREFIXES_MAX);
    __type(key, struct prefix_key);
    __type(value, __u8);
} prefixes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct capture_config);
} config SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct capture_secret);
} secret SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct capture_meta);
} meta SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, COUNTERS_SIZE);
    __type(key, __u32);
    __type(value, struct capture_counters);
} counters SEC(".maps");

/* The loader gives it its real size where it is used, on hosts without tracking. */
struct {
    __uint(type, BPF_MAP_TYPE_LRU_HASH);
    __uint(max_entries, 1);
    __type(key, struct tuple_key);
    __type(value, struct captured_entry);
} captured SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, LAST_ISN_CELLS);
    __type(key, __u32);
    __type(value, struct last_isn);
} last_isn SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct limiter);
} limiter SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct turnover);
} turnover SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct watch_lease);
} watch SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 256 * 1024);
} events SEC(".maps");

#define INLINE   static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define GLOBAL   __attribute__((noinline))

INLINE struct capture_counters *own_counters(enum syn_hook hook, __u8 ip_version)
{
    return bpf_map_lookup_elem(&counters, &(__u32){counters_index(hook, ip_version)});
}

/* For paths where a second look-up does not matter: the tracker's. */
INLINE void count(enum capture_counter counter, __u8 ip_version)
{
    struct capture_counters *own = own_counters(SYN_HOOK_NONE, ip_version);

    if (own)
        own->values[counter]++;
}

#endif
