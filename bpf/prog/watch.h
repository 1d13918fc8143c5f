/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tell a watcher, if there is one. */
#ifndef WATCH_H
#define WATCH_H

#include "maps.h"

INLINE int watch_is_on(void)
{
    const struct watch_lease *lease = bpf_map_lookup_elem(&watch, &(__u32){0});

    return lease && bpf_ktime_get_boot_ns() < lease->until_ns;
}

/* `syn` may be NULL.  Returns 0, or -ENOBUFS when the ring is full. */
INLINE int watch_tell(enum watch_state state, const struct tuple_key *key, __u64 netns,
                      const struct syn_record *syn)
{
    struct watch_event *event;

    if (!watch_is_on())
        return 0;
    event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event)
        return -ENOBUFS;
    event->key = *key;
    event->netns = netns;
    event->state = state;
    event->zero = 0;
    if (syn)
        event->syn = *syn;
    else
        __builtin_memset(&event->syn, 0, sizeof(event->syn));
    bpf_ringbuf_submit(event, 0);
    return 0;
}

#endif
