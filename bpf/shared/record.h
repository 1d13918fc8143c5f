/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and values of the kernel maps: the one description that the BPF programs and user space
 * share.
 *
 * Addresses are 16 bytes in network order, IPv4 as IPv4-mapped, the family (4 or 6) beside them.
 * Ports in keys are in network order (`_be`); everything else is in host order unless its name says
 * so. Every layout is asserted: a change is a new SYN_LAYOUT. */
#ifndef RECORD_H
#define RECORD_H

#include <linux/types.h>

#define SYN_LAYOUT 1

#define SYN_OPTIONS_MAX  40 /* a TCP header has at most 60 bytes, 20 of them fixed */
#define CLAIM_OTHERS_MAX 3

/* Where a SYN was seen. */
enum syn_hook {
    SYN_HOOK_NONE = 0, /* from a capture file */
    SYN_HOOK_XDP = 1,
};

/* What the parser met on the way to the TCP header (syn_record.seen). */
enum syn_seen {
    SYN_SEEN_VLAN_1 = 1 << 0,
    SYN_SEEN_VLAN_2 = 1 << 1,
    SYN_SEEN_IPV6_EXTENSION = 1 << 2,
};

/* One SYN as it arrived: everything p0f looks at and nothing of the payload. 104 bytes. */
struct syn_record {
    __u64 seen_ns;        /* CLOCK_BOOTTIME; 0 in user space's own records */
    __u32 isn;            /* sequence number of the SYN */
    __u32 ack;            /* acknowledgement number, meaningless but fingerprinted */
    __u32 flow_label;     /* IPv6, 20 bits; 0 for IPv4 */
    __u32 payload_length; /* bytes behind the TCP header, by the IP length */
    __u32 ifindex;        /* of the hook's device, in its own namespace */
    __u16 ip_id;          /* IPv4; 0 for IPv6 */
    __u16 ip_fragment;    /* IPv4 flags and offset field; 0 for IPv6 */
    __u16 window;
    __u16 urgent_pointer;
    __u16 tcp_flags; /* the low 12 bits of bytes 12 and 13: reserved, AE/NS, CWR .. FIN */
    __u16 wire_destination_port_be;
    __u8 wire_destination[16]; /* as on the wire at the hook, before any NAT behind it */
    __u8 ip_version;           /* 4 or 6 */
    __u8 ttl;                  /* or hop limit, as arrived */
    __u8 tos;                  /* or traffic class, with the ECN bits */
    __u8 ip_options_length;    /* IPv4: IHL * 4 - 20; IPv6: 0 */
    __u8 tcp_options_length;   /* data offset * 4 - 20, 0..40 */
    __u8 hook;                 /* enum syn_hook */
    __u8 seen;                 /* enum syn_seen, or-ed */
    __u8 zero;
    __u8 tcp_options[SYN_OPTIONS_MAX]; /* raw; bytes behind the length are zero */
};
_Static_assert(sizeof(struct syn_record) == 104, "layout of syn_record");

/* Key of `pending`: a SYN before the kernel has accepted it.  With the ISN in the key a spoofed SYN
 * is another entry and replaces nothing. */
struct pending_key {
    __u8 source[16];
    __u32 isn;
    __u16 source_port_be;
    __u8 family;
    __u8 zero;
};
_Static_assert(sizeof(struct pending_key) == 24, "layout of pending_key");

/* Key of `live` (the socket's own tuple) and `alias` (with the wire's destination). */
struct tuple_key {
    __u8 source[16];
    __u8 destination[16];
    __u16 source_port_be;
    __u16 destination_port_be;
    __u8 family;
    __u8 zero[3];
};
_Static_assert(sizeof(struct tuple_key) == 40, "layout of tuple_key");

/* Who holds an entry.  Sockets are named by their cookie (unique for the life of the kernel, over
 * all network namespaces), so taking and releasing twice does nothing, and releasing another's does
 * nothing.
 *
 *   owner    the socket whose SYN the entry holds; 0 once it has closed while others remain
 *
 *   others   sockets that have the same tuple in other network namespaces: while there is one,
 *            nobody outside can tell whose connection is meant, and the reader says "ambiguous"
 *
 *   crowded  not 0: more others than there are places.  Then nobody can tell any more when the last
 *            of them has gone, so the entry stays, and stays ambiguous */
struct claim {
    __u64 owner;
    __u64 others[CLAIM_OTHERS_MAX];
    __u32 crowded;
    __u32 zero;
};
_Static_assert(sizeof(struct claim) == 40, "layout of claim");

/* Where a tuple can exist only once: the kernel tells sockets of one tuple apart by these and
 * nothing else.  So a second socket of the same scope proves that the first has closed, whether we
 * saw it close or not. */
struct socket_scope {
    __u64 netns;  /* the network namespace's cookie */
    __u32 device; /* that the socket is bound to (a VRF), 0: none */
    __u32 zero;
};
_Static_assert(sizeof(struct socket_scope) == 16, "layout of socket_scope");

