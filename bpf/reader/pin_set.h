/* SPDX-License-Identifier: Apache-2.0 */
/* One set of maps in use by a server, and whether its entries can still be believed (pin_source.h
 * says when, and why that is right).  Opened, judged and closed by one thread;
 * pin_set_is_kept_true() is for all. */
#ifndef PIN_SET_H
#define PIN_SET_H

#include <stdatomic.h>

#include "capture_maps.h"
#include "pin_reader.h"
#include "pin_source.h"

struct pin_set {
    unsigned id; /* of its map `meta`; 0: closed */
    struct capture_maps maps;
    struct capture_meta meta; /* as of the last pin_set_judge() */
    struct syn_source *source;
    const char *pin_dir;                    /* of the configuration, which outlives it */
    uint64_t host_netns;                    /* as its source has taken it from meta */
    atomic_uint_fast64_t believed_until_ms; /* on a clock of its own; 0: not without asking */
};

void pin_set_init(struct pin_set *set);

/* Opens the newest set, and looks again: it may have been replaced meanwhile, and then half of what
 * was opened could be of the one and half of the other.  Returns 0; a negative errno as
 * pin_reader_open() does, -ESTALE also when nobody keeps its entries true; -EAGAIN when it was
 * replaced time and again.  On failure the set is closed. */
int pin_set_open(struct pin_set *set, const struct pin_source_config *config, struct diag *diag);
void pin_set_close(struct pin_set *set);

/* Look at it once more: reads its meta.  `sight` is what there is in the pin folder now, NULL:
 * nothing that can be seen. */
void pin_set_judge(struct pin_set *set, const struct pin_sight *sight);

/* Does anybody take an entry away when its connection ends?  Asked behind a look-up, whose answer
 * is good if so.  Mostly remembers what the last judgement was; where that is too old, asks meta
 * and, unless an agent beats, looks at the pins itself. */
bool pin_set_is_kept_true(struct pin_set *set);

/* Has an agent taken it over in another network namespace than that which its source knows? */
bool pin_set_has_moved(const struct pin_set *set);

/* How long ago a time of CLOCK_BOOTTIME was. */
uint64_t pin_set_age_ns(uint64_t time_ns);

/* FRESH, STALE or DEGRADED, with the reason (empty for FRESH). */
enum { PIN_WHY_MAX = sizeof(((struct pin_source_status *)0)->why) };
enum pin_source_state pin_set_state(const struct pin_set *set, char ret_why[PIN_WHY_MAX]);

#endif
