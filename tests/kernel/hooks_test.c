/* SPDX-License-Identifier: Apache-2.0 */
/* One program at one place of each kind: attached, replaced, looked at, taken off. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup2.h"
#include "clsact.h"
#include "hook_pin.h"
#include "hooks.h"
#include "node_private.h"
#include "objects.h"
#include "stand.h"

static const enum object OBJECT_OF[NODE_HOOK_COUNT_] = {
    [NODE_HOOK_XDP_NATIVE] = OBJECT_XDP, [NODE_HOOK_XDP_GENERIC] = OBJECT_XDP,
    [NODE_HOOK_TCX] = OBJECT_TCX,        [NODE_HOOK_CLSACT] = OBJECT_TCX,
    [NODE_HOOK_CGROUP] = OBJECT_CGROUP,
};

struct scene {
    struct stage stage;
    struct capture_maps maps;
    char cgroup[300];
    int cgroup_fd;
};

/* The thread stays in the server's namespace. */
static void scene_make(struct scene *ret_scene)
{
    const struct map_sizes sizes = {16, 16, 16};
    struct diag diag = {.text = ""};
    struct stat found;
    char root[CGROUP2_PATH_MAX];

    stage_make(&ret_scene->stage);
    capture_maps_init(&ret_scene->maps);
    if (objects_make_maps(&sizes, &ret_scene->maps, &diag) < 0)
        fail_msg("%s", diag.text);
    assert_int_equal(cgroup2_find(root), 0);
    (void)snprintf(ret_scene->cgroup, sizeof(ret_scene->cgroup), "%s/synauthz-hooks-%d", root,
                   (int)getpid());
    assert_int_equal(mkdir(ret_scene->cgroup, 0755), 0);
    ret_scene->cgroup_fd = open(ret_scene->cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fstat(ret_scene->cgroup_fd, &found), 0);
    netns_enter(&ret_scene->stage.server);
}

static void scene_done(struct scene *scene)
{
    netns_leave();
    close(scene->cgroup_fd);
    (void)rmdir(scene->cgroup);
    capture_maps_close(&scene->maps);
    stage_done(&scene->stage);
}

static struct hook_place place_of(const struct scene *scene, enum node_hook_kind kind)
{
    struct stat found;

    assert_int_equal(fstat(scene->cgroup_fd, &found), 0);
    if (kind == NODE_HOOK_CGROUP)
        return (struct hook_place){.kind = kind, .cgroup_id = found.st_ino};
    return (struct hook_place){.kind = kind, .ifindex = if_nametoindex("near")};
}

static int load(const struct scene *scene, enum node_hook_kind kind)
{
    struct diag diag = {.text = ""};
    int program = objects_load_hook(OBJECT_OF[kind], &scene->maps, &diag);

    if (program < 0)
        fail_msg("%s", diag.text);
    return program;
}

static void a_hook_is_attached_replaced_and_taken_off(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++) {
        const struct hook_place place = place_of(&scene, kind);
        int first = load(&scene, kind), second = load(&scene, kind);
        struct hook_link link;

        assert_int_equal(hook_attach(&place, scene.cgroup_fd, first, &link), 0);
        assert_int_equal(hook_check(&place, &link), HOOK_ATTACHED);
        assert_int_equal(hook_replace(&place, &link, second, first), 0);
        assert_int_equal(hook_check(&place, &link), HOOK_ATTACHED);
        if (kind != NODE_HOOK_CLSACT) /* what is there is not `first` any more */
            assert_int_not_equal(hook_replace(&place, &link, first, first), 0);
        hook_detach(&place, &link);
        assert_int_equal(hook_check(&place, &link), HOOK_DETACHED);
        hook_link_done(&link);
        close(first);
        close(second);
    }
    scene_done(&scene);
}

