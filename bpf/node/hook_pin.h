/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks by the names of their pins: link_xdp_<ifindex>, link_tcx_<ifindex>, link_cgroup_<id of the
 * control group>; prog_clsact_<ifindex> for clsact, which has no link, and prog_qdisc_<ifindex>
 * where we made its qdisc. */
#ifndef HOOK_PIN_H
#define HOOK_PIN_H

#include <stdbool.h>

#include "hooks.h"
#include "pins.h"

enum { HOOK_PIN_MAX = 48 };

void hook_pin_name(const struct hook_place *place, char ret_name[HOOK_PIN_MAX]);
void qdisc_pin_name(unsigned ifindex, char ret_name[HOOK_PIN_MAX]);

/* False when it is no such name (prog_qdisc_ is none).  XDP is said to be native. */
bool hook_pin_parse(const char *name, struct hook_place *ret_place);

/* Open the hook that a pin holds.  Returns 0 or a negative errno. */
int hook_pin_open(const struct pins *pins, const char *set, const struct hook_place *place,
                  struct hook_link *ret_link);

#endif
