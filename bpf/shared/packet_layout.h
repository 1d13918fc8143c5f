/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the fields of the headers are and what their numbers mean: IEEE 802.3 and 802.1Q, RFC 791,
 * RFC 8200, RFC 9293, RFC 768, RFC 7348; numbers of protocols and ports as IANA gives them. */
#ifndef PACKET_LAYOUT_H
#define PACKET_LAYOUT_H

/* Offsets and sizes, in bytes. */
enum {
    PARSE_ETH_TYPE = 12,
    PARSE_ETH_SIZE = 14,
    PARSE_VLAN_TYPE = 2, /* from the tag's control information on */
    PARSE_VLAN_SIZE = 4,

    PARSE_IP4_TOS = 1,
    PARSE_IP4_LENGTH = 2,
    PARSE_IP4_ID = 4,
    PARSE_IP4_FRAGMENT = 6,
    PARSE_IP4_TTL = 8,
    PARSE_IP4_PROTOCOL = 9,
    PARSE_IP4_SOURCE = 12,
    PARSE_IP4_DESTINATION = 16,
    PARSE_IP4_SIZE = 20,

    PARSE_IP6_LENGTH = 4,
    PARSE_IP6_NEXT = 6,
    PARSE_IP6_HOPS = 7,
    PARSE_IP6_SOURCE = 8,
    PARSE_IP6_DESTINATION = 24,
    PARSE_IP6_SIZE = 40,
    PARSE_IP6_EXTENSION_SIZE = 8, /* the smallest, and the unit of its length field */

    PARSE_TCP_SOURCE = 0,
    PARSE_TCP_DESTINATION = 2,
    PARSE_TCP_SEQUENCE = 4,
    PARSE_TCP_ACK = 8,
    PARSE_TCP_OFFSET = 12,
    PARSE_TCP_FLAGS = 13,
    PARSE_TCP_WINDOW = 14,
    PARSE_TCP_URGENT = 18,
    PARSE_TCP_SIZE = 20,

    PARSE_UDP_DESTINATION = 2,
    PARSE_UDP_SIZE = 8,

    PARSE_VXLAN_SIZE = 8,
};

enum {
    PARSE_TYPE_IP4 = 0x0800,
    PARSE_TYPE_IP6 = 0x86dd,
    PARSE_TYPE_VLAN = 0x8100,
    PARSE_TYPE_VLAN_PROVIDER = 0x88a8,
    PARSE_TYPE_VLAN_OLD = 0x9100,
    PARSE_TYPE_MPLS = 0x8847,
    PARSE_TYPE_MPLS_MULTICAST = 0x8848,
    PARSE_TYPE_PPPOE = 0x8864,

    PARSE_PROTOCOL_HOP_BY_HOP = 0,
    PARSE_PROTOCOL_IP4 = 4,
    PARSE_PROTOCOL_TCP = 6,
    PARSE_PROTOCOL_UDP = 17,
    PARSE_PROTOCOL_IP6 = 41,
    PARSE_PROTOCOL_ROUTING = 43,
    PARSE_PROTOCOL_FRAGMENT = 44,
    PARSE_PROTOCOL_GRE = 47,
    PARSE_PROTOCOL_DESTINATION = 60,

    PARSE_PORT_VXLAN = 4789,
    PARSE_PORT_GENEVE = 6081,

    PARSE_IP4_OFFSET = 0x1fff,         /* of a fragment */
    PARSE_IP4_MORE_OR_OFFSET = 0x3fff, /* with the bit MF: zero in a whole packet */

    PARSE_FIN = 0x01,
    PARSE_SYN_BIT = 0x02,
    PARSE_RST = 0x04,
    PARSE_ACK_BIT = 0x10,

    PARSE_VXLAN_HAS_ID = 0x08, /* the flag I, in the first byte: must be set */
};

#endif