static void a_hook_goes_with_its_place(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    for (enum node_hook_kind kind = 0; kind < NODE_HOOK_COUNT_; kind++) {
        struct hook_place place = place_of(&scene, kind);
        int program = load(&scene, kind);
        struct hook_link link;

        if (kind == NODE_HOOK_CGROUP) {
            assert_int_equal(hook_attach(&place, scene.cgroup_fd, program, &link), 0);
            assert_int_equal(rmdir(scene.cgroup), 0);
        } else {
            assert_int_equal(system("ip link add gone type veth peer name gone1"), 0);
            place.ifindex = if_nametoindex("gone");
            assert_int_equal(hook_attach(&place, -1, program, &link), 0);
            assert_int_equal(system("ip link del gone"), 0);
        }
        for (int waited = 0; hook_check(&place, &link) == HOOK_ATTACHED; waited++) {
            assert_in_range(waited, 0, 1000);
            sleep_ms(1);
        }
        hook_link_done(&link);
        close(program);
    }
    scene_done(&scene);
}

static void xdp_that_is_taken_is_busy(void **state)
{
    struct scene scene;
    struct hook_place place, generic;
    struct hook_link link, second;
    int program;

    (void)state;
    scene_make(&scene);
    place = place_of(&scene, NODE_HOOK_XDP_NATIVE);
    generic = place_of(&scene, NODE_HOOK_XDP_GENERIC);
    program = load(&scene, NODE_HOOK_XDP_NATIVE);
    assert_int_equal(hook_attach(&place, -1, program, &link), 0);
    assert_int_not_equal(hook_find_xdp(place.ifindex), 0);
    assert_false(hook_xdp_is_generic(place.ifindex));
    assert_int_equal(hook_attach(&place, -1, program, &second), -EBUSY);
    assert_int_equal(hook_attach(&generic, -1, program, &second), -EEXIST);
    hook_detach(&place, &link);
    hook_link_done(&link);
    assert_int_equal(hook_find_xdp(place.ifindex), 0);
    assert_int_equal(hook_attach(&generic, -1, program, &link), 0);
    assert_true(hook_xdp_is_generic(place.ifindex));
    hook_link_done(&link);
    close(program);
    scene_done(&scene);
}

/* --- clsact, where the kernel has no tcx --- */

static bool has_clsact(void)
{
    return system("tc qdisc show dev near | grep -q clsact") == 0;
}

/* Somebody else's filter on one side. */
static void add_filter(unsigned ifindex, enum bpf_tc_attach_point side, int program)
{
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = side);
    LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 1, .priority = 9, .prog_fd = program);

    assert_int_equal(bpf_tc_attach(&hook, &filter), 0);
}

static void the_qdisc_goes_if_it_was_made_by_us_and_nobody_uses_it(void **state)
{
    static const struct {
        bool was_there;
        enum bpf_tc_attach_point other; /* 0: none */
        bool stays;
    } ROWS[] = {
        {false, 0, false},
        {true, 0, true},
        {false, BPF_TC_INGRESS, true},
        {false, BPF_TC_EGRESS, true},
    };
    struct scene scene;
    int program;

    (void)state;
    scene_make(&scene);
    program = load(&scene, NODE_HOOK_CLSACT);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        unsigned ifindex = if_nametoindex("near");
        struct clsact clsact;

        if (ROWS[i].was_there)
            assert_int_equal(system("tc qdisc add dev near clsact"), 0);
        assert_int_equal(clsact_attach(ifindex, program, &clsact), 0);
        assert_true(has_clsact());
        if (ROWS[i].other)
            add_filter(ifindex, ROWS[i].other, program);
        clsact_detach(ifindex, &clsact);
        assert_false(clsact_has(ifindex, &clsact));
        assert_int_equal(has_clsact(), ROWS[i].stays);
        clsact_detach(ifindex, &clsact); /* nothing happens */
        if (ROWS[i].stays)
            assert_int_equal(system("tc qdisc del dev near clsact"), 0);
    }
    close(program);
    scene_done(&scene);
}

/* The same handle may be anybody's: only with our program it is ours. */
static void a_filter_with_our_number_that_is_not_ours_stays(void **state)
{
    struct scene scene;
    struct clsact theirs, ours;
    unsigned ifindex;
    int program, other;

    (void)state;
    scene_make(&scene);
    ifindex = if_nametoindex("near");
    program = load(&scene, NODE_HOOK_CLSACT);
    other = load(&scene, NODE_HOOK_CLSACT);
    assert_int_equal(clsact_attach(ifindex, other, &theirs), 0);
    assert_int_equal(clsact_attach(ifindex, program, &ours), -EEXIST);
    ours = (struct clsact){.program_id = theirs.program_id + 1};
    clsact_detach(ifindex, &ours);
    assert_true(clsact_has(ifindex, &theirs));
    close(program);
    close(other);
    scene_done(&scene);
}

