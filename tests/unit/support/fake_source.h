/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a syn_source that gives one answer to everybody, and remembers what it was asked. */
#ifndef FAKE_SOURCE_H
#define FAKE_SOURCE_H

#include "syn_source.h"

struct fake_source {
    struct syn_source base;
    struct syn_answer answer;
    struct flow *asked; /* may be NULL */
};

static inline void fake_source_lookup(const struct syn_source *source, const struct flow *flow,
                                      struct syn_answer *ret_answer)
{
    const struct fake_source *fake = (const struct fake_source *)source;

    if (fake->asked)
        *fake->asked = *flow;
    *ret_answer = fake->answer;
}

/* A Linux client's SYN, three hops away; `state` VERIFIED or CAPTURED. */
static inline struct fake_source fake_source_with_syn(enum syn_state state)
{
    return (struct fake_source){
        .base = {.lookup = fake_source_lookup},
        .answer = {.state = state,
                   .syn = {.quirks = QUIRK_DF | QUIRK_ID_NONZERO,
                           .ts_value = 1,
                           .mss = 1460,
                           .window = 64240,
                           .header_length = 60,
                           .ip_version = 4,
                           .ttl = 61,
                           .scale = 7,
                           .layout_length = 5,
                           .layout = {2, 4, 8, 1, 3}}},
    };
}
#define FAKE_SIGNATURE "4:61+3:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0"

static inline struct fake_source fake_source_without_syn(enum syn_state state,
                                                         enum syn_reason reason)
{
    return (struct fake_source){
        .base = {.lookup = fake_source_lookup},
        .answer = {.state = state, .reason = reason},
    };
}

#endif
