/* SPDX-License-Identifier: Apache-2.0 */
#include "subject.h"

#include <assert.h>

#include "matcher.h"
#include "signature.h"

static const char *const PEER_HEADER_NAMES[] = {
    [PEER_HEADER_UNNAMED] = "unnamed",
    [PEER_HEADER_ABSENT] = "absent",
    [PEER_HEADER_REPEATED] = "repeated",
    [PEER_HEADER_MALFORMED] = "malformed",
    [PEER_HEADER_READ] = "read",
    [PEER_HEADER_USED] = "used",
    [PEER_HEADER_IGNORED] = "ignored_verified",
};
static_assert(sizeof(PEER_HEADER_NAMES) / sizeof(PEER_HEADER_NAMES[0]) == PEER_HEADER_COUNT_,
              "name each result");

const char *peer_header_name(enum peer_header header)
{
    return PEER_HEADER_NAMES[header];
}

int subject_distance(const struct subject *subject)
{
    if (!subject->signature || !subject->match || subject->match->random_ttl)
        return -1;
    return syn_distance_to_node(subject->signature->syn, subject->match->distance);
}

struct str subject_extension(const struct subject *subject, struct str key)
{
    for (size_t i = subject->extension_count; i > 0; i--)
        if (str_eq(subject->extensions[i - 1].key, key))
            return subject->extensions[i - 1].value;
    return (struct str){NULL, 0};
}