/* A node that was told that there is no tcx; it is kept, taken over and cleaned up all the same. */
static void a_node_captures_by_clsact_where_there_is_no_tcx(void **state)
{
    static const char *const ABSENT[] = {"absent0"};
    struct stand stand;
    struct node_config config, changed;
    struct diag diag = {.text = ""};
    struct pair pair;
    unsigned removed;
    int listener;

    (void)state;
    stand_make(&stand);
    config = stand_config(&stand);
    config.mode = NODE_TCX;
    changed = config;
    changed.interfaces = ABSENT;
    stand_start_quietly(&stand, &changed);
    stand.node->host.refused[NODE_HOOK_TCX] = -EINVAL;
    netns_enter(&stand.stage.server);
    assert_int_equal(node_reconfigure(stand.node, &config, &diag), 0);
    netns_leave();
    assert_int_equal(stand_hook(&stand, "near").kind, NODE_HOOK_CLSACT);
    assert_true(stand_hook(&stand, "near").attached);
    stand_start_source(&stand);
    stand_leave(&stand);

    stand_start(&stand, &config);
    assert_int_equal(stand_hook(&stand, "near").kind, NODE_HOOK_CLSACT);
    listener = listen_in(&stand.stage.server, "10.77.0.2", own_port());
    pair = stand_connect(&stand, listener);
    assert_verified(&stand, &pair);
    pair_done(&pair);
    close(listener);
    netns_run(&stand.stage.server, "tc filter show dev near ingress | grep -q capture_tcx");

    netns_run(&stand.stage.server, "tc filter del dev near ingress");
    stand_beat(&stand);
    assert_true(stand_hook(&stand, "near").attached);
    assert_int_equal(stand_status(&stand).repairs, 1);
    stand_leave(&stand);
    assert_int_equal(stand_cleanup(&stand, &removed, &diag), 0);
    netns_run(&stand.stage.server, "! tc filter show dev near ingress | grep -q capture_tcx");
    stand_done(&stand);
}

/* --- names of pins --- */

static void names_of_pins_say_the_place(void **state)
{
    static const struct {
        const char *name;
        struct hook_place place;
    } ROWS[] = {
        {"link_xdp_7", {.kind = NODE_HOOK_XDP_NATIVE, .ifindex = 7}},
        {"link_tcx_12", {.kind = NODE_HOOK_TCX, .ifindex = 12}},
        {"prog_clsact_3", {.kind = NODE_HOOK_CLSACT, .ifindex = 3}},
        {"link_cgroup_12345678901", {.kind = NODE_HOOK_CGROUP, .cgroup_id = 12345678901}},
    };
    static const char *const OTHERS[] = {"link_track_0_0", "live",          "link_xdp_",
                                         "link_xdp_x",     "link_xdp_0",    "prog_qdisc_3",
                                         "prog_tcx",       "new_link_xdp_7"};
    struct hook_place place;

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char name[HOOK_PIN_MAX];

        assert_true(hook_pin_parse(ROWS[i].name, &place));
        assert_int_equal(place.kind, ROWS[i].place.kind);
        assert_int_equal(place.ifindex, ROWS[i].place.ifindex);
        assert_int_equal(place.cgroup_id, ROWS[i].place.cgroup_id);
        hook_pin_name(&place, name);
        assert_string_equal(name, ROWS[i].name);
    }
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++)
        assert_false(hook_pin_parse(OTHERS[i], &place));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hook_is_attached_replaced_and_taken_off),
        cmocka_unit_test(a_hook_goes_with_its_place),
        cmocka_unit_test(xdp_that_is_taken_is_busy),
        cmocka_unit_test(the_qdisc_goes_if_it_was_made_by_us_and_nobody_uses_it),
        cmocka_unit_test(a_filter_with_our_number_that_is_not_ours_stays),
        cmocka_unit_test(a_node_captures_by_clsact_where_there_is_no_tcx),
        cmocka_unit_test(names_of_pins_say_the_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
