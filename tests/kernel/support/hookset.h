/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks' programs with one set of maps, for single frames by BPF_PROG_TEST_RUN.  Nothing is
 * attached, and nobody follows the sockets unless the test loads the tracker itself.
 *
 * All functions fail the running test when something does not work. */
#ifndef HOOKSET_H
#define HOOKSET_H

#include <stddef.h>
#include <stdint.h>

#include "filters.h"
#include "objects.h"
#include "parse.h"
#include "record.h"

struct hookset {
    struct capture_maps maps;
    int programs[SYN_HOOK_COUNT_];
    int keeper; /* keeper.h; the maps are not frozen */
};

/* Tracked, every port, no limit on SYNs, VXLAN not looked into. */
void hookset_make(struct hookset *ret_set);

/* With these filters and settings (both may be NULL for those of hookset_make()) and sizes. */
void hookset_make_with(struct hookset *ret_set, const struct filters *filters,
                       const struct capture_config *config, const struct map_sizes *sizes);
void hookset_done(struct hookset *set);

/* While programs run. */
void hookset_configure(struct hookset *set, const struct capture_config *config);

/* One run; the verdict lets the packet go on and the bytes come out as they went in. */
void hookset_run(const struct hookset *set, enum syn_hook hook, const uint8_t *frame,
                 size_t length);

/* What the parser says here of the frame at this hook: cgroup_skb has no Ethernet header. */
enum parse_result hookset_parse(enum syn_hook hook, const uint8_t *frame, size_t length,
                                uint32_t vxlan_port, struct parse_packet *ret_packet);

/* Of one hook, IPv4 and IPv6; SYN_HOOK_NONE: of the tracker. */
uint64_t hookset_counter(const struct hookset *set, enum syn_hook hook,
                         enum capture_counter counter);

/* Of the hook's counters: all that the hooks count. */
uint64_t hookset_sum(const struct hookset *set, enum syn_hook hook);

int hookset_pending_is_empty(const struct hookset *set);

/* Takes the record out of `pending`, which must have it; what only the kernel knows of it (hook,
 * time, device) is checked and zeroed. */
struct syn_record hookset_take(const struct hookset *set, enum syn_hook hook,
                               const struct pending_key *key);

#endif
