/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include <errno.h>
#include <net/if_arp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define NONE NODE_HOOK_COUNT_
#define ETH                                                                                        \
    {                                                                                              \
        .name = "eth0", .ifindex = 2, .type = ARPHRD_ETHER                                         \
    }

static void a_device_gets_the_first_hook_that_works(void **state)
{
    static const struct {
        const char *name;
        enum node_mode mode;
        struct choose_host host;
        struct choose_device device;
        enum node_hook_kind kind; /* NONE: none */
        bool missing;
        const char *why; /* is in it */
    } ROWS[] = {
        {"nothing in the way",
         NODE_AUTO,
         {.has_cgroup2 = true},
         ETH,
         NODE_HOOK_XDP_NATIVE,
         false,
         "nearest to the wire"},
        {"the driver cannot",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .refused[NODE_HOOK_XDP_NATIVE] = -EOPNOTSUPP},
         NODE_HOOK_TCX,
         false,
         "tcx, because the driver runs no XDP"},
        {"somebody else's program",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .foreign_xdp = 17, .foreign_name = "cil_xdp_entry"},
         NODE_HOOK_TCX,
         false,
         "tcx, because XDP is taken by program 17 (cil_xdp_entry)"},
        {"its program, without a name",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .foreign_xdp = 17},
         NODE_HOOK_TCX,
         false,
         "by program 17"},
        {"taken in between",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .refused[NODE_HOOK_XDP_NATIVE] = -EBUSY},
         NODE_HOOK_TCX,
         false,
         "taken by another program"},
        {"an older kernel",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .foreign_xdp = 17, .refused[NODE_HOOK_TCX] = -EINVAL},
         NODE_HOOK_CLSACT,
         false,
         "Linux 6.6"},
        {"no hook of the device, but control groups",
         NODE_AUTO,
         {.has_cgroup2 = true, .refused[NODE_HOOK_TCX] = -EPERM},
         {.ifindex = 2,
          .type = ARPHRD_ETHER,
          .foreign_xdp = 17,
          .refused[NODE_HOOK_CLSACT] = -ENOENT},
         NONE,
         false,
         "the control groups see its connections"},
        {"no hook at all",
         NODE_AUTO,
         {.has_cgroup2 = false, .refused[NODE_HOOK_TCX] = -EPERM},
         {.ifindex = 2,
          .type = ARPHRD_ETHER,
          .foreign_xdp = 17,
          .refused[NODE_HOOK_CLSACT] = -ENOENT},
         NONE,
         true,
         "clsact: No such file"},
        {"above the driver is not chosen for cheapness' sake",
         NODE_AUTO,
         {.refused = {-EPERM, 0, -EPERM, -EPERM, -EPERM}},
         ETH,
         NONE,
         true,
         "not permitted"},
        {"a tunnel without Ethernet",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.name = "wg0", .ifindex = 3, .type = ARPHRD_NONE},
         NONE,
         false,
         "no Ethernet header"},
        {"the same, and nothing else",
         NODE_TCX,
         {.has_cgroup2 = true},
         {.name = "wg0", .ifindex = 3, .type = ARPHRD_NONE},
         NONE,
         true,
         "no Ethernet header"},
        {"loopback",
         NODE_TCX,
         {.has_cgroup2 = false},
         {.name = "lo", .ifindex = 1, .type = ARPHRD_LOOPBACK},
         NODE_HOOK_TCX,
         false,
         "tcx"},
        {"not there",
         NODE_XDP,
         {.has_cgroup2 = true},
         {.name = "eth9"},
         NONE,
         true,
         "no such device"},
        {"not there, and control groups",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.name = "eth9"},
         NONE,
         true,
         "no such device"},
        {"pattern of none, and control groups",
         NODE_AUTO,
         {.has_cgroup2 = true},
         {.name = "en*"},
         NONE,
         false,
         "no such device"},
        {"the driver or nothing",
         NODE_XDP,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .refused[NODE_HOOK_XDP_NATIVE] = -EOPNOTSUPP},
         NONE,
         true,
         "the driver runs no XDP"},
        {"generic",
         NODE_XDP_GENERIC,
         {.has_cgroup2 = false},
         ETH,
         NODE_HOOK_XDP_GENERIC,
         false,
         "as asked for"},
        {"generic is taken, too",
         NODE_XDP_GENERIC,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .foreign_xdp = 17},
         NONE,
         true,
         "program 17"},
        {"tcx",
         NODE_TCX,
         {.has_cgroup2 = true},
         {.ifindex = 2, .type = ARPHRD_ETHER, .foreign_xdp = 17},
         NODE_HOOK_TCX,
         false,
         "beside"},
        {"control groups only",
         NODE_CGROUP,
         {.has_cgroup2 = true},
         ETH,
         NONE,
         false,
         "only control groups"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct choice choice;

        choose_for_device(ROWS[i].mode, &ROWS[i].host, &ROWS[i].device, &choice);
        if (choice.some != (ROWS[i].kind != NONE) || choice.missing != ROWS[i].missing ||
            (choice.some && choice.kind != ROWS[i].kind) || !strstr(choice.why, ROWS[i].why))
            fail_msg("%s: %d %d %d %s", ROWS[i].name, choice.some, (int)choice.kind, choice.missing,
                     choice.why);
    }
}

