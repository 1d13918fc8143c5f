/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <string.h>

static bool is_known(const struct probe_report *report, enum node_hook_kind kind)
{
    return report->hooks[kind].ok != PROBE_UNKNOWN;
}

/* What was chosen, unless nobody could see whether it works. */
static void note_choice(const struct probe_report *report, const struct choice *choice,
                        struct doctor_choice *ret_choice)
{
    bool known = !choice->some || is_known(report, choice->kind);

    ret_choice->hook = choice->some && known ? NODE_HOOK_NAMES[choice->kind] : NULL;
    (void)snprintf(ret_choice->why, sizeof(ret_choice->why), "%s",
                   known ? choice->why : "cannot be known from here: programs could not be tried");
}

/* What only attaching shows. */
static void add_condition(struct doctor_choice *choice)
{
    size_t used = strlen(choice->why);

    if (choice->hook)
        (void)snprintf(choice->why + used, sizeof(choice->why) - used,
                       "; tcx if its driver turns out to run no XDP");
}

static void choose_devices(struct doctor *doctor, const struct choose_host *host)
{
    const struct probe_report *report = &doctor->report;

    for (size_t i = 0; i < report->device_count; i++) {
        struct choose_device device;
        struct choice choice;

        probe_choose_device(&report->devices[i], &device);
        choose_for_device(NODE_AUTO, host, &device, &choice);
        note_choice(report, &choice, &doctor->devices[i]);
        if (choice.kind == NODE_HOOK_XDP_NATIVE && report->devices[i].native == PROBE_UNKNOWN)
            add_condition(&doctor->devices[i]);
    }
}

static void choose_tracker(struct doctor *doctor)
{
    const struct probe_try *try = &doctor->report.tracking;
    char why[CHOOSE_WHY_MAX];

    doctor->tracking = try->ok;
    (void)choose_tracking(try->ok == PROBE_NO ? try->error : 0, doctor->report.has_btf, false, why);
    (void)snprintf(doctor->tracking_why, sizeof(doctor->tracking_why), "%s",
                   try->ok == PROBE_UNKNOWN
                       ? "cannot be known from here: the programs could not be tried"
                       : why);
}

/* The outermost hook that some device gets. */
static enum syn_hook device_hook(const struct doctor *doctor)
{
    enum syn_hook hook = SYN_HOOK_NONE;

    for (size_t i = 0; i < doctor->report.device_count; i++) {
        const char *name = doctor->devices[i].hook;

        if (name && strcmp(name, NODE_HOOK_NAMES[NODE_HOOK_XDP_NATIVE]) == 0)
            return SYN_HOOK_XDP;
        if (name)
            hook = SYN_HOOK_TCX;
    }
    return hook;
}

/* What auto would attach; where that cannot be seen, what an agent has attached. */
static void choose_coverage(struct doctor *doctor)
{
    const struct probe_report *report = &doctor->report;
    uint32_t hooks = report->running_hooks;

    doctor->coverage_known = doctor->tracking != PROBE_UNKNOWN;
    doctor->coverage = (struct coverage_choice){.device = device_hook(doctor),
                                                .cgroups = doctor->cgroups.hook != NULL,
                                                .tracked = doctor->tracking == PROBE_YES};
    if (doctor->coverage.device != SYN_HOOK_NONE || doctor->coverage.cgroups || !report->running)
        return;
    doctor->coverage_known = true;
    doctor->coverage =
        (struct coverage_choice){.device = hooks >> SYN_HOOK_XDP & 1   ? SYN_HOOK_XDP
                                           : hooks >> SYN_HOOK_TCX & 1 ? SYN_HOOK_TCX
                                                                       : SYN_HOOK_NONE,
                                 .cgroups = hooks >> SYN_HOOK_CGROUP & 1,
                                 .tracked = report->running_tracked};
}

static void judge(struct doctor *doctor)
{
    const struct probe_report *report = &doctor->report;
    const struct probe_check *capabilities = probe_find(&doctor->report, "capabilities");
    bool hooked = device_hook(doctor) != SYN_HOOK_NONE || doctor->cgroups.hook;
    const char *why = NULL;

    doctor->capture = "none";
    if (capabilities && capabilities->ok == PROBE_YES && hooked) {
        doctor->capture = doctor->tracking == PROBE_YES ? "tracked" : "untracked";
        why = doctor->tracking_why;
    } else if (report->running) {
        doctor->capture = report->running_tracked ? "tracked" : "untracked";
        why = "an agent captures here, and this process may read what it finds";
    } else if (capabilities && capabilities->ok != PROBE_YES)
        (void)snprintf(doctor->why, sizeof(doctor->why),
                       "this process cannot capture (%s), nor read what an agent finds; run doctor "
                       "as root to learn what the host allows",
                       capabilities->why);
    else
        why = "no hook can be attached; see the checks that failed";
    if (why)
        (void)snprintf(doctor->why, sizeof(doctor->why), "%s", why);
}

void doctor_conclude(struct doctor *doctor)
{
    struct choose_host host;
    struct choice cgroups;

    probe_choose_host(&doctor->report, &host);
    choose_for_cgroups(NODE_AUTO, &host, &cgroups);
    note_choice(&doctor->report, &cgroups, &doctor->cgroups);
    choose_devices(doctor, &host);
    choose_tracker(doctor);
    choose_coverage(doctor);
    judge(doctor);
}

void doctor_examine(const struct probe_config *config, struct doctor *ret_doctor)
{
    memset(ret_doctor, 0, sizeof(*ret_doctor));
    probe_host(config, &ret_doctor->report);
    doctor_conclude(ret_doctor);
}
