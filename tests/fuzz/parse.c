/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a frame to the text of its signature.  The first byte says where they start:
 * with an Ethernet header or (bit 0) with an IP header; and (bit 1) whether VXLAN is looked into,
 * as the hooks do. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse_tunnel.h"
#include "signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What we print is a pattern for the very SYN, but where p0f's patterns cannot say it. */
static void check_text(const struct signature *signature)
{
    struct signature_pattern pattern;
    char text[SIGNATURE_TEXT_MAX];
    size_t length = signature_format(signature, text);

    require(length == strlen(text));
    if (signature->syn->ttl == 0 || strstr(text, "+?:"))
        return;
    require(signature_pattern_parse((struct str){text, length}, &pattern, NULL, NULL) == 0);
    require(signature_pattern_matches(&pattern, signature));
}

static enum parse_result parse_hooked(const uint8_t *data, const uint8_t *end,
                                      struct parse_packet *ret_packet)
{
    enum parse_result result = parse_syn_ethernet(data, end, ret_packet);

    if (result != PARSE_UDP)
        return result;
    result = parse_datagram(ret_packet, PARSE_PORT_VXLAN);
    require(result != PARSE_UDP);
    if (result != PARSE_SYN)
        return result;
    require(ret_packet->seen & SYN_SEEN_TUNNEL);
    require(ret_packet->ip == data + ret_packet->link_length);
    return parse_check(ret_packet, (uint64_t)(end - ret_packet->ip));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record record;
    struct syn syn;
    struct signature signature;
    enum parse_result result;

    if (size == 0)
        return 0;
    if (data[0] & 1)
        result = parse_syn_ip(data + 1, data + size, &packet);
    else if (data[0] & 2)
        result = parse_hooked(data + 1, data + size, &packet);
    else
        result = parse_syn_ethernet(data + 1, data + size, &packet);
    if (result != PARSE_SYN)
        return 0;
    parse_fill(&packet, &key, &record);
    require(record.tcp_options_length <= SYN_OPTIONS_MAX);
    require(key.family == record.ip_version && key.isn == record.isn);
    syn_from_record(&record, &syn);
    require(syn.layout_length <= SYN_LAYOUT_MAX);
    signature_from_syn(&syn, &signature);
    check_text(&signature);
    return 0;
}
