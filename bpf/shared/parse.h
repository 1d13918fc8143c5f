/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the bytes of a frame to a struct syn_record: one source for the BPF programs and for user
 * space.
 *
 * In three steps, so that the kernel pays only for what a packet turns out to be:
 *   parse_ethernet(), parse_ip()  find the TCP header; all that happens to packets that are no SYN
 *   parse_check()                 of a SYN: flags and lengths, as p0f wants them
 *   parse_fill()                  the record and the key it is stored under
 * parse_syn_ethernet() and parse_syn_ip() are the first two in one call, for whoever has the whole
 * frame.
 *
 * PARSE_SYN is the answer for exactly the packets that p0f 3.09b reports as SYNs, and besides for
 * SYNs behind VLAN tags and IPv6 extension headers, which syn_record.seen tells apart.  (p0f reads
 * at most 65535 bytes of a frame: a caller that wants to be its equal ends longer frames there.)
 * Checksums are not looked at.
 *
 * Nothing is read without a check against the end of the data, in the form that the BPF verifier
 * follows. */
#ifndef PARSE_H
#define PARSE_H

#include <linux/types.h>

#include "packet_layout.h"
#include "record.h"

/* The order matters: up to PARSE_NOT_SYN a packet is of no interest, from PARSE_SYN on parse_packet
 * is set. */
enum parse_result {
    PARSE_NOT_IP = 0,
    PARSE_NOT_TCP,
    PARSE_NOT_SYN,
    PARSE_UDP,           /* parse_packet.tcp is its UDP header; parse_datagram() looks into it */
    PARSE_TUNNEL,        /* IP in IP or GRE, or what parse_datagram() cannot look into */
    PARSE_LINK,          /* MPLS or PPPoE: there may be IP inside, which nobody looks for */
    PARSE_FRAGMENT,      /* of a TCP packet, the first one too, and IPv6 "atomic" ones */
    PARSE_BAD_IP_HEADER, /* version or lengths cannot be */
    PARSE_CUT_OFF,       /* the data ends before the TCP header does */
    PARSE_VLAN_TOO_DEEP, /* a third VLAN tag */
    PARSE_IPV6_TOO_DEEP, /* more extension headers than PARSE_EXTENSIONS_MAX */
    PARSE_SYN,
    PARSE_BAD_FLAGS,  /* SYN together with FIN or RST */
    PARSE_BAD_LENGTH, /* the IP packet ends before a TCP header could */
    PARSE_BAD_OFFSET, /* data offset below 5, or beyond the IP packet */
    PARSE_TRUNCATED,  /* the IP length says more than there is */
    PARSE_COUNT_,
};

enum { PARSE_VLAN_TAGS_MAX = 2, PARSE_EXTENSIONS_MAX = 8 };

/* Where things are.  The pointers are borrowed from the frame. */
struct parse_packet {
    const __u8 *start; /* of the frame */
    const __u8 *ip;
    const __u8 *tcp;
    const __u8 *end;   /* of the data at hand */
    __u32 link_length; /* bytes before the IP header */
    __u32 ip_header;   /* bytes of the IP header with options or extension headers */
    __u8 version;      /* 4 or 6 as soon as it is known, for every result; else 0 */
    __u8 seen;         /* enum syn_seen, or-ed */
};

#define PARSE_INLINE static inline __attribute__((always_inline))

/* Before a loop whose eight copies would only make the program longer. */
#ifdef __clang__
#define PARSE_KEEP_LOOP _Pragma("clang loop unroll(disable)")
#else
#define PARSE_KEEP_LOOP
#endif

/* The verifier follows the comparison of a moved pointer with the end, and knows that packets may
 * be read at any alignment; C allows neither, so user space does the same by other means. */
#ifdef __bpf__
PARSE_INLINE int parse_fits(const __u8 *at, const __u8 *end, __u32 size)
{
    return at + size <= end;
}

PARSE_INLINE __u16 parse_raw16(const __u8 *at)
{
    return *(const __u16 *)at;
}

PARSE_INLINE __u32 parse_raw32(const __u8 *at)
{
    return *(const __u32 *)at;
}
#else
PARSE_INLINE int parse_fits(const __u8 *at, const __u8 *end, __u32 size)
{
    return at <= end && size <= (unsigned long)(end - at);
}

