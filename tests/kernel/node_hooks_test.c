/* SPDX-License-Identifier: Apache-2.0 */
/* Which hooks a node attaches, and what it does when devices, hooks and pins come and go under it.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup2.h"
#include "node_private.h"
#include "stand.h"

static void assert_contains(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in: %s", words, text);
}

/* --- a control group of the test's own, without a process in it --- */

struct group {
    char path[300];
};

static void group_make(struct group *ret_group)
{
    char root[CGROUP2_PATH_MAX];

    assert_int_equal(cgroup2_find(root), 0);
    (void)snprintf(ret_group->path, sizeof(ret_group->path), "%s/synauthz-test-%d", root,
                   (int)getpid());
    assert_int_equal(mkdir(ret_group->path, 0755), 0);
}

static void group_done(const struct group *group)
{
    assert_int_equal(rmdir(group->path), 0);
}

/* --- somebody else's XDP program on "near" --- */

static int attach_foreign(const struct stand *stand)
{
    const struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody_elses", "GPL", code, 2, &options);
    int link;

    assert_true(program >= 0);
    netns_enter(&stand->stage.server);
    link = bpf_link_create(program, (int)if_nametoindex("near"), BPF_XDP, NULL);
    netns_leave();
    assert_true(link >= 0);
    close(program);
    return link;
}

static void assert_captures(struct stand *stand)
{
    int listener = listen_in(&stand->stage.server, "10.77.0.2", own_port());
    struct pair pair = stand_connect(stand, listener);

    assert_verified(stand, &pair);
    pair_done(&pair);
    close(listener);
}

static void each_way_of_capture_attaches_its_hook(void **state)
{
    static const struct {
        enum node_mode mode;
        enum node_hook_kind kind;
    } ROWS[] = {
        {NODE_XDP, NODE_HOOK_XDP_NATIVE},
        {NODE_XDP_GENERIC, NODE_HOOK_XDP_GENERIC},
        {NODE_TCX, NODE_HOOK_TCX},
        {NODE_XDP, NODE_HOOK_XDP_NATIVE},
    };
    struct stand stand;
    struct node_config config;

    (void)state;
    config = stand_begin(&stand);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct node_hook hook;

        config.mode = ROWS[i].mode;
        stand_start(&stand, &config);
        hook = stand_hook(&stand, "near");
        assert_true(hook.attached);
        assert_int_equal(hook.kind, ROWS[i].kind);
        assert_int_equal(stand_status(&stand).hook_count, 1); /* the one before has gone */
        assert_true(stand_status(&stand).ready);
        assert_captures(&stand);
        stand_leave(&stand);
    }
    stand_done(&stand);
}

static void auto_takes_tcx_where_xdp_is_taken(void **state)
{
    struct group group;
    const char *const groups[] = {group.path};
    struct stand stand;
    struct node_config config;
    struct node_hook hook;
    int foreign;

    (void)state;
    group_make(&group);
    stand_make(&stand);
    foreign = attach_foreign(&stand);
    config = stand_config(&stand);
    config.mode = NODE_AUTO;
    config.cgroups = groups;
    config.cgroup_count = 1;
    stand_start(&stand, &config);
    hook = stand_hook(&stand, "near");
    assert_int_equal(hook.kind, NODE_HOOK_TCX);
    assert_contains(hook.why, "somebody_elses");
    hook = stand_hook(&stand, group.path);
    assert_true(hook.attached);
    assert_int_equal(hook.kind, NODE_HOOK_CGROUP);
    assert_true(stand_status(&stand).ready);
    assert_captures(&stand);
    stand_done(&stand);
    close(foreign);
    group_done(&group);
}

static void a_way_that_is_not_possible_fails_and_changes_nothing(void **state)
{
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    int foreign;

    (void)state;
    config = stand_begin(&stand);
    foreign = attach_foreign(&stand);
    assert_int_equal(stand_try_start(&stand, &config, &diag), -EBUSY);
    assert_contains(diag.text, "near: another XDP program is attached");
    assert_int_equal(access(stand_path(&stand, "unfinished"), F_OK), -1);
    assert_int_equal(access(stand_path(&stand, "v2"), F_OK), -1);
    close(foreign);
    stand_start(&stand, &config);
    assert_captures(&stand);
    stand_done(&stand);
}

/* --- what comes and goes --- */

static void wait_for_event(const struct stand *stand)
{
    struct pollfd event = {.fd = node_event_fd(stand->node), .events = POLLIN};

    assert_int_equal(poll(&event, 1, 3000), 1);
}

