/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a frame to the text of its signature.  The first byte says where they start:
 * with an Ethernet header, or with an IP header. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
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
    result = data[0] & 1 ? parse_syn_ip(data + 1, data + size, &packet)
                         : parse_syn_ethernet(data + 1, data + size, &packet);
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