PARSE_INLINE __u16 parse_raw16(const __u8 *at)
{
    __u16 raw;

    __builtin_memcpy(&raw, at, sizeof(raw));
    return raw;
}

PARSE_INLINE __u32 parse_raw32(const __u8 *at)
{
    __u32 raw;

    __builtin_memcpy(&raw, at, sizeof(raw));
    return raw;
}
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
PARSE_INLINE __u16 parse_be16(const __u8 *at)
{
    return __builtin_bswap16(parse_raw16(at));
}

PARSE_INLINE __u32 parse_be32(const __u8 *at)
{
    return __builtin_bswap32(parse_raw32(at));
}
#else
PARSE_INLINE __u16 parse_be16(const __u8 *at)
{
    return parse_raw16(at);
}

PARSE_INLINE __u32 parse_be32(const __u8 *at)
{
    return parse_raw32(at);
}
#endif

/* The TCP header, and whether it is worth more. */
PARSE_INLINE enum parse_result parse_tcp(const __u8 *tcp, struct parse_packet *packet)
{
    if (!parse_fits(tcp, packet->end, PARSE_TCP_SIZE))
        return PARSE_CUT_OFF;
    if ((tcp[PARSE_TCP_FLAGS] & (PARSE_SYN_BIT | PARSE_ACK_BIT)) != PARSE_SYN_BIT)
        return PARSE_NOT_SYN;
    packet->tcp = tcp;
    return PARSE_SYN;
}

/* No TCP, but perhaps a tunnel that has some inside. */
PARSE_INLINE enum parse_result parse_no_tcp(__u8 protocol, const __u8 *at,
                                            struct parse_packet *packet)
{
    if (protocol == PARSE_PROTOCOL_UDP && parse_fits(at, packet->end, PARSE_UDP_SIZE)) {
        packet->tcp = at;
        return PARSE_UDP;
    }
    return protocol == PARSE_PROTOCOL_IP4 || protocol == PARSE_PROTOCOL_IP6 ||
                   protocol == PARSE_PROTOCOL_GRE
               ? PARSE_TUNNEL
               : PARSE_NOT_TCP;
}

/* Later fragments have no header behind that of IP. */
PARSE_INLINE enum parse_result parse_ip4_no_tcp(const __u8 *ip, struct parse_packet *packet)
{
    __u32 header = (ip[0] & 0x0f) * 4;

    if (ip[0] >> 4 != 4 || header < PARSE_IP4_SIZE ||
        parse_be16(ip + PARSE_IP4_FRAGMENT) & PARSE_IP4_OFFSET)
        return PARSE_NOT_TCP;
    packet->ip_header = header;
    return parse_no_tcp(ip[PARSE_IP4_PROTOCOL], ip + header, packet);
}

PARSE_INLINE enum parse_result parse_ip4(const __u8 *ip, struct parse_packet *packet)
{
    __u32 header;

    packet->version = 4;
    if (!parse_fits(ip, packet->end, PARSE_IP4_SIZE))
        return PARSE_CUT_OFF;
    if (ip[PARSE_IP4_PROTOCOL] != PARSE_PROTOCOL_TCP)
        return parse_ip4_no_tcp(ip, packet);
    header = (ip[0] & 0x0f) * 4;
    if (ip[0] >> 4 != 4 || header < PARSE_IP4_SIZE)
        return PARSE_BAD_IP_HEADER;
    if (parse_be16(ip + PARSE_IP4_FRAGMENT) & PARSE_IP4_MORE_OR_OFFSET)
        return PARSE_FRAGMENT;
    packet->ip = ip;
    packet->ip_header = header;
    return parse_tcp(ip + header, packet);
}

PARSE_INLINE int parse_is_extension(__u8 protocol)
{
    return protocol == PARSE_PROTOCOL_HOP_BY_HOP || protocol == PARSE_PROTOCOL_ROUTING ||
           protocol == PARSE_PROTOCOL_DESTINATION;
}

/* Behind the fixed IPv6 header, where `next` is not TCP. */
PARSE_INLINE enum parse_result parse_ip6_extensions(const __u8 *ip, __u8 next,
                                                    struct parse_packet *packet)
{
    const __u8 *at = ip + PARSE_IP6_SIZE;
    __u32 header = PARSE_IP6_SIZE;

