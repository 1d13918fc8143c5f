/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses, ports and prefixes.
 *
 * One canonical form: 16 bytes in network order, IPv4 as IPv4-mapped (RFC 4291 2.5.5.2), and the
 * family beside them.  IPv4-mapped text or bytes become IPv4 here and only here (`::ffff:192.0.2.1`
 * is 192.0.2.1), because Envoy and the kernel show one peer in both ways. */
#ifndef ADDR_H
#define ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "str.h"

struct addr {
    uint8_t family;    /* 4 or 6; 0: no address */
    uint8_t bytes[16]; /* network order, IPv4-mapped for family 4 */
};

struct endpoint {
    struct addr addr;
    uint16_t port;
};

struct prefix {
    struct addr addr; /* bits behind `length` are zero */
    uint8_t length;   /* in bits of the family: 0..32 or 0..128 */
};

enum { ADDR_TEXT_MAX = 46, ENDPOINT_TEXT_MAX = 46 + 8 };

struct addr addr_from_v4(const uint8_t bytes[4]);
struct addr addr_from_v6(const uint8_t bytes[16]);
bool addr_eq(const struct addr *a, const struct addr *b);

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b);

/* Textual address without brackets; a zone ("%eth0") is accepted on IPv6 and dropped, since it
 * names an interface of the sender of the text.  Returns 0, or -EINVAL. */
int addr_parse(struct str text, struct addr *ret_addr);

/* "192.0.2.1:80" or "[2001:db8::1]:80".  Returns 0, or -EINVAL. */
int endpoint_parse(struct str text, struct endpoint *ret_endpoint);

/* "ADDRESS/LENGTH", or an address alone (its full length).  Returns 0; -EINVAL when it is neither;
 * -ERANGE when bits behind the length are set (10.0.0.1/8), which is always a slip. */
int prefix_parse(struct str text, struct prefix *ret_prefix);
bool prefix_contains(const struct prefix *prefix, const struct addr *addr);

/* Write text of at most the MAX above, terminated, and return its length. RFC 5952 for IPv6. */
size_t addr_format(const struct addr *addr, char buffer[ADDR_TEXT_MAX]);
size_t endpoint_format(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX]);

#endif