static void a_device_that_goes_and_comes_is_followed(void **state)
{
    static const char *const NAMES[] = {"near", "late*"};
    struct stand stand;
    struct node_config config;
    struct node_hook hook;

    (void)state;
    config = stand_begin(&stand);
    config.interfaces = NAMES;
    config.interface_count = 2;
    stand_start_quietly(&stand, &config);
    assert_false(stand_status(&stand).ready);
    hook = stand_hook(&stand, "late*");
    assert_false(hook.attached);
    assert_int_equal(hook.ifindex, 0);

    node_drain_events(stand.node);
    netns_run(&stand.stage.server, "ip link add late0 type veth peer name late1");
    wait_for_event(&stand);
    stand_reconcile(&stand);
    stand_start_source(&stand);
    assert_true(stand_hook(&stand, "late0").attached);
    assert_true(stand_hook(&stand, "late1").attached);
    assert_true(stand_status(&stand).ready);
    assert_int_equal(stand_status(&stand).hook_count, 3);

    netns_run(&stand.stage.server, "ip link del late0");
    wait_for_event(&stand);
    stand_reconcile(&stand);
    assert_int_equal(stand_status(&stand).device_losses, 2);
    assert_false(stand_hook(&stand, "late*").attached);
    assert_int_equal(stand_status(&stand).hook_count, 2);
    assert_captures(&stand);
    stand_done(&stand);
}

/* It has another number when it comes again. */
static void the_device_of_a_name_comes_again(void **state)
{
    struct stand stand;
    struct node_config config;
    unsigned before;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    before = stand_hook(&stand, "near").ifindex;
    netns_run(&stand.stage.server, "ip link del near");
    netns_join(&stand.stage.client, "far", &stand.stage.server, "near");
    netns_run(&stand.stage.client,
              "ip link set far address 02:00:00:00:00:01 up && ip addr add 10.77.0.1/16 dev far");
    netns_run(&stand.stage.server,
              "ip link set near address 02:00:00:00:00:02 up && ip addr add 10.77.0.2/16 dev near");
    stand_reconcile(&stand);
    assert_int_not_equal(stand_hook(&stand, "near").ifindex, before);
    assert_true(stand_hook(&stand, "near").attached);
    assert_int_equal(stand_status(&stand).device_losses, 1);
    assert_captures(&stand);
    stand_done(&stand);
}

static void a_hook_that_was_taken_off_is_attached_again(void **state)
{
    struct stand stand;
    struct node_config config;
    char pin[64];
    int link;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    (void)snprintf(pin, sizeof(pin), "v2/link_xdp_%u", stand_hook(&stand, "near").ifindex);
    link = bpf_obj_get(stand_path(&stand, pin));
    assert_true(link >= 0);
    assert_int_equal(bpf_link_detach(link), 0);
    close(link);
    stand_beat(&stand);
    assert_true(stand_hook(&stand, "near").attached);
    assert_int_equal(stand_status(&stand).repairs, 1);
    assert_int_equal(access(stand_path(&stand, pin), F_OK), 0);
    assert_captures(&stand);
    stand_done(&stand);
}

static void pins_that_are_wiped_come_again(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair pair;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    pair = stand_connect(&stand, listener);
    netns_run(&stand.stage.server, "rm -r %s/v2", stand.folder);
    assert_verified(&stand, &pair);
    stand_beat(&stand);
    assert_true(stand_status(&stand).repairs > MAP_COUNT_);
    assert_int_equal(access(stand_path(&stand, "v2/live"), F_OK), 0);
    netns_run(&stand.stage.server, "umount --lazy %s", stand.folder);
    stand_beat(&stand);
    assert_int_equal(access(stand_path(&stand, "v2/live"), F_OK), 0);
    netns_run(&stand.stage.server, "rm %s/v2/*", stand.folder);
    stand_leave(&stand); /* what is not pinned would end now */
    assert_verified(&stand, &pair);
    stand_start(&stand, &config);
    assert_true(stand_status(&stand).took_over);
    assert_verified(&stand, &pair);
    pair_done(&pair);
    close(listener);
    stand_done(&stand);
}

/* --- what is known --- */