    PARSE_KEEP_LOOP
    for (int i = 0; i < PARSE_EXTENSIONS_MAX && parse_is_extension(next); i++) {
        __u32 size;

        if (!parse_fits(at, packet->end, PARSE_IP6_EXTENSION_SIZE))
            return PARSE_CUT_OFF;
        next = at[0];
        size = (at[1] + 1) * PARSE_IP6_EXTENSION_SIZE;
        at += size;
        header += size;
        /* The next comparison must not start from a pointer beyond the end. */
        if (!parse_fits(at, packet->end, 0))
            return PARSE_CUT_OFF;
    }
    if (next == PARSE_PROTOCOL_FRAGMENT) {
        if (!parse_fits(at, packet->end, PARSE_IP6_EXTENSION_SIZE))
            return PARSE_CUT_OFF;
        return at[0] == PARSE_PROTOCOL_TCP ? PARSE_FRAGMENT : PARSE_NOT_TCP;
    }
    packet->ip_header = header;
    if (next != PARSE_PROTOCOL_TCP)
        return parse_is_extension(next) ? PARSE_IPV6_TOO_DEEP : parse_no_tcp(next, at, packet);
    packet->seen |= SYN_SEEN_IPV6_EXTENSION;
    return parse_tcp(at, packet);
}

PARSE_INLINE enum parse_result parse_ip6(const __u8 *ip, struct parse_packet *packet)
{
    packet->version = 6;
    if (!parse_fits(ip, packet->end, PARSE_IP6_SIZE))
        return PARSE_CUT_OFF;
    if (ip[0] >> 4 != 6)
        return PARSE_BAD_IP_HEADER;
    packet->ip = ip;
    packet->ip_header = PARSE_IP6_SIZE;
    if (ip[PARSE_IP6_NEXT] == PARSE_PROTOCOL_TCP)
        return parse_tcp(ip + PARSE_IP6_SIZE, packet);
    return parse_ip6_extensions(ip, ip[PARSE_IP6_NEXT], packet);
}

PARSE_INLINE int parse_is_vlan(__u16 type)
{
    return type == PARSE_TYPE_VLAN || type == PARSE_TYPE_VLAN_PROVIDER ||
           type == PARSE_TYPE_VLAN_OLD;
}

PARSE_INLINE enum parse_result parse_by_type(__u16 type, const __u8 *ip,
                                             struct parse_packet *packet)
{
    if (type == PARSE_TYPE_IP4)
        return parse_ip4(ip, packet);
    if (type == PARSE_TYPE_IP6)
        return parse_ip6(ip, packet);
    return type == PARSE_TYPE_MPLS || type == PARSE_TYPE_MPLS_MULTICAST || type == PARSE_TYPE_PPPOE
               ? PARSE_LINK
               : PARSE_NOT_IP;
}

/* `tags`: how many were before those that the frame begins with. */
PARSE_INLINE enum parse_result parse_tagged(const __u8 *frame, __u16 type, __u8 tags,
                                            struct parse_packet *packet)
{
    const __u8 *at = frame + PARSE_ETH_SIZE;

    packet->link_length += PARSE_ETH_SIZE;
    for (; tags < PARSE_VLAN_TAGS_MAX && parse_is_vlan(type); tags++) {
        if (!parse_fits(at, packet->end, PARSE_VLAN_SIZE))
            return PARSE_CUT_OFF;
        type = parse_be16(at + PARSE_VLAN_TYPE);
        at += PARSE_VLAN_SIZE;
        packet->link_length += PARSE_VLAN_SIZE;
    }
    if (parse_is_vlan(type))
        return PARSE_VLAN_TOO_DEEP;
    packet->seen |= tags == 1 ? SYN_SEEN_VLAN_1 : SYN_SEEN_VLAN_2;
    return parse_by_type(type, at, packet);
}

/* An Ethernet frame at `frame`, which need not be where the data starts. */
PARSE_INLINE enum parse_result parse_frame(const __u8 *frame, __u8 tags,
                                           struct parse_packet *packet)
{
    __u16 type;

