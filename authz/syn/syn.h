/* SPDX-License-Identifier: Apache-2.0 */
/* The facts of one SYN, decoded: what the fingerprint is made of.
 *
 * A `struct syn_record` (bpf/shared/record.h) comes from the kernel or, for captures, from the same
 * header parser run here; this module turns it into facts.  Nothing here knows how p0f prints. */
#ifndef SYN_H
#define SYN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct syn_record;

enum {
    SYN_LAYOUT_MAX = 24, /* p0f stops after this many options */
    TCP_OPTION_EOL = 0,
    TCP_OPTION_NOP = 1,
    TCP_OPTION_MSS = 2,
    TCP_OPTION_WS = 3,
    TCP_OPTION_SACK_PERMITTED = 4,
    TCP_OPTION_SACK = 5,
    TCP_OPTION_TIMESTAMPS = 8,
};

/* p0f's quirks, with p0f's meaning (p0f 3.09b README section 5, and the binary where they differ).
 * The order of the bits is the order in which p0f prints them. */
enum syn_quirk {
    QUIRK_DF = 1 << 0,
    QUIRK_ID_NONZERO = 1 << 1, /* id+ */
    QUIRK_ID_ZERO = 1 << 2,    /* id- */
    QUIRK_ECN = 1 << 3,
    QUIRK_RESERVED_BIT = 1 << 4, /* 0+ */
    QUIRK_FLOW = 1 << 5,
    QUIRK_SEQ_ZERO = 1 << 6,         /* seq- */
    QUIRK_ACK_NONZERO = 1 << 7,      /* ack+ */
    QUIRK_ACK_ZERO = 1 << 8,         /* ack-, never on a SYN */
    QUIRK_URG_POINTER = 1 << 9,      /* uptr+ */
    QUIRK_URG = 1 << 10,             /* urgf+ */
    QUIRK_PUSH = 1 << 11,            /* pushf+ */
    QUIRK_TS1_ZERO = 1 << 12,        /* ts1- */
    QUIRK_TS2_NONZERO = 1 << 13,     /* ts2+ */
    QUIRK_EOL_PAD_NONZERO = 1 << 14, /* opt+ */
    QUIRK_EXCESSIVE_WS = 1 << 15,    /* exws */
    QUIRK_BAD_OPTIONS = 1 << 16,     /* bad */
};

/* Host order throughout.  As in p0f, an absent option and a value of 0 are the same here. */
struct syn {
    uint64_t seen_ns; /* CLOCK_BOOTTIME, 0 from a capture file */
    uint32_t isn;
    uint32_t quirks; /* enum syn_quirk, or-ed */
    uint32_t ts_value;
    uint32_t payload_length;
    uint16_t mss;
    uint16_t window;
    uint16_t
        header_length; /* IP and TCP header with options, bytes; IPv6 counts 40 for the IP part */
    uint8_t ip_version;
    uint8_t ttl;
    uint8_t ip_options_length;
    uint8_t dscp;
    uint8_t scale;
    uint8_t eol_pad; /* bytes behind an EOL option */
    uint8_t hook;    /* enum syn_hook */

    /* Routers of this node that the SYN passed before it was seen: each took one off its TTL, so
     * that the same client would look farther away behind some hooks than before others.  What
     * people see as distance (policies, `lookup`) is syn_distance_to_node(); the signature is
     * p0f's, of the packet as it was seen. */
    uint8_t node_hops;

    bool beyond_p0f; /* VLAN tags or IPv6 extension headers: p0f itself would not report it */
    uint8_t layout_length;
    uint8_t layout[SYN_LAYOUT_MAX]; /* option kinds in wire order, up to and including EOL */
};

/* Decode a record.  Never fails: damaged options are a fact (QUIRK_BAD_OPTIONS), and a length
 * beyond the record's array is cut to it. */
void syn_from_record(const struct syn_record *record, struct syn *ret_syn);

/* Hops from the sender to this node, when `distance` is how far the packet had come (p0f's guess by
 * its TTL).  Not below 0: where the sender is on this node, too. */
static inline int syn_distance_to_node(const struct syn *syn, int distance)
{
    return distance > syn->node_hops ? distance - syn->node_hops : 0;
}

/* "xdp", "tcx", "cgroup"; NULL for a SYN that no hook has seen (SYN_HOOK_NONE). */
const char *syn_hook_name(unsigned hook);

#endif