static void control_groups_are_for_auto_and_for_who_asks(void **state)
{
    static const struct {
        enum node_mode mode;
        struct choose_host host;
        bool some, missing;
        const char *why;
    } ROWS[] = {
        {NODE_AUTO, {.has_cgroup2 = true}, true, false, "behind NAT"},
        {NODE_CGROUP, {.has_cgroup2 = true}, true, false, "behind NAT"},
        {NODE_XDP, {.has_cgroup2 = true}, false, false, "only devices"},
        {NODE_XDP_GENERIC, {.has_cgroup2 = true}, false, false, "only devices"},
        {NODE_TCX, {.has_cgroup2 = true}, false, false, "only devices"},
        {NODE_AUTO, {.has_cgroup2 = false}, false, true, "no cgroup2"},
        {NODE_AUTO, {.has_cgroup2 = false, .has_interfaces = true}, false, false, "no cgroup2"},
        {NODE_CGROUP, {.has_cgroup2 = false, .has_interfaces = true}, false, true, "no cgroup2"},
        {NODE_CGROUP,
         {.has_cgroup2 = true, .refused[NODE_HOOK_CGROUP] = -EPERM},
         false,
         true,
         "not permitted"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct choice choice;

        choose_for_cgroups(ROWS[i].mode, &ROWS[i].host, &choice);
        assert_int_equal(choice.some, ROWS[i].some);
        assert_int_equal(choice.missing, ROWS[i].missing);
        assert_int_equal(choice.kind, NODE_HOOK_CGROUP);
        assert_non_null(strstr(choice.why, ROWS[i].why));
    }
}

static void sockets_are_followed_unless_something_is_in_the_way(void **state)
{
    static const struct {
        int refused;
        bool has_btf, turned_off, followed;
        const char *why;
    } ROWS[] = {
        {0, true, false, true, "prove"},
        {0, true, true, false, "turned off"},
        {-ESRCH, false, false, false, "type information"},
        {-EPERM, true, false, false, "refused the tracker (Operation not permitted)"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char why[CHOOSE_WHY_MAX];

        assert_int_equal(choose_tracking(ROWS[i].refused, ROWS[i].has_btf, ROWS[i].turned_off, why),
                         ROWS[i].followed);
        assert_non_null(strstr(why, ROWS[i].why));
    }
}

/* Attach, note what was said, choose again: ends, and never chooses the same twice. */
static void choosing_again_after_each_refusal_ends(void **state)
{
    (void)state;
    for (int mode = NODE_AUTO; mode < NODE_MODE_COUNT_; mode++) {
        struct choose_host host = {.has_cgroup2 = true};
        struct choose_device device = ETH;
        struct choice choice;
        unsigned tries = 0;

        for (;;) {
            choose_for_device((enum node_mode)mode, &host, &device, &choice);
            if (!choice.some)
                break;
            assert_int_equal(device.refused[choice.kind], 0);
            device.refused[choice.kind] = -EIO;
            assert_true(++tries <= NODE_HOOK_COUNT_);
        }
        assert_true(choice.why[0] != '\0');
    }
}

static void names_that_do_not_fit_are_cut_not_overrun(void **state)
{
    char name[4 * CHOOSE_WHY_MAX];
    struct choose_host host = {.has_cgroup2 = true, .refused[NODE_HOOK_TCX] = -EPERM};
    struct choose_device device = ETH;
    struct choice choice;

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    device.foreign_xdp = 1;
    device.foreign_name = name;
    choose_for_device(NODE_AUTO, &host, &device, &choice);
    assert_true(choice.some);
    assert_true(strlen(choice.why) < CHOOSE_WHY_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_gets_the_first_hook_that_works),
        cmocka_unit_test(control_groups_are_for_auto_and_for_who_asks),
        cmocka_unit_test(sockets_are_followed_unless_something_is_in_the_way),
        cmocka_unit_test(choosing_again_after_each_refusal_ends),
        cmocka_unit_test(names_that_do_not_fit_are_cut_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
