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

/* Of the whole set of maps, and the name of the folder they are pinned in. */
#ifndef SYN_LAYOUT
#define SYN_LAYOUT 2
#endif

/* Of what readers read (live, alias, captured, ports, prefixes, config, meta, counters): a server
 * follows every set with this one, whatever else has changed. */
#define READER_LAYOUT 1

#define SYN_OPTIONS_MAX  40 /* a TCP header has at most 60 bytes, 20 of them fixed */
#define CLAIM_OTHERS_MAX 3

/* Where a SYN was seen: from the wire inwards. */
enum syn_hook {
    SYN_HOOK_NONE = 0, /* from a capture file; among the counters: the tracker */
    SYN_HOOK_XDP = 1,
    SYN_HOOK_TCX = 2,    /* tcx or clsact, ingress */
    SYN_HOOK_CGROUP = 3, /* cgroup_skb/ingress: behind NAT and routing, in the socket's namespace */
    SYN_HOOK_COUNT_,
};

/* What the parser met on the way to the TCP header (syn_record.seen). */
enum syn_seen {
    SYN_SEEN_VLAN_1 = 1 << 0,
    SYN_SEEN_VLAN_2 = 1 << 1,
    SYN_SEEN_IPV6_EXTENSION = 1 << 2,
    SYN_SEEN_TUNNEL = 1 << 3, /* inside VXLAN; everything else is of the inner packet */
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
 *   crowded  how many more have the tuple than there are places.  Each of them is in `crowd`, so it
 *            is counted once and taken off once, however often that is tried; and CLAIM_LOST, when
 *            there was one that `crowd` had no room for
 *
 *   tag      low half of the entry's version: it is compared and swapped together with `crowded`,
 *            so what was meant for an entry never counts for another that has its element now
 *
 * The entry goes with the last of those that are known, so nobody can keep one for longer than
 * sockets of its tuple live.  With CLAIM_LOST there was one that is not known: until then the entry
 * stays ambiguous, and afterwards that socket is like one that `live` had no room for: it is
 * "missing", and nothing shows that another namespace, where a socket of its tuple is made later,
 * is not meant.  Who wants that must have more sockets open than `crowd` has room for (as much as
 * `live`), in five namespaces at least; CLAIM_LOST and map_full are counted. */
#define CLAIM_LOST 0x80000000u
struct claim {
    __u64 owner;
    __u64 others[CLAIM_OTHERS_MAX];
    union {
        struct {
            __u32 crowded;
            __u32 tag;
        };
        __u64 crowded_and_tag;
    };
};
_Static_assert(sizeof(struct claim) == 40, "layout of claim");

enum crowd_of {
    CROWD_OF_LIVE = 0,
    CROWD_OF_ALIAS,
};

/* Key and value of `crowd`: a socket that an entry counts in `crowded`. */
struct crowd_key {
    __u64 cookie;
    __u32 of; /* enum crowd_of: in which map the entry is */
    __u32 zero;
};
_Static_assert(sizeof(struct crowd_key) == 16, "layout of crowd_key");

struct crowd_member {
    __u64 version; /* of the entry */
    struct tuple_key key;
};
_Static_assert(sizeof(struct crowd_member) == 48, "layout of crowd_member");

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

/* Value of `captured`, an LRU by the wire's tuple: only on hosts where sockets cannot be followed
 * (capture_config.tracked is 0), and then instead of `pending`.  The first SYN of a tuple stays
 * until capture_config.captured_ms have passed or the LRU needs its place, which SYNs of its own
 * tuple do not take; nothing proves that it is the connection's.  Same rules against tearing; the
 * version is syn.seen_ns. */
struct captured_entry {
    __u64 version_begin;
    struct tuple_key key;
    struct syn_record syn;
    __u64 version_end;
};
_Static_assert(sizeof(struct captured_entry) == 160, "layout of captured_entry");

/* `last_isn`: an array of LAST_ISN_CELLS cells, each the last SYN of the sources that hash to it.
 * Hooks write it with each SYN that they store while it is calm (struct limiter; a flood would only
 * overwrite what is known), the tracker when that one's connection is established and when it ends.
 * For counting only (SYN_CONFLICT, SYN_ON_LIVE, PROMOTE_ISN_MISMATCH): sources that meet in a cell,
 * and CPUs that write it at once, cost a count. */
#define LAST_ISN_CELLS 16384 /* 128 KiB: mostly in a cache */
struct last_isn {
    __u32 isn;
    __u32 tag; /* rest of the hash of source and port, never 0 in use; lowest bit: it is live */
};
_Static_assert(sizeof(struct last_isn) == 8, "layout of last_isn");

/* `limiter`: for each CPU, how many SYNs of a source it has stored in the present second.
 *
 * A source (IPv6: a /64) has one cell in each row, by seeded hashes that are independent of each
 * other; a cell counts the SYNs of all sources that meet in it.  A SYN is skipped when every cell
 * of its source has reached the limit, capture_config.syn_rate.  What bounds the damage:
 *
 *   - nobody is skipped while the LRU keeps a SYN for half a second or more: while all CPUs have
 *     stored fewer than capture_config.calm_syns in this tick, however they share the load;
 *
 *   - nobody is skipped once a quarter of the cells of any row are crowded, that is have half of
 *     the limit: then too many sources are busy, the cells tell nothing about one of them, and the
 *     LRU decides alone.
 *
 * So nobody who does not know the seed can have a client skipped that keeps to half of its limit
 * with a probability of 1/64 or more by sending from other addresses, however much: for that,
 * others must have brought the client's cell to half of the limit in each of three rows, and in
 * each row fewer than a quarter of the cells are so.
 *
 * An address is not protected from those who send with it, forged or from behind the same NAT: they
 * use its own cells.  To have it skipped they must send more than syn_rate a second with it to each
 * CPU that its SYNs may come to, while the host stores more than calm_syns in a tick; as long as
 * they do, connections of that address (or /64), and of no other, are "missing" with reason no_syn,
 * and each SYN that was skipped is counted (SYN_RATE_SKIPPED).  With no limit the same flood would
 * push everybody's SYNs out of the LRU. */
#define LIMITER_ROWS        3
#define LIMITER_CELLS       2048
#define LIMITER_MAX         65535 /* a higher limit is none: a cell counts no further */
#define LIMITER_TICK_SHIFT  28    /* a tick is 2^28 ns of CLOCK_BOOTTIME, 0.27 s */
#define LIMITER_EPOCH_SHIFT 16    /* seconds of one epoch differ in their low 16 bits */
struct limiter {
    __u64 second;                             /* CLOCK_BOOTTIME / 2^30 ns */
    __u32 crowded[LIMITER_ROWS];              /* cells in this second */
    __u32 tick;                               /* low 32 bits */
    __u32 stored_by_all;                      /* in this tick, when this CPU last told `turnover` */
    __u32 stored_since;                       /* by this CPU, and not told yet */
    __u32 cells[LIMITER_ROWS][LIMITER_CELLS]; /* second (low 16 bits) << 16 | count; all of one
                                                 epoch, at whose end they become 0 */
};
_Static_assert(sizeof(struct limiter) == 24608, "layout of limiter");

/* `turnover`: the one value is how many SYNs all CPUs have stored in a tick, but for a few that
 * each has not told. */
struct turnover {
    __u64 tick_and_stored; /* tick << 32 | count */
};
_Static_assert(sizeof(struct turnover) == 8, "layout of turnover");

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

/* The one value of `config`.  All zero captures nothing.  The keeper replaces it while programs
 * run. */
struct capture_config {
    __u32 enabled;
    __u32 use_prefixes;
    __u32 tracked;      /* SYNs go to `pending` for the tracker; 0: to `captured` */
    __u32 captured_ms;  /* how long an entry of `captured` is good */
    __u32 vxlan_port;   /* host order; 0: VXLAN is not looked into */
    __u32 syn_rate;     /* SYNs of one source that one CPU stores in a second; 0: no limit */
    __u32 calm_syns;    /* below so many in a tick, on all CPUs, there is no limit either */
    __u32 node_hops;    /* routers inside the node, between its wire and the sockets of another
                           namespace than the agent's; for readers */
    __u32 keep_pending; /* promoted SYNs stay in `pending`, for the trackers of another set of maps
                           as well: while one set replaces another */
    __u32 zero;
};
_Static_assert(sizeof(struct capture_config) == 40, "layout of capture_config");

/* The one value of `secret`, which is written once, before it is frozen, and goes on from a set of
 * maps to the next.  Not in `config`, which is for readers. */
struct capture_secret {
    __u64 seed; /* of the hashes of sources, for `limiter` and `last_isn` */
};
_Static_assert(sizeof(struct capture_secret) == 8, "layout of capture_secret");

#define META_MAGIC 0x53594e41u /* "SYNA" */

enum capture_state {
    CAPTURE_STARTING = 0, /* not to be used yet */
    CAPTURE_RUNNING,
    CAPTURE_DEGRADED, /* runs, but a hook that was asked for is not attached (meta.hooks_missing) */
    CAPTURE_ENDED,    /* detached for good: entries are no longer kept true, do not read them */
};

/* The one value of `meta`: whoever opens the maps learns here what they are and whether somebody
 * looks after them.  Each field has one writer: the keeper, but for full_ns.  In all layouts it
 * begins with the same four fields, so that whoever reads it knows whether he can. */
struct capture_meta {
    __u32 magic;
    __u32 layout;        /* SYN_LAYOUT */
    __u32 reader_layout; /* READER_LAYOUT */
    __u32 state;         /* enum capture_state */
    __u32 tracked;       /* as in capture_config */
    __u32 hooks;         /* attached now */
    __u32 hooks_missing; /* asked for, and not attached */
    __u32 owner_pid;     /* of the agent, in its own pid namespace */
    __u32 pending_size;
    __u32 live_size; /* and of alias */
    __u32 captured_size;
    __u32 zero;
    __u64 generation;   /* one more with each agent that takes the set over */
    __u64 started_ns;   /* CLOCK_BOOTTIME: connections older than this have no record */
    __u64 heartbeat_ns; /* CLOCK_BOOTTIME, every second while an agent runs; 0: none ever did */
    __u64 host_netns;   /* cookie of the agent's network namespace */
    __u64 full_ns; /* by the programs: CLOCK_BOOTTIME of the last connection that `live` or `alias`
                      had no room for; 0: none */
    __u8 boot_id[16];
};
_Static_assert(sizeof(struct capture_meta) == 104, "layout of capture_meta");

#define HEARTBEAT_STALE_NS 5000000000ull

/* What the keeper is told.  Whoever holds any descriptor of a map can pin it in a bpffs of his own
 * and open that pin for writing; so `config`, `ports`, `prefixes` and `meta` are frozen, which user
 * space cannot write at all, and one program writes them, which only root can run.
 *
 * In all layouts an order begins with what is to be done, and KEEPER_END needs no more than that:
 * another version's set is ended by the keeper that is pinned in it. */
enum keeper_action {
    KEEPER_END = 1, /* meta.state becomes CAPTURE_ENDED */
    KEEPER_META,    /* all of it but full_ns */
    KEEPER_CONFIG,
    KEEPER_PORTS, /* one word */
    KEEPER_ADD_PREFIX,
    KEEPER_REMOVE_PREFIX,
};

struct keeper_order {
    __u32 action; /* enum keeper_action */
    __u32 word;   /* of `ports` */
    union {
        struct capture_meta meta;
        struct capture_config config;
        __u64 ports;
        struct prefix_key prefix;
    };
};
_Static_assert(sizeof(struct keeper_order) == 112, "layout of keeper_order");

/* `watch`: programs write to `events` only until then (CLOCK_BOOTTIME), so that a watcher that died
 * costs nothing. */
struct watch_lease {
    __u64 until_ns;
};

/* What `events` carries: one for each connection that was established on a captured destination
 * (or, without tracking, for each SYN that was stored). */
struct watch_event {
    struct tuple_key key; /* the socket's; without tracking the wire's */
    __u64 netns;          /* the socket's, 0: not known */
    __u32 state;          /* enum watch_state */
    __u32 zero;
    struct syn_record syn; /* all zero where the state has none */
};
_Static_assert(sizeof(struct watch_event) == 160, "layout of watch_event");

enum watch_state {
    WATCH_VERIFIED = 1,
    WATCH_NO_SYN,
    WATCH_AMBIGUOUS,
    WATCH_MAP_FULL,
    WATCH_CAPTURED
};

/* Index into capture_counters.  Every way a packet or a socket can end is counted, but for packets
 * that are not of interest at all (no TCP SYN), and only while capture is enabled. */
enum capture_counter {
    /* by the hooks */
    COUNTER_SYN_SEEN = 0, /* SYNs that passed the port and prefix filters, sound or not */
    COUNTER_SYN_STORED,
    COUNTER_SYN_RETRANSMIT, /* same source and ISN already stored, by this hook or one before it:
                               the first one is kept */
    COUNTER_SYN_CONFLICT, /* another ISN than the last SYN of that source and port (last_isn), whose
                             handshake has not ended; it is stored beside the first one, or without
                             tracking not at all */
    COUNTER_SYN_ON_LIVE,  /* the same while that one's connection lives */
    COUNTER_SYN_FILTERED_PORT,
    COUNTER_SYN_FILTERED_PREFIX,
    COUNTER_SYN_RATE_SKIPPED,
    COUNTER_SYN_RATE_ALLOWED, /* stored while the limiter was asked (not calm) */
    COUNTER_SYN_INSERT_NO_MEMORY,
    COUNTER_SYN_INSERT_FAILED, /* for another reason */
    COUNTER_SYN_BAD_FLAGS,     /* SYN together with FIN or RST */
    COUNTER_SYN_BAD_OFFSET,    /* data offset below 5 or beyond the packet */
    COUNTER_SYN_BAD_LENGTH,    /* the IP length leaves no room for a TCP header */
    COUNTER_SYN_TRUNCATED,     /* the IP length says more than there is */
    COUNTER_SYN_WITH_PAYLOAD,  /* TCP Fast Open */
    COUNTER_IP_BAD_HEADER,     /* version or header length cannot be */
    COUNTER_IP_FRAGMENT,       /* of TCP packets */
    COUNTER_IP_CUT_OFF,        /* the data ends before the TCP header does */
    COUNTER_IPV6_EXTENSION,    /* SYNs behind extension headers that were walked */
    COUNTER_IPV6_TOO_DEEP,     /* more extension headers than the parser walks */
    COUNTER_VLAN_TOO_DEEP,     /* a third VLAN tag */
    COUNTER_TUNNEL_UNPARSED,   /* IP in IP, GRE, Geneve, VXLAN that is not looked into: packets */
    COUNTER_TUNNEL_PARSED,     /* of SYN_SEEN those inside VXLAN */
    COUNTER_LINK_UNPARSED,     /* MPLS, PPPoE: packets */
    /* by the tracker */
    COUNTER_PROMOTED,             /* pending -> live */
    COUNTER_PENDING_TAKEN,        /* entries that left `pending` this way */
    COUNTER_PROMOTE_NO_SYN,       /* ESTABLISHED on a captured port without a pending SYN */
    COUNTER_PROMOTE_ISN_MISMATCH, /* of those: the last SYN of that source had another ISN */
    COUNTER_PROMOTE_SHARED,       /* the tuple is held by a socket of another namespace */
    COUNTER_CLAIM_CROWDED,        /* by more of them than a claim has places for */
    COUNTER_CLAIM_LOST,           /* and `crowd` had no room either */
    COUNTER_LIVE_STORED,
    COUNTER_LIVE_INSERT_FAILED, /* map full */
    COUNTER_LIVE_DELETED,
    COUNTER_LIVE_DELETE_MISS, /* CLOSE on a captured port without an entry: of a connection older
                                 than the capture, or one that `live` had no room for; where all
                                 ports are captured, also of each connection that this host opened
                               */
    COUNTER_LIVE_REPLACED,    /* a socket of the same scope has the tuple now: the first one's close
                                 was not seen */
    COUNTER_ALIAS_STORED,
    COUNTER_ALIAS_INSERT_FAILED,
    COUNTER_ALIAS_DELETED,
    COUNTER_WATCH_LOST, /* events that the ring had no room for */
    COUNTER_COUNT_,
};

/* The value of `counters`, for each CPU; its index is counters_index().  What is not known to be
 * IPv6 is counted with IPv4. */
struct capture_counters {
    __u64 values[COUNTER_COUNT_];
};

#define COUNTERS_SIZE (SYN_HOOK_COUNT_ * 2)

static inline __attribute__((always_inline)) __u32 counters_index(enum syn_hook hook,
                                                                  __u8 ip_version)
{
    return (__u32)hook * 2 + (ip_version == 6);
}

#endif
