/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Into VXLAN, for the hooks that see frames before the kernel has unpacked them.  Capture files are
 * not looked into like this: p0f does not. */
#ifndef PARSE_TUNNEL_H
#define PARSE_TUNNEL_H

#include "parse.h"

/* A frame in a tunnel is looked for up to here: two VLAN tags and the longest IPv4 header leave
 * room for many IPv6 extension headers. */
enum { PARSE_INSIDE_MAX = 511 };

PARSE_INLINE __u16 parse_udp_destination(const struct parse_packet *packet)
{
    return parse_be16(packet->tcp + PARSE_UDP_DESTINATION);
}

PARSE_INLINE enum parse_result parse_tunnel_port(__u16 port)
{
    return port == PARSE_PORT_VXLAN || port == PARSE_PORT_GENEVE ? PARSE_TUNNEL : PARSE_NOT_TCP;
}

/* The frame behind the VXLAN header (RFC 7348 section 5): from here on everything is of that one.
 * A tunnel inside the tunnel is left alone.
 *
 * The verifier knows nothing of a difference of two pointers, and the compiler must not see that
 * it could do without: so all ways to get here look the same from here on, and what follows is
 * verified once instead of once for each. */
PARSE_INLINE enum parse_result parse_vxlan(struct parse_packet *packet)
{
    const __u8 *vxlan = packet->tcp + PARSE_UDP_SIZE;
    volatile __u32 at;
    __u32 inside;
    enum parse_result result;

    if (!parse_fits(vxlan, packet->end, PARSE_VXLAN_SIZE) || !(vxlan[0] & PARSE_VXLAN_HAS_ID))
        return PARSE_TUNNEL;
    at = (__u32)(vxlan - packet->start) + PARSE_VXLAN_SIZE;
    inside = at;
    if (inside > PARSE_INSIDE_MAX)
        return PARSE_TUNNEL;
    packet->link_length = inside;
    packet->seen = SYN_SEEN_TUNNEL;
    result = parse_frame(packet->start + inside, 0, packet);
    return result == PARSE_UDP ? parse_tunnel_port(parse_udp_destination(packet)) : result;
}

/* Of a packet that is PARSE_UDP: what is it really?  `vxlan_port` in host order, 0: do not look
 * into VXLAN.  Never PARSE_UDP; PARSE_SYN is still to be asked parse_check(). */
PARSE_INLINE enum parse_result parse_datagram(struct parse_packet *packet, __u32 vxlan_port)
{
    __u16 port = parse_udp_destination(packet);

    return vxlan_port && port == vxlan_port ? parse_vxlan(packet) : parse_tunnel_port(port);
}

#endif