    if (!parse_fits(frame, packet->end, PARSE_ETH_SIZE))
        return PARSE_NOT_IP;
    type = parse_be16(frame + PARSE_ETH_TYPE);
    if (tags || parse_is_vlan(type))
        return parse_tagged(frame, type, tags, packet);
    packet->link_length += PARSE_ETH_SIZE;
    return parse_by_type(type, frame + PARSE_ETH_SIZE, packet);
}

/* Find the TCP header of a frame that starts with its Ethernet header.  `tags`: VLAN tags that have
 * been taken out of it (0..1). */
PARSE_INLINE enum parse_result parse_ethernet(const void *data, const void *end, __u8 tags,
                                              struct parse_packet *ret_packet)
{
    *ret_packet = (struct parse_packet){.start = (const __u8 *)data, .end = (const __u8 *)end};
    return parse_frame((const __u8 *)data, tags, ret_packet);
}

/* Same for data that starts with the IP header. */
PARSE_INLINE enum parse_result parse_ip(const void *data, const void *end,
                                        struct parse_packet *ret_packet)
{
    const __u8 *ip = (const __u8 *)data;

    *ret_packet = (struct parse_packet){.start = (const __u8 *)data, .end = (const __u8 *)end};
    if (!parse_fits(ip, ret_packet->end, 1))
        return PARSE_NOT_IP;
    if (ip[0] >> 4 == 4)
        return parse_ip4(ip, ret_packet);
    if (ip[0] >> 4 == 6)
        return parse_ip6(ip, ret_packet);
    return PARSE_NOT_IP;
}

/* Bytes of the IP packet by its own account. */
PARSE_INLINE __u32 parse_ip_length(const struct parse_packet *packet)
{
    if (packet->version == 4)
        return parse_be16(packet->ip + PARSE_IP4_LENGTH);
    return PARSE_IP6_SIZE + parse_be16(packet->ip + PARSE_IP6_LENGTH);
}

/* 0..60, a multiple of 4. */
PARSE_INLINE __u32 parse_tcp_header(const struct parse_packet *packet)
{
    return (packet->tcp[PARSE_TCP_OFFSET] >> 4) * 4;
}

/* What PARSE_SYN said is a SYN: could it be one?  `available`: bytes from the IP header to the end
 * of the frame, which in the kernel may be more than lies before `packet->end`; what exceeds the IP
 * length is padding.  (64 bits wide, or clang would subtract pointers in 32 bits, which the
 * verifier forbids.) Returns PARSE_SYN or what is wrong. */
PARSE_INLINE enum parse_result parse_check(const struct parse_packet *packet, __u64 available)
{
    __u32 length = parse_ip_length(packet);
    __u32 tcp_header = parse_tcp_header(packet);

    if (packet->tcp[PARSE_TCP_FLAGS] & (PARSE_FIN | PARSE_RST))
        return PARSE_BAD_FLAGS;
    if (length > available)
        return PARSE_TRUNCATED;
    if (length < packet->ip_header + PARSE_TCP_SIZE)
        return PARSE_BAD_LENGTH;
    if (tcp_header < PARSE_TCP_SIZE || tcp_header > length - packet->ip_header)
        return PARSE_BAD_OFFSET;
    if (!parse_fits(packet->tcp, packet->end, tcp_header))
        return PARSE_TRUNCATED;
    return PARSE_SYN;
}

PARSE_INLINE enum parse_result parse_syn_ethernet(const void *data, const void *end,
                                                  struct parse_packet *ret_packet)
{
    enum parse_result result = parse_ethernet(data, end, 0, ret_packet);

    if (result != PARSE_SYN)
        return result;
    return parse_check(ret_packet, (__u64)((const __u8 *)end - ret_packet->ip));
}

PARSE_INLINE enum parse_result parse_syn_ip(const void *data, const void *end,
                                            struct parse_packet *ret_packet)
{
    enum parse_result result = parse_ip(data, end, ret_packet);

    if (result != PARSE_SYN)
        return result;
    return parse_check(ret_packet, (__u64)((const __u8 *)end - ret_packet->ip));
}

PARSE_INLINE void parse_map_ip4(__u8 *to, const __u8 *ip4)
{
    __builtin_memset(to, 0, 10);
    to[10] = 0xff;
    to[11] = 0xff;
    __builtin_memcpy(to + 12, &(__u32){parse_raw32(ip4)}, 4);
}

