/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <errno.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* What a report says of a host; all that is not named is possible. */
struct host {
    enum probe_answer capabilities, hooks, tracking;
    bool cgroup2, device;
    uint32_t foreign_xdp;
    bool running, running_tracked;
    uint32_t running_hooks;
};

static struct doctor *concluded(const struct host *host)
{
    struct doctor *doctor = calloc(1, sizeof(*doctor));
    struct probe_report *report = &doctor->report;

    assert_non_null(doctor);
    report->count = 1;
    strcpy(report->checks[0].id, "capabilities");
    report->checks[0].ok = host->capabilities;
    strcpy(report->checks[0].why, "this process lacks CAP_BPF");
    for (int kind = 0; kind < NODE_HOOK_COUNT_; kind++)
        report->hooks[kind] = (struct probe_try){host->hooks, host->hooks == PROBE_NO ? -EPERM : 0};
    report->tracking = (struct probe_try){host->tracking, host->tracking == PROBE_NO ? -EPERM : 0};
    report->has_btf = true;
    if (host->cgroup2)
        strcpy(report->cgroup2_path, "/sys/fs/cgroup");
    if (host->device) {
        report->device_count = 1;
        report->devices[0] = (struct probe_device){.name = "eth0",
                                                   .ifindex = 2,
                                                   .type = ARPHRD_ETHER,
                                                   .xdp_id = host->foreign_xdp,
                                                   .ours = PROBE_NO};
    }
    report->running = host->running;
    report->running_tracked = host->running_tracked;
    report->running_hooks = host->running_hooks;
    doctor_conclude(doctor);
    return doctor;
}

static void the_verdict_follows_from_what_was_found(void **state)
{
    static const struct {
        const char *name;
        struct host host;
        const char *capture, *why, *cgroups, *device;
    } ROWS[] = {
        {"everything works",
         {PROBE_YES, PROBE_YES, PROBE_YES, true, true, 0, false, false, 0},
         "tracked",
         "follow sockets",
         "cgroup",
         "xdp"},
        {"XDP is taken",
         {PROBE_YES, PROBE_YES, PROBE_YES, true, true, 9, false, false, 0},
         "tracked",
         "follow sockets",
         "cgroup",
         "tcx"},
        {"sockets cannot be followed",
         {PROBE_YES, PROBE_YES, PROBE_NO, true, true, 0, false, false, 0},
         "untracked",
         "refused the tracker",
         "cgroup",
         "xdp"},
        {"control groups only",
         {PROBE_YES, PROBE_YES, PROBE_YES, true, false, 0, false, false, 0},
         "tracked",
         "",
         "cgroup",
         NULL},
        {"no cgroup2",
         {PROBE_YES, PROBE_YES, PROBE_YES, false, true, 0, false, false, 0},
         "tracked",
         "",
         NULL,
         "xdp"},
        {"nothing to attach to",
         {PROBE_YES, PROBE_YES, PROBE_YES, false, false, 0, false, false, 0},
         "none",
         "no hook",
         NULL,
         NULL},
        {"the kernel refuses programs",
         {PROBE_YES, PROBE_NO, PROBE_NO, true, true, 0, false, false, 0},
         "none",
         "no hook",
         NULL,
         NULL},
        {"nobody",
         {PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true, 0, false, false, 0},
         "none",
         "lacks CAP_BPF",
         NULL,
         NULL},
        {"nobody, where an agent runs",
         {PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true, 0, true, true, 1 << SYN_HOOK_XDP},
         "tracked",
         "an agent captures",
         NULL,
         NULL},
        {"the same, and it cannot follow sockets",
         {PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true, 0, true, false, 1 << SYN_HOOK_CGROUP},
         "untracked",
         "an agent captures",
         NULL,
         NULL},
        {"a capability is missing, though some programs load",
         {PROBE_NO, PROBE_YES, PROBE_UNKNOWN, true, true, 0, false, false, 0},
         "none",
         "lacks CAP_BPF",
         "cgroup",
         "xdp"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct doctor *doctor = concluded(&ROWS[i].host);

        if (strcmp(doctor->capture, ROWS[i].capture) != 0 || !strstr(doctor->why, ROWS[i].why))
            fail_msg("%s: %s: %s", ROWS[i].name, doctor->capture, doctor->why);
        if (ROWS[i].cgroups)
            assert_string_equal(doctor->cgroups.hook, ROWS[i].cgroups);
        else
            assert_null(doctor->cgroups.hook);
        if (ROWS[i].device)
            assert_string_equal(doctor->devices[0].hook, ROWS[i].device);
        else
            assert_null(doctor->devices[0].hook);
        free(doctor);
    }
}

static void coverage_is_of_what_auto_would_do_or_else_of_what_runs(void **state)
{
    static const struct {
        struct host host;
        bool known;
        struct coverage_choice choice;
    } ROWS[] = {
        {{PROBE_YES, PROBE_YES, PROBE_YES, true, true, 0, true, false, 1 << SYN_HOOK_TCX},
         true,
         {.device = SYN_HOOK_XDP, .cgroups = true, .tracked = true}},
        {{PROBE_YES, PROBE_YES, PROBE_YES, true, true, 9, false, false, 0},
         true,
         {.device = SYN_HOOK_TCX, .cgroups = true, .tracked = true}},
        {{PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true, 0, true, true,
          1 << SYN_HOOK_TCX | 1 << SYN_HOOK_CGROUP},
         true,
         {.device = SYN_HOOK_TCX, .cgroups = true, .tracked = true}},
        {{PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true, 0, false, false, 0},
         false,
         {.device = SYN_HOOK_NONE}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct doctor *doctor = concluded(&ROWS[i].host);

        assert_int_equal(doctor->coverage_known, ROWS[i].known);
        assert_int_equal(doctor->coverage.device, ROWS[i].choice.device);
        assert_int_equal(doctor->coverage.cgroups, ROWS[i].choice.cgroups);
        assert_int_equal(doctor->coverage.tracked, ROWS[i].choice.tracked);
        free(doctor);
    }
}

static void what_is_not_known_is_null(void **state)
{
    static const struct host NOBODY = {PROBE_NO, PROBE_UNKNOWN, PROBE_UNKNOWN, true, true,
                                       0,        false,         false,         0};
    struct doctor *doctor = concluded(&NOBODY);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    doctor_print_json(doctor, out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "\"tracking\":{\"ok\":null"));
    assert_non_null(strstr(text, "\"name\":\"eth0\",\"hook\":null"));
    assert_non_null(strstr(text, "\"row\":\"routed\",\"title\":\"routed, no NAT\",\"hook\":null,"
                                 "\"state\":null"));
    assert_non_null(strstr(text, "\"hook\":null,\"state\":\"unsupported\""));
    assert_ptr_equal(strchr(text, '\n'), text + size - 1); /* one line */
    free(text);
    free(doctor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_follows_from_what_was_found),
        cmocka_unit_test(coverage_is_of_what_auto_would_do_or_else_of_what_runs),
        cmocka_unit_test(what_is_not_known_is_null),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
