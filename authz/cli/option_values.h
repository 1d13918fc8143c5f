/* SPDX-License-Identifier: Apache-2.0 */
/* Values that options of several verbs have: ports, prefixes, users, groups.
 *
 * The checks are for option tables (options.h).  What reads a list expects items that passed its
 * check, and then fails for want of memory only. */
#ifndef OPTION_VALUES_H
#define OPTION_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "addr.h"
#include "diag.h"
#include "options.h"

struct port_list {
    uint16_t *items;
    size_t count;
};

struct prefix_list {
    struct prefix *items;
    size_t count;
};

/* For `check` of options with `items`. */
int option_check_port(struct str item, struct diag *diag);
int option_check_port_or_any(struct str item, struct diag *diag);
int option_check_prefix(struct str item, struct diag *diag);

/* For `check` of options without: an account or a group of this host, or any number; an absolute
 * path. */
int option_check_user(struct str value, struct diag *diag);
int option_check_group(struct str value, struct diag *diag);
int option_check_path(struct str value, struct diag *diag);

/* Append the items of "80,443" and the like.  `ret_any` is set when one of them is `any`; it may be
 * NULL where the check does not let that through.  Return 0 or -ENOMEM. */
int port_list_append(struct port_list *list, const struct text_list *texts, bool *ret_any);
int prefix_list_append(struct prefix_list *list, const struct text_list *texts);

/* A group's name, or its number whether or not it has a name.  Returns 0; -ENOENT; -ENOMEM. */
int group_parse(struct str text, gid_t *ret_group);

#endif