PARSE_INLINE void parse_copy_ip6(__u8 *to, const __u8 *ip6)
{
    for (int i = 0; i < 16; i += 4)
        __builtin_memcpy(to + i, &(__u32){parse_raw32(ip6 + i)}, 4);
}

/* The destination address, in the form of the keys. */
PARSE_INLINE void parse_destination(const struct parse_packet *packet, __u8 ret_address[16])
{
    if (packet->version == 4)
        parse_map_ip4(ret_address, packet->ip + PARSE_IP4_DESTINATION);
    else
        parse_copy_ip6(ret_address, packet->ip + PARSE_IP6_DESTINATION);
}

PARSE_INLINE void parse_fill_ip4(const __u8 *ip, struct pending_key *key, struct syn_record *record)
{
    parse_map_ip4(key->source, ip + PARSE_IP4_SOURCE);
    record->ip_id = parse_be16(ip + PARSE_IP4_ID);
    record->ip_fragment = parse_be16(ip + PARSE_IP4_FRAGMENT);
    record->ttl = ip[PARSE_IP4_TTL];
    record->tos = ip[PARSE_IP4_TOS];
    record->ip_options_length = (ip[0] & 0x0f) * 4 - PARSE_IP4_SIZE;
}

PARSE_INLINE void parse_fill_ip6(const __u8 *ip, struct pending_key *key, struct syn_record *record)
{
    __u32 first = parse_be32(ip); /* version 4, traffic class 8, flow label 20 bits */

    parse_copy_ip6(key->source, ip + PARSE_IP6_SOURCE);
    record->flow_label = first & 0xfffff;
    record->tos = (__u8)(first >> 20);
    record->ttl = ip[PARSE_IP6_HOPS];
}

PARSE_INLINE void parse_fill_tcp(const struct parse_packet *packet, struct pending_key *key,
                                 struct syn_record *record)
{
    const __u8 *tcp = packet->tcp;
    const __u8 *options = tcp + PARSE_TCP_SIZE;
    __u32 length = parse_tcp_header(packet) - PARSE_TCP_SIZE;

    key->source_port_be = parse_raw16(tcp + PARSE_TCP_SOURCE);
    record->wire_destination_port_be = parse_raw16(tcp + PARSE_TCP_DESTINATION);
    record->isn = parse_be32(tcp + PARSE_TCP_SEQUENCE);
    record->ack = parse_be32(tcp + PARSE_TCP_ACK);
    record->tcp_flags = parse_be16(tcp + PARSE_TCP_OFFSET) & 0x0fff;
    record->window = parse_be16(tcp + PARSE_TCP_WINDOW);
    record->urgent_pointer = parse_be16(tcp + PARSE_TCP_URGENT);
    record->tcp_options_length = (__u8)length;
    /* The length is a multiple of 4; parse_check() has seen that all of it is there. */
    for (__u32 i = 0; i < SYN_OPTIONS_MAX && i < length; i += 4) {
        if (!parse_fits(options + i, packet->end, 4))
            break;
        __builtin_memcpy(record->tcp_options + i, &(__u32){parse_raw32(options + i)}, 4);
    }
}

/* The record and its key, of a packet for which parse_check() said PARSE_SYN.  The time, the device
 * and the hook are the caller's to add; they are zero. */
PARSE_INLINE void parse_fill(const struct parse_packet *packet, struct pending_key *ret_key,
                             struct syn_record *ret_record)
{
    __builtin_memset(ret_key, 0, sizeof(*ret_key));
    __builtin_memset(ret_record, 0, sizeof(*ret_record));
    if (packet->version == 4)
        parse_fill_ip4(packet->ip, ret_key, ret_record);
    else
        parse_fill_ip6(packet->ip, ret_key, ret_record);
    parse_fill_tcp(packet, ret_key, ret_record);
    parse_destination(packet, ret_record->wire_destination);
    ret_record->ip_version = packet->version;
    ret_record->seen = packet->seen;
    ret_record->payload_length =
        parse_ip_length(packet) - packet->ip_header - parse_tcp_header(packet);
    ret_key->isn = ret_record->isn;
    ret_key->family = packet->version;
}

#endif
