/* SPDX-License-Identifier: Apache-2.0 */
#include "utf8.h"

#include <stdint.h>

static const struct str REPLACEMENT = STR_INIT("\xef\xbf\xbd");

static bool is_continuation(unsigned char byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Length of the sequence that starts with `first` and what its second byte may be; 0: nothing
 * starts so. Source: RFC 3629 section 4. */
static size_t sequence_shape(unsigned char first, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = 0x80;
    *ret_high = 0xbf;
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef) {
        *ret_low = first == 0xe0 ? 0xa0 : 0x80;  /* overlong below */
        *ret_high = first == 0xed ? 0x9f : 0xbf; /* surrogates above */
        return 3;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        *ret_low = first == 0xf0 ? 0x90 : 0x80;
        *ret_high = first == 0xf4 ? 0x8f : 0xbf;
        return 4;
    }
    return 0;
}

/* Length of the valid sequence at `offset`; 0 when there is none. */
static size_t sequence_length(struct str text, size_t offset)
{
    const unsigned char *bytes = (const unsigned char *)text.ptr + offset;
    unsigned char low, high;
    size_t length = sequence_shape(bytes[0], &low, &high);

    if (length <= 1)
        return length;
    if (length > text.len - offset || bytes[1] < low || bytes[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_continuation(bytes[i]))
            return 0;
    return length;
}

/* Most text is ASCII: eight bytes at a time. */
static size_t ascii_prefix(struct str text)
{
    static const uint64_t HIGH_BITS = 0x8080808080808080;
    size_t offset = 0;
    uint64_t word;

    for (; offset + sizeof(word) <= text.len; offset += sizeof(word)) {
        memcpy(&word, text.ptr + offset, sizeof(word));
        if (word & HIGH_BITS)
            break;
    }
    while (offset < text.len && (unsigned char)text.ptr[offset] < 0x80)
        offset++;
    return offset;
}

size_t utf8_repaired_length(struct str text)
{
    size_t offset = ascii_prefix(text), total = offset;

    while (offset < text.len) {
        size_t length = sequence_length(text, offset);

        total += length ? length : REPLACEMENT.len;
        offset += length ? length : 1;
    }
    return total;
}

void utf8_repair(struct str text, char *buffer)
{
    size_t offset = ascii_prefix(text);

    if (offset)
        memcpy(buffer, text.ptr, offset);
    buffer += offset;
    while (offset < text.len) {
        size_t length = sequence_length(text, offset);
        struct str piece = length ? (struct str){text.ptr + offset, length} : REPLACEMENT;

        memcpy(buffer, piece.ptr, piece.len);
        buffer += piece.len;
        offset += length ? length : 1;
    }
}
