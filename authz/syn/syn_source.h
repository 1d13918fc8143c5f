/* SPDX-License-Identifier: Apache-2.0 */
/* Where the SYN of a connection comes from: the kernel's maps, a capture file, nothing, or a test's
 * fake.
 *
 * The answer is about exactly the connection that was asked for, or it says why it is not known; no
 * implementation may guess.  lookup() is called by several threads at once and allocates nothing.
 */
#ifndef SYN_SOURCE_H
#define SYN_SOURCE_H

#include "flow.h"
#include "syn.h"

enum syn_state {
    SYN_STATE_UNAVAILABLE = 0, /* our own fault; zeroed memory claims nothing */
    SYN_STATE_VERIFIED,        /* the kernel's socket proved the SYN */
    SYN_STATE_CAPTURED,        /* a recent SYN of that tuple, not proved */
    SYN_STATE_AMBIGUOUS,       /* the tuple lives in several network namespaces */
    SYN_STATE_MISSING,
    SYN_STATE_UNSUPPORTED, /* no TCP peer of ours: HTTP/3, pipe, internal listener, PROXY protocol
                            */
    SYN_STATE_COUNT_,
};

enum syn_reason {
    SYN_REASON_NONE = 0,
    SYN_REASON_MAP_ERROR, /* unavailable */
    SYN_REASON_PCAP,      /* captured: from a file */
    SYN_REASON_UNTRACKED, /* captured: this host's kernel does not let us follow its sockets */
    SYN_REASON_FILTERED,  /* missing, from here on: the destination is not captured */
    SYN_REASON_NO_SYN,    /* established without a recorded SYN */
    SYN_REASON_MAP_FULL,
    SYN_REASON_NOT_SEEN,
    SYN_REASON_NO_SOURCE,
    SYN_REASON_HTTP3, /* unsupported, from here on */
    SYN_REASON_PIPE,
    SYN_REASON_INTERNAL,
    SYN_REASON_PROXY_PROTOCOL, /* only the address of a PROXY header, or what may be one */
    SYN_REASON_NO_PEER,        /* the request names no peer */
    SYN_REASON_COUNT_,
};

struct syn_answer {
    enum syn_state state;
    enum syn_reason reason;
    struct syn syn; /* set only with VERIFIED and CAPTURED */
};

/* Names as in the decision log and in `fingerprint.state` / `fingerprint.reason`: "verified",
 * "map_error", ...  The reason NONE is "". */
const char *syn_state_name(enum syn_state state);
const char *syn_reason_name(enum syn_reason reason);

static inline bool syn_state_has_syn(enum syn_state state)
{
    return state == SYN_STATE_VERIFIED || state == SYN_STATE_CAPTURED;
}

struct syn_source {
    void (*lookup)(const struct syn_source *source, const struct flow *flow,
                   struct syn_answer *ret_answer);
    void (*free)(struct syn_source *source); /* NULL: nothing to free */
};

static inline void syn_source_freep(struct syn_source **source)
{
    if (*source && (*source)->free)
        (*source)->free(*source);
    *source = NULL;
}

/* `--source none`: everything is missing, reason no_source.  Static, never freed. */
struct syn_source *syn_source_none(void);

#endif
