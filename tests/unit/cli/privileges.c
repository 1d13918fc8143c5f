/* SPDX-License-Identifier: Apache-2.0 */
/* Each case in a child of its own: what is given up does not come back. */
#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct identity NOBODY = {.uid = 65534, .gid = 65534};

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

    if (lock_and_drop(&diag) != 0 || privileges_check(&NOBODY, &diag) < 0)
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
    return privileges_check(&NOBODY, &diag) == -EPERM ? 0 : 2;
}

static int check_finds_a_missing_lock(void)
{
    struct diag diag = {0};

    if (privileges_drop(&NOBODY, &diag) < 0)
        return 1;
    return privileges_check(&NOBODY, &diag) == -EPERM ? 0 : 2;
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
    return privileges_check(&NOBODY, &diag) == -EPERM ? 0 : 3;
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
    if (privileges_drop(&NOBODY, &diag) < 0 || privileges_check(&NOBODY, &diag) < 0)
        return 4;
    return 0;
}

/* --- what a reader of pins keeps --- */

enum { READERS = 4242 }; /* a group */

static bool answer_allowed(void)
{
    return true;
}

static bool answer_refused(void)
{
    return false;
}

/* What Linux says before 5.19: without the capability, no. */
static bool answer_by_capability(void)
{
    cap_flag_value_t effective = CAP_CLEAR;
    cap_t caps = cap_get_proc();

    (void)cap_get_flag(caps, CAP_BPF, CAP_EFFECTIVE, &effective);
    (void)cap_free(caps);
    return effective == CAP_SET;
}

/* What this kernel says: of a pin that is not there, that it is not there. */
static bool answer_of_the_kernel(void)
{
    enum { BPF_OBJ_GET = 7 }; /* linux/bpf.h, which belongs to another layer */
    const struct {
        uint64_t pathname;
        uint64_t zero[15];
    } attributes = {.pathname = (uintptr_t) "/nothing/is/here"};

    return syscall(SYS_bpf, BPF_OBJ_GET, &attributes, sizeof(attributes)) < 0 && errno == ENOENT;
}

static int bpf_stays_alone_where_it_is_needed(void)
{
    struct identity identity = NOBODY;
    struct diag diag = {0};
    cap_t caps, only;
    cap_value_t kept = CAP_BPF;

    if (privileges_lock(&diag) < 0 ||
        privileges_for_pins("/nothing", answer_by_capability, &identity, &diag) < 0)
        return 1;
    if (!identity.keeps_bpf)
        return 2;
    if (privileges_drop(&identity, &diag) < 0 || privileges_check(&identity, &diag) < 0)
        return 3;
    caps = cap_get_proc();
    only = cap_init();
    (void)cap_set_flag(only, CAP_PERMITTED, 1, &kept, CAP_SET);
    (void)cap_set_flag(only, CAP_EFFECTIVE, 1, &kept, CAP_SET);
    if (cap_compare(caps, only) != 0)
        return 4;
    if (getuid() != 65534 || setresuid(0, 0, 0) == 0 || !answer_by_capability())
        return 5;
    if (privileges_check(&NOBODY, &diag) != -EPERM) /* who meant to keep nothing finds it */
        return 6;
    return 0;
}

static int nothing_is_kept_where_bpf_is_allowed(void)
{
    bool (*const ANSWERS[])(void) = {answer_allowed, answer_of_the_kernel};
    struct identity identity = NOBODY;
    struct diag diag = {0};

    if (privileges_lock(&diag) < 0)
        return 1;
    for (size_t i = 0; i < 2; i++)
        if (privileges_for_pins("/nothing", ANSWERS[i], &identity, &diag) < 0 || identity.keeps_bpf)
            return 2;
    if (privileges_drop(&identity, &diag) < 0 || privileges_check(&identity, &diag) < 0)
        return 3;
    return 0;
}

static int bpf_that_is_not_there_is_not_kept(void)
{
    struct identity identity = NOBODY;
    struct diag diag = {0};

    if (lock_and_drop(&diag) != 0)
        return 1;
    if (privileges_for_pins("/nothing", answer_refused, &identity, &diag) < 0 || identity.keeps_bpf)
        return 2;
    if (privileges_drop(&identity, &diag) < 0 || privileges_check(&identity, &diag) < 0)
        return 3;
    return 0;
}

static int check_misses_the_bpf_that_should_be_kept(void)
{
    struct identity keeps = NOBODY;
    struct diag diag = {0};

    keeps.keeps_bpf = true;
    if (lock_and_drop(&diag) != 0)
        return 1;
    return privileges_check(&keeps, &diag) == -EPERM ? 0 : 2;
}