/* Value of `live`.
 *
 * The kernel reuses elements of a preallocated hash at once, so a reader may copy half of one entry
 * and half of the next.  It therefore finds the key again inside, and the same version at both ends
 * (the cookie of the socket that made the entry, never used twice). */
struct live_entry {
    __u64 version_begin;
    struct tuple_key key;
    struct claim claim;
    struct socket_scope scope; /* of the socket that made the entry */
    struct syn_record syn;     /* all zero when has_syn is 0 */
    __u32 has_syn; /* 0: the socket got ESTABLISHED and no SYN of it had been recorded */
    __u32 zero;
    __u64 version_end;
};
_Static_assert(sizeof(struct live_entry) == 224, "layout of live_entry");

/* Value of `alias`: which entry of `live` a wire tuple means. Same rules against tearing. */
struct alias_entry {
    __u64 version_begin;
    struct tuple_key key;
    struct tuple_key live;
    struct claim claim;
    struct socket_scope scope;
    __u64 version_end;
};
_Static_assert(sizeof(struct alias_entry) == 152, "layout of alias_entry");

/* `ports`: an array of 1024 __u64, one bit for each destination port: word port / 64, bit port
 * % 64.  All zero captures nothing. */
#define PORTS_WORDS 1024

#define PREFIXES_MAX 4096

/* Key of `prefixes`, a longest-prefix-match trie of destinations; IPv4 prefixes are 96 bits longer.
 * Consulted only when capture_config.use_prefixes is set. */
struct prefix_key {
    __u32 bits;
    __u8 address[16];
};
_Static_assert(sizeof(struct prefix_key) == 20, "layout of prefix_key");

/* The one value of `config`.  All zero captures nothing. */
struct capture_config {
    __u32 enabled;
    __u32 use_prefixes;
};
_Static_assert(sizeof(struct capture_config) == 8, "layout of capture_config");

#define META_MAGIC 0x53594e41u /* "SYNA" */

/* The one value of `meta`: who made the maps, for whoever opens them. */
struct capture_meta {
    __u32 magic;
    __u32 layout; /* SYN_LAYOUT */
    __u32 pending_size;
    __u32 live_size;
    __u64 started_ns; /* CLOCK_BOOTTIME: connections older than this have no record */
    __u8 boot_id[16];
    __u64 full_ns; /* CLOCK_BOOTTIME of the last connection that `live` or `alias` had no room for;
                      0: none */
};
_Static_assert(sizeof(struct capture_meta) == 48, "layout of capture_meta");

/* Index into capture_counters.  Every way a packet or a socket can end is counted, but for packets
 * that are not of interest at all (no TCP SYN), and only while capture is enabled. */
enum capture_counter {
    COUNTER_SYN_SEEN = 0, /* SYNs that passed the port and prefix filters, sound or not */
    COUNTER_SYN_STORED,
    COUNTER_SYN_RETRANSMIT, /* same source and ISN already pending: the first one is kept */
    COUNTER_SYN_FILTERED_PORT,
    COUNTER_SYN_FILTERED_PREFIX,
    COUNTER_SYN_INSERT_FAILED,
    COUNTER_SYN_BAD_FLAGS,      /* SYN together with FIN or RST */
    COUNTER_SYN_BAD_OFFSET,     /* data offset below 5 or beyond the packet */
    COUNTER_SYN_BAD_LENGTH,     /* the IP length leaves no room for a TCP header */
    COUNTER_SYN_TRUNCATED,      /* the IP length says more than there is */
    COUNTER_SYN_WITH_PAYLOAD,   /* TCP Fast Open */
    COUNTER_IP_BAD_HEADER,      /* version or header length cannot be */
    COUNTER_IP_FRAGMENT,        /* of TCP packets */
    COUNTER_IP_CUT_OFF,         /* the data ends before the TCP header does */
    COUNTER_IPV6_EXTENSION,     /* SYNs behind extension headers that were walked */
    COUNTER_IPV6_TOO_DEEP,      /* more extension headers than the parser walks */
    COUNTER_VLAN_TOO_DEEP,      /* a third VLAN tag */
    COUNTER_PROMOTED,           /* pending -> live */
    COUNTER_PROMOTE_NO_SYN,     /* ESTABLISHED on a captured port without a pending SYN */
    COUNTER_PROMOTE_SHARED,     /* the tuple is held by a socket of another namespace */
    COUNTER_CLAIM_CROWDED,      /* by more of them than a claim has places for */
    COUNTER_LIVE_INSERT_FAILED, /* map full */
    COUNTER_ALIAS_STORED,
    COUNTER_ALIAS_INSERT_FAILED,
    COUNTER_LIVE_DELETED,
    COUNTER_LIVE_REPLACED, /* a socket of the same scope has the tuple now: the first one's close
                              was not seen */
    COUNTER_COUNT_,
};

/* The one value of `counters`, for each CPU. */
struct capture_counters {
    __u64 values[COUNTER_COUNT_];
};

#endif
