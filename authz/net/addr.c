/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "num.h"

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};

struct addr addr_from_v4(const uint8_t bytes[4])
{
    struct addr addr = {.family = 4};

    memcpy(addr.bytes, MAPPED, sizeof(MAPPED));
    memcpy(addr.bytes + 12, bytes, 4);
    return addr;
}

struct addr addr_from_v6(const uint8_t bytes[16])
{
    struct addr addr = {.family = 6};

    if (memcmp(bytes, MAPPED, sizeof(MAPPED)) == 0)
        return addr_from_v4(bytes + 12);
    memcpy(addr.bytes, bytes, 16);
    return addr;
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

bool endpoint_eq(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

int addr_parse(struct str text, struct addr *ret_addr)
{
    char cstr[ADDR_TEXT_MAX];
    uint8_t bytes[16];
    ptrdiff_t zone = str_find_char(text, '%');

    if (zone >= 0)
        text.len = (size_t)zone;
    if (text.len == 0 || text.len >= sizeof(cstr) || memchr(text.ptr, '\0', text.len))
        return -EINVAL;
    memcpy(cstr, text.ptr, text.len);
    cstr[text.len] = '\0';

    if (zone < 0 && inet_pton(AF_INET, cstr, bytes) == 1) {
        *ret_addr = addr_from_v4(bytes);
        return 0;
    }
    if (inet_pton(AF_INET6, cstr, bytes) == 1) {
        *ret_addr = addr_from_v6(bytes);
        return 0;
    }
    return -EINVAL;
}

int endpoint_parse(struct str text, struct endpoint *ret_endpoint)
{
    struct endpoint endpoint;
    struct str host = text;
    ptrdiff_t colon;
    bool bracketed = text.len && text.ptr[0] == '[';

    for (colon = (ptrdiff_t)text.len - 1; colon >= 0 && text.ptr[colon] != ':'; colon--)
        ;
    if (colon < 0)
        return -EINVAL;
    host.len = (size_t)colon;
    if (bracketed) {
        if (host.len < 2 || host.ptr[host.len - 1] != ']')
            return -EINVAL;
        host = (struct str){host.ptr + 1, host.len - 2};
    }
    if (bracketed !=
        (str_find_char(host, ':') >= 0)) /* bare IPv6 is ambiguous, [IPv4] is not a thing */
        return -EINVAL;
    if (addr_parse(host, &endpoint.addr) < 0 ||
        num_parse_port(str_from_offset(text, (size_t)colon + 1), &endpoint.port) < 0)
        return -EINVAL;
    *ret_endpoint = endpoint;
    return 0;
}

static unsigned first_bit(const struct addr *addr)
{
    return addr->family == 4 ? 96 : 0;
}

static bool same_leading_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8;

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return rest == 0 || ((a[bits / 8] ^ b[bits / 8]) >> (8 - rest)) == 0;
}

int prefix_parse(struct str text, struct prefix *ret_prefix)
{
    struct prefix prefix;
    struct str host = text;
    ptrdiff_t slash = str_find_char(text, '/');
    uint64_t length;
    unsigned bits;

    if (slash >= 0)
        host.len = (size_t)slash;
    if (addr_parse(host, &prefix.addr) < 0)
        return -EINVAL;
    length = prefix.addr.family == 4 ? 32 : 128;
    if (slash >= 0 &&
        num_parse_u64(str_from_offset(text, (size_t)slash + 1), 0, length, &length) < 0)
        return -EINVAL;
    prefix.length = (uint8_t)length;

    bits = first_bit(&prefix.addr) + prefix.length;
    for (unsigned bit = bits; bit < 128; bit++)
        if (prefix.addr.bytes[bit / 8] & (0x80u >> (bit % 8)))
            return -ERANGE;
    *ret_prefix = prefix;
    return 0;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
    return prefix->addr.family == addr->family &&
           same_leading_bits(prefix->addr.bytes, addr->bytes, first_bit(addr) + prefix->length);
}

static char *put_octet(char *at, unsigned octet)
{
    if (octet >= 100)
        *at++ = (char)('0' + octet / 100);
    if (octet >= 10)
        *at++ = (char)('0' + octet / 10 % 10);
    *at++ = (char)('0' + octet % 10);
    return at;
}

/* Done for each Check that is logged, where inet_ntop() is a tenth of the line. */
static size_t format_v4(const uint8_t bytes[4], char buffer[ADDR_TEXT_MAX])
{
    char *at = buffer;

    for (unsigned i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        at = put_octet(at, bytes[i]);
    }
    *at = '\0';
    return (size_t)(at - buffer);
}

size_t addr_format(const struct addr *addr, char buffer[ADDR_TEXT_MAX])
{
    const char *text = NULL;

    if (addr->family == 4)
        return format_v4(addr->bytes + 12, buffer);
    buffer[0] = '\0';
    if (addr->family == 6)
        text = inet_ntop(AF_INET6, addr->bytes, buffer, ADDR_TEXT_MAX);
    return text ? strlen(text) : 0;
}

size_t endpoint_format(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX])
{
    char host[ADDR_TEXT_MAX];
    int length;

    (void)addr_format(&endpoint->addr, host);
    length = snprintf(buffer, ENDPOINT_TEXT_MAX, endpoint->addr.family == 6 ? "[%s]:%u" : "%s:%u",
                      host, (unsigned)endpoint->port);
    return length < 0 ? 0 : (size_t)length;
}
