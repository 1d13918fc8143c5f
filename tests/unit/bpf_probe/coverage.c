/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static const struct coverage_way *find(const char *row)
{
    size_t count;
    const struct coverage_way *ways = coverage_ways(&count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(ways[i].row, row) == 0)
            return &ways[i];
    fail_msg("no row %s", row);
    return NULL;
}

/* As measured on Linux 6.18: which hook's record each choice finds. */
static void each_measured_way_is_answered_by_the_outermost_hook_that_fits(void **state)
{
    enum { NO = SYN_HOOK_NONE, XDP = SYN_HOOK_XDP, TCX = SYN_HOOK_TCX, CG = SYN_HOOK_CGROUP };
    static const struct {
        const char *row;
        int xdp, xdp_vxlan, tcx, cgroup, automatic, untracked_xdp, untracked_auto;
    } ROWS[] = {
        {"routed", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"dnat", XDP, XDP, TCX, CG, XDP, NO, CG},
        {"dnat-masquerade", NO, NO, NO, CG, CG, NO, CG},
        {"same-node", NO, NO, NO, CG, CG, NO, CG},
        {"vxlan", NO, XDP, NO, CG, CG, NO, CG},
        {"redirect", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"tproxy", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"redirect-peer", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"syn-cookies", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"earlier-listener", XDP, XDP, TCX, CG, XDP, XDP, XDP},
        {"loopback", NO, NO, NO, CG, CG, NO, CG},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        const struct {
            struct coverage_choice choice;
            int hook;
        } cases[] = {
            {{.device = SYN_HOOK_XDP, .tracked = true}, ROWS[i].xdp},
            {{.device = SYN_HOOK_XDP, .tracked = true, .vxlan = true}, ROWS[i].xdp_vxlan},
            {{.device = SYN_HOOK_TCX, .tracked = true}, ROWS[i].tcx},
            {{.cgroups = true, .tracked = true}, ROWS[i].cgroup},
            {{.device = SYN_HOOK_XDP, .cgroups = true, .tracked = true}, ROWS[i].automatic},
            {{.device = SYN_HOOK_XDP}, ROWS[i].untracked_xdp},
            {{.device = SYN_HOOK_XDP, .cgroups = true}, ROWS[i].untracked_auto},
            {{.tracked = true}, NO},
        };

        for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
            struct coverage_answer answer = coverage_of(find(ROWS[i].row), &cases[j].choice);
            const char *found = cases[j].choice.tracked ? "verified" : "captured";

            if (answer.hook != (enum syn_hook)cases[j].hook)
                fail_msg("%s, case %zu: hook %d", ROWS[i].row, j, (int)answer.hook);
            assert_string_equal(answer.state, cases[j].hook == NO ? "missing" : found);
        }
    }
}

static void every_scenario_is_a_measured_way_or_has_no_syn(void **state)
{
    const struct coverage_choice everything = {
        .device = SYN_HOOK_XDP, .cgroups = true, .tracked = true, .vxlan = true};
    size_t count, measured = 0;
    const struct coverage_way *ways = coverage_ways(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct coverage_answer answer = coverage_of(&ways[i], &everything);

        assert_ptr_equal(find(ways[i].row), &ways[i]); /* no name twice */
        if (ways[i].like)
            assert_null(find(ways[i].like)->like);
        else if (!ways[i].unsupported)
            measured++;
        assert_string_equal(answer.state, ways[i].unsupported ? "unsupported" : "verified");
        assert_true(ways[i].unsupported || answer.hook != SYN_HOOK_NONE);
    }
    assert_int_equal(measured, 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_measured_way_is_answered_by_the_outermost_hook_that_fits),
        cmocka_unit_test(every_scenario_is_a_measured_way_or_has_no_syn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