static int group_of_the_pins_is_the_only_one(void)
{
    static const gid_t BEFORE[] = {1, 2, 3};
    struct identity identity = NOBODY;
    struct diag diag = {0};
    gid_t groups[4];

    identity.pin_group = READERS;
    if (setgroups(3, BEFORE) < 0 || privileges_lock(&diag) < 0)
        return 1;
    if (privileges_drop(&identity, &diag) < 0 || privileges_check(&identity, &diag) < 0)
        return 2;
    return getgroups(4, groups) == 1 && groups[0] == READERS && getegid() == 65534 ? 0 : 3;
}

/* Whoever is not root and may not change groups stays in theirs. */
static int other_users_keep_their_groups(void)
{
    static const gid_t BEFORE[] = {READERS};
    struct identity identity = {.uid = 1, .gid = 1, .pin_group = READERS + 1};
    struct diag diag = {0};
    gid_t groups[2];

    if (setgroups(1, BEFORE) < 0 || setresgid(1000, 1000, 1000) < 0 ||
        setresuid(1000, 1000, 1000) < 0)
        return 1;
    if (privileges_lock(&diag) < 0 || privileges_drop(&identity, &diag) < 0 ||
        privileges_check(&identity, &diag) < 0)
        return 2;
    return getuid() == 1000 && getgroups(2, groups) == 1 && groups[0] == READERS ? 0 : 3;
}

static gid_t group_for(const char *folder)
{
    struct identity identity = NOBODY;
    struct diag diag = {0};

    identity.pin_group = 1; /* is replaced */
    return privileges_for_pins(folder, answer_allowed, &identity, &diag) < 0 ? 1
                                                                             : identity.pin_group;
}

/* In a mount namespace of its own. */
static int group_is_that_of_a_folder_that_only_root_can_have_made(void)
{
    char plain[] = "/tmp/synauthz-privileges-XXXXXX", pins[64], link[64];

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", "/tmp", "tmpfs", 0, NULL) < 0 || !mkdtemp(plain))
        return 1;
    (void)snprintf(pins, sizeof(pins), "%s/pins", plain);
    (void)snprintf(link, sizeof(link), "%s/link", plain);
    if (chown(plain, 0, READERS) < 0 || group_for(plain) != identity_default_group())
        return 2; /* no bpffs */
    if (mkdir(pins, 0750) < 0 || mount("none", pins, "bpf", 0, NULL) < 0)
        return 3;
    if (group_for(pins) != identity_default_group())
        return 4; /* root's group is none to keep */
    if (chown(pins, 0, READERS) < 0 || group_for(pins) != READERS)
        return 5;
    if (symlink(pins, link) < 0 || group_for(link) != identity_default_group())
        return 6; /* a link leads anywhere */
    if (chown(pins, 65534, READERS) < 0 || group_for(pins) != identity_default_group())
        return 7; /* not root's */
    return identity_default_group() != 0 ? 0 : 8;
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
CHILD_TEST(bpf_stays_alone_where_it_is_needed)
CHILD_TEST(nothing_is_kept_where_bpf_is_allowed)
CHILD_TEST(bpf_that_is_not_there_is_not_kept)
CHILD_TEST(check_misses_the_bpf_that_should_be_kept)
CHILD_TEST(group_of_the_pins_is_the_only_one)
CHILD_TEST(other_users_keep_their_groups)
CHILD_TEST(group_is_that_of_a_folder_that_only_root_can_have_made)

static void users_are_names_or_numbers_but_not_root(void **state)
{
    static const struct {
        const char *text;
        int result;
        uid_t uid;
        gid_t gid;
    } ROWS[] = {
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
        cmocka_unit_test(bpf_stays_alone_where_it_is_needed_test),
        cmocka_unit_test(nothing_is_kept_where_bpf_is_allowed_test),
        cmocka_unit_test(bpf_that_is_not_there_is_not_kept_test),
        cmocka_unit_test(check_misses_the_bpf_that_should_be_kept_test),
        cmocka_unit_test(group_of_the_pins_is_the_only_one_test),
        cmocka_unit_test(other_users_keep_their_groups_test),
        cmocka_unit_test(group_is_that_of_a_folder_that_only_root_can_have_made_test),
    };

    if (getuid() != 0) {
        (void)fprintf(stderr, "these tests give up root's privileges: run them as root\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
