/* SPDX-License-Identifier: Apache-2.0 */
#include "syn_source.h"

#include <assert.h>

static const char *const STATE_NAMES[] = {
    [SYN_STATE_UNAVAILABLE] = "unavailable", [SYN_STATE_VERIFIED] = "verified",
    [SYN_STATE_CAPTURED] = "captured",       [SYN_STATE_AMBIGUOUS] = "ambiguous",
    [SYN_STATE_MISSING] = "missing",         [SYN_STATE_UNSUPPORTED] = "unsupported",
};
static_assert(sizeof(STATE_NAMES) / sizeof(STATE_NAMES[0]) == SYN_STATE_COUNT_, "name each state");

static const char *const REASON_NAMES[] = {
    [SYN_REASON_NONE] = "",
    [SYN_REASON_MAP_ERROR] = "map_error",
    [SYN_REASON_PCAP] = "pcap",
    [SYN_REASON_UNTRACKED] = "untracked",
    [SYN_REASON_FILTERED] = "filtered",
    [SYN_REASON_NO_SYN] = "no_syn",
    [SYN_REASON_MAP_FULL] = "map_full",
    [SYN_REASON_NOT_SEEN] = "not_seen",
    [SYN_REASON_NO_SOURCE] = "no_source",
    [SYN_REASON_HTTP3] = "http3",
    [SYN_REASON_PIPE] = "pipe",
    [SYN_REASON_INTERNAL] = "internal",
    [SYN_REASON_PROXY_PROTOCOL] = "proxy_protocol",
    [SYN_REASON_NO_PEER] = "no_peer",
};
static_assert(sizeof(REASON_NAMES) / sizeof(REASON_NAMES[0]) == SYN_REASON_COUNT_,
              "name each reason");

const char *syn_state_name(enum syn_state state)
{
    return STATE_NAMES[state];
}

const char *syn_reason_name(enum syn_reason reason)
{
    return REASON_NAMES[reason];
}

static void lookup_nothing(const struct syn_source *source, const struct flow *flow,
                           struct syn_answer *ret_answer)
{
    (void)source;
    (void)flow;
    *ret_answer = (struct syn_answer){.state = SYN_STATE_MISSING, .reason = SYN_REASON_NO_SOURCE};
}

struct syn_source *syn_source_none(void)
{
    static struct syn_source none = {.lookup = lookup_nothing};

    return &none;
}
