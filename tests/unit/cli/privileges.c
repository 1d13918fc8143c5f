/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child of its own: what is given up does not come back. */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct identity NOBODY = {65534, 65534};

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

static int lock_and_drop(struct diag *diag)
{
    return privileges_lock(diag) < 0 || privileges_drop(&NOBODY, diag) < 0;
}

static int drop_leaves_nothing(void)
{
    struct diag diag = {0};
    gid_t groups[1];

    if (lock_and_drop(&diag) != 0 || privileges_check(&diag) < 0)
        return 1;
    if (getuid() != 65534 || geteuid() != 65534 || getgid() != 65534 || getegid() != 65534)
        return 2;
    if (getgroups(1, groups) != 0)
        return 3;
    for (cap_value_t cap = 0; cap_get_bound(cap) >= 0; cap++)
        if (cap_get_bound(cap) != 0)
            return 4;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 5;
    if (setresuid(0, 0, 0) == 0 || setgroups(0, NULL) == 0)
        return 6;
    return 0;
}

static int lock_leaves_root_able_to_work(void)
{
    struct diag diag = {0};
    cap_flag_value_t effective = CAP_CLEAR;
    cap_t caps;

    if (privileges_lock(&diag) < 0)
        return 1;
    caps = cap_get_proc();
    if (cap_get_flag(caps, CAP_NET_ADMIN, CAP_EFFECTIVE, &effective) < 0 || effective != CAP_SET)
        return 2;
    return 0;
}

static int check_finds_root(void)
{
    struct diag diag = {0};

    if (privileges_lock(&diag) < 0)
        return 1;
    return privileges_check(&diag) == -EPERM ? 0 : 2;
}

static int check_finds_a_missing_lock(void)
{
    struct diag diag = {0};

    if (privileges_drop(&NOBODY, &diag) < 0)
        return 1;
    return privileges_check(&diag) == -EPERM ? 0 : 2;
}

static int check_finds_a_kept_capability(void)
{
    struct diag diag = {0};
    cap_value_t kept = CAP_NET_RAW;
    cap_t caps = cap_init();

    if (privileges_lock(&diag) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        setresuid(65534, 65534, 65534) < 0)
        return 1;
    if (cap_set_flag(caps, CAP_PERMITTED, 1, &kept, CAP_SET) < 0 || cap_set_proc(caps) < 0)
        return 2;
    return privileges_check(&diag) == -EPERM ? 0 : 3;
}

static int ambient_capabilities_of_another_user_are_cleared(void)
{
    struct diag diag = {0};
    cap_value_t kept = CAP_NET_ADMIN;
    cap_t caps = cap_init();

    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(65534, 65534, 65534) < 0)
        return 1;
    (void)cap_set_flag(caps, CAP_PERMITTED, 1, &kept, CAP_SET);
    (void)cap_set_flag(caps, CAP_EFFECTIVE, 1, &kept, CAP_SET);
    (void)cap_set_flag(caps, CAP_INHERITABLE, 1, &kept, CAP_SET);
    if (cap_set_proc(caps) < 0 || cap_set_ambient(kept, CAP_SET) < 0)
        return 2;
    if (privileges_lock(&diag) < 0 || cap_get_ambient(kept) != 0)
        return 3;
    if (privileges_drop(&NOBODY, &diag) < 0 || privileges_check(&diag) < 0)
        return 4;
    return 0;
}

#define CHILD_TEST(act)                                                                            \
    static void act##_test(void **state)                                                           \
    {                                                                                              \
        (void)state;                                                                               \
        assert_int_equal(in_child(act), 0);                                                        \
    }
CHILD_TEST(drop_leaves_nothing)
CHILD_TEST(lock_leaves_root_able_to_work)
CHILD_TEST(check_finds_root)
CHILD_TEST(check_finds_a_missing_lock)
CHILD_TEST(check_finds_a_kept_capability)
CHILD_TEST(ambient_capabilities_of_another_user_are_cleared)

static void users_are_names_or_numbers_but_not_root(void **state)
{
    static const struct { const char *text; int result; uid_t uid; gid_t gid; } ROWS[] = {
        {"nobody", 0, 65534, 65534},
        {"65534", 0, 65534, 65534},
        {"4242424", 0, 4242424, 4242424}, /* no account: the same number for the group */
        {"no-such-user", -ENOENT, 0, 0},
        {"root", -EINVAL, 0, 0},
        {"0", -EINVAL, 0, 0},
        {"4294967295", -ENOENT, 0, 0}, /* (uid_t)-1 means "do not change" to the kernel */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct identity identity = {0};
        struct diag diag = {0};

        assert_int_equal(identity_parse(str_from(ROWS[i].text), &identity, &diag), ROWS[i].result);
        assert_int_equal(identity.uid, ROWS[i].uid);
        assert_int_equal(identity.gid, ROWS[i].gid);
        assert_true((diag.text[0] != '\0') == (ROWS[i].result < 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_names_or_numbers_but_not_root),
        cmocka_unit_test(drop_leaves_nothing_test),
        cmocka_unit_test(lock_leaves_root_able_to_work_test),
        cmocka_unit_test(check_finds_root_test),
        cmocka_unit_test(check_finds_a_missing_lock_test),
        cmocka_unit_test(check_finds_a_kept_capability_test),
        cmocka_unit_test(ambient_capabilities_of_another_user_are_cleared_test),
    };

    if (getuid() != 0) {
        (void)fprintf(stderr, "these tests give up root's privileges: run them as root\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