static void a_connection_older_than_the_agent_is_missing(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair pair;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    pair = stand_connect(&stand, listener);
    stand_start(&stand, &config);
    assert_answer(stand_ask(&stand, &pair.flow), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    pair_done(&pair);
    close(listener);
    stand_done(&stand);
}

static void without_tracking_syns_are_captured_only(void **state)
{
    struct stand stand;
    struct node_config config;
    struct pair pair;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    config.no_tracking = true;
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    assert_false(stand_status(&stand).tracked);
    assert_contains(stand_status(&stand).why_untracked, "turned off");
    assert_true(stand_status(&stand).ready);
    pair = stand_connect(&stand, listener);
    assert_int_equal(stand_ask(&stand, &pair.flow).state, SYN_STATE_CAPTURED);
    pair_done(&pair);
    stand_leave(&stand);
    config.no_tracking = false; /* other maps */
    stand_start(&stand, &config);
    assert_string_equal(stand_status(&stand).set, "v2-1");
    stand_wait_for(&stand, &pair.flow, SYN_STATE_MISSING);
    close(listener);
    assert_captures(&stand);
    stand_done(&stand);
}

/* --- other settings while it runs --- */

static void filters_and_devices_change_without_a_restart(void **state)
{
    static const char *const BOTH[] = {"near", "other"};
    static const uint16_t OTHER_PORT[] = {9};
    struct stand stand;
    struct node_config config, changed;
    struct diag diag = {.text = ""};
    struct pair pair;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    netns_run(&stand.stage.server, "ip link add other type veth peer name another");
    stand_start(&stand, &config);
    changed = config;
    changed.interfaces = BOTH;
    changed.interface_count = 2;
    changed.ports = OTHER_PORT;
    netns_enter(&stand.stage.server);
    assert_int_equal(node_reconfigure(stand.node, &changed, &diag), 0);
    netns_leave();
    assert_true(stand_hook(&stand, "other").attached);
    pair = stand_connect(&stand, listener);
    assert_answer(stand_ask(&stand, &pair.flow), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    pair_done(&pair);
    netns_enter(&stand.stage.server);
    assert_int_equal(node_reconfigure(stand.node, &config, &diag), 0);
    netns_leave();
    assert_int_equal(stand_status(&stand).hook_count, 1);
    close(listener);
    assert_captures(&stand);
    stand_done(&stand);
}

static void prefixes_are_replaced(void **state)
{
    struct prefix elsewhere = {.addr = addr_from_v4((const uint8_t[]){192, 0, 2, 0}), .length = 24};
    struct prefix here = {.addr = addr_from_v4((const uint8_t[]){10, 77, 0, 0}), .length = 16};
    const struct prefix *const ROWS[] = {&elsewhere, &here, &elsewhere, NULL};
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct pair pair;

        config.prefixes = ROWS[i];
        config.prefix_count = ROWS[i] ? 1 : 0;
        netns_enter(&stand.stage.server);
        assert_int_equal(node_reconfigure(stand.node, &config, &diag), 0);
        netns_leave();
        pair = stand_connect(&stand, listener);
        if (ROWS[i] == &elsewhere)
            assert_answer(stand_ask(&stand, &pair.flow), SYN_STATE_MISSING, SYN_REASON_FILTERED);
        else
            assert_verified(&stand, &pair);
        pair_done(&pair);
    }
    close(listener);
    stand_done(&stand);
}

static void what_is_fixed_cannot_change(void **state)
{
    struct stand stand;
    struct node_config config, changed;
    struct diag diag = {.text = ""};

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    changed = config;
    changed.max_live = 17;
    assert_int_equal(node_reconfigure(stand.node, &changed, &diag), -EINVAL);
    assert_contains(diag.text, "the number of live connections cannot change");
    diag_clear(&diag);
    changed = config;
    changed.port_count = 0;
    assert_int_equal(node_reconfigure(stand.node, &changed, &diag), -EINVAL);
    assert_contains(diag.text, "no port");
    assert_captures(&stand);
    stand_done(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_capture_attaches_its_hook),
        cmocka_unit_test(auto_takes_tcx_where_xdp_is_taken),
        cmocka_unit_test(a_way_that_is_not_possible_fails_and_changes_nothing),
        cmocka_unit_test(a_device_that_goes_and_comes_is_followed),
        cmocka_unit_test(the_device_of_a_name_comes_again),
        cmocka_unit_test(a_hook_that_was_taken_off_is_attached_again),
        cmocka_unit_test(pins_that_are_wiped_come_again),
        cmocka_unit_test(a_connection_older_than_the_agent_is_missing),
        cmocka_unit_test(without_tracking_syns_are_captured_only),
        cmocka_unit_test(filters_and_devices_change_without_a_restart),
        cmocka_unit_test(prefixes_are_replaced),
        cmocka_unit_test(what_is_fixed_cannot_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
