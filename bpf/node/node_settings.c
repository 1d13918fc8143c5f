/* SPDX-License-Identifier: Apache-2.0 */
#include "node_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

static struct filters filters_of(const struct node_config *config)
{
    return (struct filters){
        .any_port = config->any_port,
        .ports = config->ports,
        .port_count = config->port_count,
        .prefixes = config->prefixes,
        .prefix_count = config->prefix_count,
    };
}

struct filters node_settings_filters(const struct node_settings *settings)
{
    return filters_of(&settings->config);
}

static int find_twice(const char *const *words, size_t count, struct diag *diag)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(words[i], words[j]) == 0)
                return diag_set(diag, -EINVAL, "%s: named twice", words[i]);
    return 0;
}

static int check(const struct node_config *config, struct diag *diag)
{
    const struct filters filters = filters_of(config);
    bool needs_device = config->mode != NODE_AUTO && config->mode != NODE_CGROUP;
    int r = filters_check(&filters, diag);

    if (r == 0)
        r = find_twice(config->interfaces, config->interface_count, diag);
    if (r == 0)
        r = find_twice(config->cgroups, config->cgroup_count, diag);
    if (r == 0 && needs_device && config->interface_count == 0)
        r = diag_set(diag, -EINVAL,
                     "this way of capture is for devices, and none is named; name one, or "
                     "use the way \"auto\" or \"cgroup\"");
    return r;
}

/* A list of our own, ended by NULL. */
static char **copy_words(const char *const *words, size_t count)
{
    char **copy = calloc(count + 1, sizeof(*copy));

    for (size_t i = 0; copy && i < count; i++) {
        copy[i] = strdup(words[i]);
        if (!copy[i])
            return copy;
    }
    return copy;
}

static void free_words(char **words)
{
    for (size_t i = 0; words && words[i]; i++)
        free(words[i]);
    free(words);
}

static bool is_whole(char *const *copy, size_t count)
{
    return copy && (count == 0 || copy[count - 1]);
}

/* Not NULL also for nothing. */
static void *copy_bytes(const void *bytes, size_t count, size_t size)
{
    void *copy = calloc(count + 1, size);

    if (copy && count)
        memcpy(copy, bytes, count * size);
    return copy;
}

static void point_to_own(struct node_settings *settings)
{
    settings->config.interfaces = (const char *const *)settings->interfaces;
    settings->config.cgroups = (const char *const *)settings->cgroups;
    settings->config.ports = settings->ports;
    settings->config.prefixes = settings->prefixes;
    settings->config.pin_dir = NULL; /* struct pins has it */
}

int node_settings_copy(const struct node_config *config, struct node_settings *ret_settings,
                       struct diag *diag)
{
    CLEANUP(node_settings_done) struct node_settings copy = {.config = *config};
    int r = check(config, diag);

    if (r < 0)
        return r;
    copy.interfaces = copy_words(config->interfaces, config->interface_count);
    copy.cgroups = copy_words(config->cgroups, config->cgroup_count);
    copy.ports = copy_bytes(config->ports, config->port_count, sizeof(*config->ports));
    copy.prefixes = copy_bytes(config->prefixes, config->prefix_count, sizeof(*config->prefixes));
    if (!is_whole(copy.interfaces, config->interface_count) ||
        !is_whole(copy.cgroups, config->cgroup_count) || !copy.ports || !copy.prefixes)
        return diag_set(diag, -ENOMEM, "no memory");
    point_to_own(&copy);
    *ret_settings = copy;
    copy = (struct node_settings){0};
    return 0;
}

void node_settings_done(struct node_settings *settings)
{
    free_words(settings->interfaces);
    free_words(settings->cgroups);
    free(settings->ports);
    free(settings->prefixes);
    *settings = (struct node_settings){0};
}

int node_settings_check_change(const struct node_settings *settings,
                               const struct node_config *config, struct diag *diag)
{
    const struct node_config *now = &settings->config;
    const struct {
        const char *name;
        bool differs;
    } FIXED[] = {
        {"the way of capture", now->mode != config->mode},
        {"whether sockets are followed", now->no_tracking != config->no_tracking},
        {"the group of the pins", now->group != config->group},
        {"the number of pending SYNs", now->max_pending != config->max_pending},
        {"the number of live connections", now->max_live != config->max_live},
    };

    for (size_t i = 0; i < sizeof(FIXED) / sizeof(FIXED[0]); i++)
        if (FIXED[i].differs)
            return diag_set(diag, -EINVAL,
                            "%s cannot change while the agent runs; start it anew: what it has "
                            "captured stays",
                            FIXED[i].name);
    return 0;
}
