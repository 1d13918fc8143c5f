/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child of its own: what is given up does not come back. */
#include "agent_privileges.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* Runs `act` in a child and returns what it returned (0..100). */
static int in_child(int (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(act());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* The set on the line "NAME:\t..." of /proc/self/status. */
static uint64_t set_of(const char *name)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    uint64_t set = UINT64_MAX;

    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, name, strlen(name)) == 0)
            (void)sscanf(line + strlen(name), ":%lx", &set);
    if (status)
        (void)fclose(status);
    return set;
}

static bool sets_are(uint64_t permitted)
{
    return set_of("CapPrm") == permitted && set_of("CapEff") == permitted &&
           set_of("CapInh") == 0 && set_of("CapAmb") == 0 && set_of("NoNewPrivs") == 1;
}

#define BIT(cap) ((uint64_t)1 << (cap))
static const uint64_t NEEDED = BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON);
static const uint64_t SETTLED =
    BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON) | BIT(CAP_CHOWN);
static const uint64_t BEGUN =
    BIT(CAP_BPF) | BIT(CAP_NET_ADMIN) | BIT(CAP_PERFMON) | BIT(CAP_CHOWN) | BIT(CAP_SYS_ADMIN);

/* As a container does it: nothing else is permitted, and the bounding set cannot be changed. */
static int have_only(const cap_value_t *values, int count)
{
    cap_t caps = cap_init();

    return cap_set_flag(caps, CAP_PERMITTED, count, values, CAP_SET) < 0 ||
           cap_set_flag(caps, CAP_EFFECTIVE, count, values, CAP_SET) < 0 || cap_set_proc(caps) < 0;
}

static int root_keeps_five_then_four_then_three(void)
{
    struct diag diag = {0};

    if (agent_privileges_begin(&diag) < 0 || !sets_are(BEGUN) || set_of("CapBnd") != 0)
        return 1;
    if (agent_privileges_settle(true, &diag) < 0 || !sets_are(SETTLED))
        return 2;
    return agent_privileges_settle(false, &diag) == 0 && sets_are(NEEDED) ? 0 : 3;
}

static int three_are_enough(void)
{
    const cap_value_t values[] = {CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON};
    struct diag diag = {0};

    if (have_only(values, 3) || agent_privileges_begin(&diag) < 0 || !sets_are(NEEDED))
        return 1;
    return agent_privileges_settle(true, &diag) == 0 && sets_are(NEEDED) ? 0 : 2;
}

static int what_is_missing_is_named(void)
{
    const cap_value_t values[] = {CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_CHOWN};
    struct diag diag = {0};

    if (have_only(values, 3) || agent_privileges_begin(&diag) != -EPERM)
        return 1;
    return strstr(diag.text, "missing: CAP_BPF, CAP_PERFMON;") ? 0 : 2;
}

static int other_users_are_refused(void)
{
    struct diag diag = {0};

    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (agent_privileges_begin(&diag) != -EPERM)
        return 2;
    return strstr(diag.text, "started as user 65534") ? 0 : 3;
}

#define CHILD_TEST(act)                                                                            \
    static void act##_test(void **state)                                                           \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(in_child(act), 0);                                                        \
    }
CHILD_TEST(root_keeps_five_then_four_then_three)
CHILD_TEST(three_are_enough)
CHILD_TEST(what_is_missing_is_named)
CHILD_TEST(other_users_are_refused)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_keeps_five_then_four_then_three_test),
        cmocka_unit_test(three_are_enough_test),
        cmocka_unit_test(what_is_missing_is_named_test),
        cmocka_unit_test(other_users_are_refused_test),
    };

    if (getuid() != 0) {
        (void)fprintf(stderr, "these tests give up root's privileges: run them as root\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
