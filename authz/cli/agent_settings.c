/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "options_changed.h"
#include "privileges.h"
#include "shared_options.h"
#include "socket_dir.h"

enum { INTERFACE_MAX = 64, NODE_HOPS_MAX = 63, CAPTURED_SECONDS_MAX = 3600, TRACKING_OFF = 1 };

const char *const AGENT_CAPTURE_MODES[] = {
    [NODE_AUTO] = "auto", [NODE_XDP] = "xdp",       [NODE_XDP_GENERIC] = "xdp-generic",
    [NODE_TCX] = "tcx",   [NODE_CGROUP] = "cgroup", [NODE_MODE_COUNT_] = NULL};

static const char *const TRACKING_WORDS[] = {"auto", [TRACKING_OFF] = "off", NULL};

/* --- options ---------------------------------------------------------------------------------- */

static int check_interface(struct str value, struct diag *diag)
{
    bool is_good = value.len <= INTERFACE_MAX;

    for (size_t i = 0; i < value.len; i++)
        is_good = is_good && value.ptr[i] != '/' && isgraph((unsigned char)value.ptr[i]);
    return is_good ? 0
                   : diag_set(diag, -EINVAL,
                              "expected the name of an interface, or a pattern like \"eth*\"");
}

#define AT(field) offsetof(struct agent_options, field)
static const struct option_spec SPECS[] = {
    {.name = "interface",
     .live = true,
     .kind = OPTION_LIST,
     .value = "IFACE",
     .offset = AT(interfaces),
     .check = check_interface,
     .help = "a device that clients come in on, or a pattern (\"eth*\");\n"
             "it may appear and vanish; may be repeated"},
    OPTION_PORT(struct agent_options, ports, .live = true,
                .help = "capture SYNs to these ports, as each hook sees them: on a\n"
                        "device the port on the wire (a NodePort), in a control group\n"
                        "the one that the server listens on; may be repeated"),
    OPTION_PREFIX(struct agent_options, prefixes, .live = true,
                  .help = "capture only SYNs to these destinations (default: to all);\n"
                          "may be repeated"),
    {.name = "capture",
     .kind = OPTION_CHOICE,
     .value = "auto|xdp|xdp-generic|tcx|cgroup",
     .offset = AT(capture),
     .choices = AGENT_CAPTURE_MODES,
     .default_text = "auto",
     .help = "which hooks; auto is the best one of each interface, and\n"
             "the control groups"},
    {.name = "cgroup",
     .live = true,
     .kind = OPTION_LIST,
     .value = "PATH",
     .offset = AT(cgroups),
     .check = option_check_path,
     .help = "a folder of the cgroup2 to which servers belong (default:\n"
             "its root, which is all of them); may be repeated"},
    {.name = "vxlan-port",
     .live = true,
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(vxlan_port),
     .max = UINT16_MAX,
     .default_text = "0",
     .help = "look into VXLAN on this UDP port, usually 4789 (0: do not);\n"
             "for XDP and tcx on the node's own device"},
    {.name = "syn-rate",
     .live = true,
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(syn_rate),
     .max = LIMITER_MAX,
     .help = "in a flood, record so many SYNs of one source in a second\n"
             "and CPU (0: no limit); packets always pass",
     .default_text = "1000"},
    {.name = "node-hops",
     .live = true,
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(node_hops),
     .max = NODE_HOPS_MAX,
     .help = "routers between the node's wire and its pods, not counted\n"
             "as distance",
     .default_text = "1"},
    {.name = "tracking",
     .kind = OPTION_CHOICE,
     .value = "auto|off",
     .offset = AT(tracking),
     .choices = TRACKING_WORDS,
     .default_text = "auto",
     .help = "auto: verify SYNs by the kernel's own sockets where it can;\n"
             "off: as on a host that cannot, to try that out"},
    {.name = "captured-seconds",
     .live = true,
     .kind = OPTION_NUMBER,
     .value = "N",
     .offset = AT(captured_seconds),
     .min = 1,
     .max = CAPTURED_SECONDS_MAX,
     .default_text = "60", /* as long as TIME_WAIT keeps a client from using its port again */
     .help = "without tracking: how long a SYN is good"},
    OPTION_MAX_PENDING(struct agent_options, max_pending, .default_text = "131072",
                       .help = "SYNs that wait for the end of their handshake"),
    OPTION_MAX_LIVE(struct agent_options, max_live, .default_text = "65536",
                    .help = "connections that are kept"),
    OPTION_PIN_DIR(struct agent_options, pin_dir,
                   .help = "where maps and links are pinned, a bpffs; mounted when it is\n"
                           "none"),
    {.name = "group",
     .kind = OPTION_TEXT,
     .value = "NAME|GID",
     .offset = AT(group),
     .check = option_check_group,
     .help = "who may read the pins (default: synauthz if there is such a\n"
             "group, else nogroup)"},
    {.name = "socket-dir",
     .kind = OPTION_TEXT,
     .value = "DIR",
     .offset = AT(socket_dir),
     .check = option_check_path,
     .help = "make this folder, for the socket of a server that may not,\n"
             "and let --group bind in it; beside --pin-dir, not in it"},
    OPTION_CONFIG(struct agent_options, config),
    OPTION_PRINT_CONFIG(struct agent_options, print_config),
    OPTION_ADMIN(struct agent_options, admin),
};
#undef AT

