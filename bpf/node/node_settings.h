/* SPDX-License-Identifier: Apache-2.0 */
/* A node's own copy of its configuration. */
#ifndef NODE_SETTINGS_H
#define NODE_SETTINGS_H

#include "diag.h"
#include "filters.h"
#include "node.h"

struct node_settings {
    struct node_config config; /* what it points to is owned */
    char **interfaces, **cgroups;
    uint16_t *ports;
    struct prefix *prefixes;
};

/* Returns 0, or -EINVAL, -E2BIG or -ENOMEM with a message. */
int node_settings_copy(const struct node_config *config, struct node_settings *ret_settings,
                       struct diag *diag);
void node_settings_done(struct node_settings *settings);

/* 0 when nothing differs that is fixed once a node has started; else -EINVAL with a message that
 * names it. */
int node_settings_check_change(const struct node_settings *settings,
                               const struct node_config *config, struct diag *diag);

struct filters node_settings_filters(const struct node_settings *settings);

#endif
