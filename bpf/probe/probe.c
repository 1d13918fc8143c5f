/* SPDX-License-Identifier: Apache-2.0 */
#include "probe.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "probe_parts.h"

struct probe_check *probe_add(struct probe_report *report, const char *id, enum probe_answer ok,
                              const char *why, ...)
{
    size_t place = report->count < PROBE_CHECKS_MAX ? report->count++ : PROBE_CHECKS_MAX - 1;
    struct probe_check *check = &report->checks[place];
    va_list args;

    *check = (struct probe_check){.ok = ok};
    (void)snprintf(check->id, sizeof(check->id), "%s", id);
    va_start(args, why);
    (void)vsnprintf(check->why, sizeof(check->why), why, args);
    va_end(args);
    return check;
}

void probe_fix(struct probe_check *check, const char *fix, ...)
{
    va_list args;

    va_start(args, fix);
    (void)vsnprintf(check->fix, sizeof(check->fix), fix, args);
    va_end(args);
}

struct probe_check *probe_find(struct probe_report *report, const char *id)
{
    for (size_t i = 0; i < report->count; i++)
        if (strcmp(report->checks[i].id, id) == 0)
            return &report->checks[i];
    return NULL;
}

int probe_read_line(const char *path, char *ret_line, size_t size)
{
    CLEANUP(fclosep) FILE *file = fopen(path, "re");

    if (!file)
        return -errno;
    ret_line[0] = '\0';
    if (!fgets(ret_line, (int)size, file) && ferror(file))
        return -EIO;
    ret_line[strcspn(ret_line, "\n")] = '\0';
    return 0;
}

void probe_host(const struct probe_config *config, struct probe_report *ret_report)
{
    memset(ret_report, 0, sizeof(*ret_report));
    probe_process(ret_report);
    probe_kernel(ret_report);
    probe_cgroups(ret_report);
    probe_memory(ret_report);
    probe_programs(ret_report);
    probe_pins(ret_report, config->pin_dir);
    probe_devices(ret_report, config);
}

void probe_choose_host(const struct probe_report *report, struct choose_host *ret_host)
{
    *ret_host = (struct choose_host){.has_cgroup2 = report->cgroup2_path[0] != '\0',
                                     .has_interfaces = report->device_count > 0};
    for (int kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        if (report->hooks[kind].ok == PROBE_NO)
            ret_host->refused[kind] = report->hooks[kind].error;
}

void probe_choose_device(const struct probe_device *device, struct choose_device *ret_device)
{
    *ret_device = (struct choose_device){
        .name = device->name,
        .ifindex = device->ifindex,
        .type = device->type,
        .foreign_xdp = device->ours == PROBE_YES ? 0 : device->xdp_id,
        .foreign_name = device->xdp_name[0] ? device->xdp_name : NULL,
    };
    if (device->native == PROBE_NO)
        ret_device->refused[NODE_HOOK_XDP_NATIVE] = -EOPNOTSUPP;
}