const struct option_table AGENT_OPTIONS = {SPECS, OPTION_COUNT(SPECS)};

/* --- settings --------------------------------------------------------------------------------- */

static int check_together(const struct agent_options *options, struct diag *diag)
{
    const char *mode = AGENT_CAPTURE_MODES[options->capture];
    bool devices = options->capture != NODE_CGROUP, cgroups = options->capture == NODE_CGROUP;

    if (options->ports.count == 0)
        return diag_set(diag, -EINVAL,
                        "capture SYNs to which ports? give --port N[,N...] or --port any");
    if (options->socket_dir && socket_dir_check(options->socket_dir, options->pin_dir, diag) < 0)
        return -EINVAL;
    if (options->capture == NODE_AUTO)
        return 0;
    if (devices && options->interfaces.count == 0)
        return diag_set(diag, -EINVAL, "--capture %s needs --interface IFACE", mode);
    if (devices && options->cgroups.count > 0)
        return diag_set(diag, -EINVAL, "--cgroup goes with --capture auto or cgroup, not with %s",
                        mode);
    if (cgroups && options->interfaces.count > 0)
        return diag_set(diag, -EINVAL, "--interface does not go with --capture cgroup");
    return 0;
}

static int find_group(const struct agent_options *options, gid_t *ret_group, struct diag *diag)
{
    int r = 0;

    if (options->group)
        r = group_parse(str_from(options->group), ret_group);
    else
        *ret_group = identity_default_group();
    if (r < 0)
        return diag_set(diag, r, "--group %s: there is no such group", options->group);
    if (!options->group && *ret_group == 0)
        return diag_set(diag, -ENOENT,
                        "this host has no group synauthz and no nogroup: say who may read the "
                        "pins with --group NAME|GID");
    return 0;
}

int agent_settings_read(const struct agent_options *options, struct agent_settings *ret_settings,
                        struct diag *diag)
{
    struct node_config *node = &ret_settings->node;
    int r = check_together(options, diag);

    *ret_settings = (struct agent_settings){0};
    if (r == 0)
        r = find_group(options, &node->group, diag);
    if (r == 0)
        r = port_list_append(&ret_settings->ports, &options->ports, &node->any_port);
    if (r == 0)
        r = prefix_list_append(&ret_settings->prefixes, &options->prefixes);
    if (r == 0 && ret_settings->prefixes.count > PREFIXES_MAX)
        r = diag_set(diag, -E2BIG, "--prefix: %zu of them, and %d are the most there can be",
                     ret_settings->prefixes.count, PREFIXES_MAX);
    if (r < 0)
        return r;
    node->pin_dir = options->pin_dir;
    node->interfaces = options->interfaces.items;
    node->interface_count = options->interfaces.count;
    node->cgroups = options->cgroups.items;
    node->cgroup_count = options->cgroups.count;
    node->ports = ret_settings->ports.items;
    node->port_count = ret_settings->ports.count;
    node->prefixes = ret_settings->prefixes.items;
    node->prefix_count = ret_settings->prefixes.count;
    node->vxlan_port = (uint16_t)options->vxlan_port;
    node->syn_rate = (uint32_t)options->syn_rate;
    node->node_hops = (uint8_t)options->node_hops;
    node->captured_ms = (uint32_t)options->captured_seconds * 1000;
    node->mode = (enum node_mode)options->capture;
    node->no_tracking = options->tracking == TRACKING_OFF;
    node->max_pending = (uint32_t)options->max_pending;
    node->max_live = (uint32_t)options->max_live;
    return 0;
}

void agent_settings_done(struct agent_settings *settings)
{
    free(settings->ports.items);
    free(settings->prefixes.items);
    *settings = (struct agent_settings){0};
}

/* --- what takes a restart --------------------------------------------------------------------- */

void agent_settings_freeze(const struct agent_settings *running, struct agent_settings *wanted)
{
    struct node_config *node = &wanted->node;

    node->pin_dir = running->node.pin_dir;
    node->group = running->node.group;
    node->mode = running->node.mode;
    node->no_tracking = running->node.no_tracking;
    node->max_pending = running->node.max_pending;
    node->max_live = running->node.max_live;
}

const char *agent_settings_frozen(const struct agent_options *running,
                                  const struct agent_options *wanted, char *buffer, size_t size)
{
    return options_frozen(&AGENT_OPTIONS, running, wanted, buffer, size);
}
