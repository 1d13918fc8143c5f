/* SPDX-License-Identifier: Apache-2.0 */
/* What a node finds at its start and believes, what it leaves behind when it cannot start, and what
 * it says when its pins have gone. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cgroup2.h"
#include "cleanup.h"
#include "node_private.h"
#include "stand.h"

static void assert_contains(const char *text, const char *words)
{
    if (!strstr(text, words))
        fail_msg("'%s' is not in: %s", words, text);
}

/* --- standard error, to count what is said --- */

struct said {
    FILE *file;
    int before; /* where it went */
};

static void said_begin(struct said *ret_said)
{
    ret_said->file = tmpfile();
    assert_non_null(ret_said->file);
    ret_said->before = dup(STDERR_FILENO);
    assert_int_equal(dup2(fileno(ret_said->file), STDERR_FILENO), STDERR_FILENO);
}

/* Ends it; returns how many lines have the words. */
static unsigned said_end(struct said *said, const char *words)
{
    char line[1024];
    unsigned count = 0;

    assert_int_equal(dup2(said->before, STDERR_FILENO), STDERR_FILENO);
    close(said->before);
    rewind(said->file);
    while (fgets(line, sizeof(line), said->file))
        count += strstr(line, words) != NULL;
    (void)fclose(said->file);
    return count;
}

/* --- another network namespace --- */

/* An agent there, from its start to its end. */
static void run_elsewhere(struct stand *stand, const struct netns *ns, const char *device)
{
    const char *const names[] = {device};
    struct node_config config = stand_config(stand);
    struct diag diag = {.text = ""};
    struct node *node;

    config.interfaces = names;
    netns_enter(ns);
    if (node_start(&config, &node, &diag) < 0)
        fail_msg("%s", diag.text);
    node_leave(node);
    netns_leave();
}

static unsigned index_of(const struct netns *ns, const char *device)
{
    unsigned ifindex;

    netns_enter(ns);
    ifindex = if_nametoindex(device);
    netns_leave();
    assert_int_not_equal(ifindex, 0);
    return ifindex;
}

static bool has_hook(const struct netns *ns, const char *device, bool tcx)
{
    uint32_t programs[8] = {0}, count = 8, flags = 0;
    int r = 0;
    bool found;

    netns_enter(ns);
    if (tcx)
        r = bpf_prog_query((int)if_nametoindex(device), (enum bpf_attach_type)46, 0, &flags,
                           programs, &count);
    found = tcx ? r == 0 && count > 0 : hook_find_xdp(if_nametoindex(device)) != 0;
    netns_leave();
    return found;
}

/* Devices have the same number in both, and the pins of the one look like those of the other. */
static void a_device_of_another_namespace_is_not_taken_for_ours(void **state)
{
    static const enum node_mode MODES[] = {NODE_XDP, NODE_TCX};

    (void)state;
    for (size_t i = 0; i < sizeof(MODES) / sizeof(MODES[0]); i++) {
        bool tcx = MODES[i] == NODE_TCX;
        struct stand stand;
        struct node_config config;
        struct netns other;
        struct pair pair;
        int listener;

        stand_make(&stand);
        netns_make(&other);
        netns_run(&other, "ip link add peer type veth peer name same && ip link set same up && "
                          "ip link set peer up");
        assert_int_equal(index_of(&other, "same"), index_of(&stand.stage.server, "near"));
        config = stand_config(&stand);
        config.mode = MODES[i];
        stand_start(&stand, &config);
        stand_leave(&stand);
        run_elsewhere(&stand, &other, "same");
        stand_start(&stand, &config);
        assert_true(stand_status(&stand).took_over);
        assert_true(stand_status(&stand).ready);
        assert_true(has_hook(&stand.stage.server, "near", tcx));
        assert_false(has_hook(&other, "same", tcx));
        listener = stand_listen(&stand);
        pair = stand_connect(&stand, listener);
        assert_verified(&stand, &pair);
        pair_done(&pair);
        close(listener);
        stand_done(&stand);
        netns_done(&other);
    }
}

/* Readers tell by it which connections have routers of the node before them. */
static void the_network_namespace_in_meta_is_that_of_the_present_agent(void **state)
{
    struct stand stand;
    struct node_config config;
    struct capture_meta first, second;
    struct netns other;
    int meta;

    (void)state;
    config = stand_begin(&stand);
    netns_make(&other);
    netns_run(&other, "ip link add same type veth peer name peer");
    stand_start_quietly(&stand, &config);
    assert_int_equal(capture_meta_read(node_get_maps(stand.node), &first), 0);
    stand_leave(&stand);
    run_elsewhere(&stand, &other, "same");
    meta = bpf_obj_get(stand_path(&stand, "v2/meta"));
    assert_int_equal(bpf_map_lookup_elem(meta, &(uint32_t){0}, &second), 0);
    assert_int_not_equal(first.host_netns, 0);
    assert_int_not_equal(second.host_netns, first.host_netns);
    close(meta);
    stand_done(&stand);
    netns_done(&other);
}

/* --- starts that fail --- */

enum { DEVICES = 12 };

static void assert_no_hooks(const struct stand *stand)
{
    for (int i = 0; i < DEVICES; i++) {
        char name[IFNAMSIZ];

        (void)snprintf(name, sizeof(name), "many%d", i);
        assert_false(has_hook(&stand->stage.server, name, false));
    }
    assert_int_equal(access(stand_path(stand, PINS_UNFINISHED), F_OK), -1);
    assert_int_equal(access(stand_path(stand, "v2"), F_OK), -1);
}

static int count_descriptors(void)
{
    int fd = dup(STDERR_FILENO);

    assert_true(fd >= 0);
    close(fd);
    return fd;
}

/* Wherever the descriptors end. */
static void too_few_descriptors_leave_nothing_behind(void **state)
{
    static const char *const NAMES[] = {"many*"};
    struct stand stand;
    struct node_config config;
    struct rlimit before, limit;
    unsigned refused = 0;

    (void)state;
    stand_make(&stand);
    for (int i = 0; i < DEVICES; i++)
        netns_run(&stand.stage.server, "ip link add many%d type veth peer name peer%d", i, i);
    config = stand_config(&stand);
    config.interfaces = NAMES;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int room = 6; room < DEVICES + 40; room += 6) {
        struct diag diag = {.text = ""};
        int r;

        limit = before;
        limit.rlim_cur = (rlim_t)(count_descriptors() + room);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        r = stand_try_start(&stand, &config, &diag);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (r == 0)
            break;
        refused++;
        if (r == -EMFILE)
            assert_contains(diag.text, "RLIMIT_NOFILE");
        assert_no_hooks(&stand);
    }
    assert_in_range(refused, 3, DEVICES);
    if (stand.node)
        stand_leave(&stand);
    stand_start_quietly(&stand, &config);
    assert_true(stand_status(&stand).ready);
    stand_done(&stand);
}

static int attach_foreign(const struct netns *ns, const char *device)
{
    const struct bpf_insn code[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT},
    };
    CLEANUP(closep)
    int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "somebody_elses", "GPL", code, 2, NULL);
    int link;

    assert_true(program >= 0);
    netns_enter(ns);
    link = bpf_link_create(program, (int)if_nametoindex(device), BPF_XDP, NULL);
    netns_leave();
    assert_true(link >= 0);
    return link;
}

/* What an agent before us has attached is not ours to take off; what we have is. */
static void a_start_that_fails_leaves_what_was_there(void **state)
{
    static const char *const ALL[] = {"near", "free", "taken"};
    struct stand stand;
    struct node_config config;
    struct diag diag = {.text = ""};
    int foreign;

    (void)state;
    config = stand_begin(&stand);
    netns_run(&stand.stage.server, "ip link add free type veth peer name taken");
    foreign = attach_foreign(&stand.stage.server, "taken");
    stand_start(&stand, &config);
    stand_leave(&stand);
    config.interfaces = ALL;
    config.interface_count = 3;
    assert_int_equal(stand_try_start(&stand, &config, &diag), -EBUSY);
    assert_contains(diag.text, "taken");
    assert_true(has_hook(&stand.stage.server, "near", false));
    assert_false(has_hook(&stand.stage.server, "free", false));
    close(foreign);
    stand_start(&stand, &config);
    assert_int_equal(stand_status(&stand).hook_count, 3);
    stand_done(&stand);
}

/* What the folder is the key to is taken only behind node_open(). */
static void the_folder_is_locked_before_anything_else(void **state)
{
    struct stand stand;
    struct node_config config;
    struct node *first, *second;
    struct diag diag = {.text = ""};

    (void)state;
    config = stand_begin(&stand);
    netns_enter(&stand.stage.server);
    assert_int_equal(node_open(&config, &first, &diag), 0);
    assert_int_equal(node_open(&config, &second, &diag), -EBUSY);
    assert_contains(diag.text, "another agent");
    assert_false(hook_find_xdp(if_nametoindex("near")));
    assert_int_equal(node_run(first, &diag), 0);
    assert_true(hook_find_xdp(if_nametoindex("near")));
    node_leave(first);
    assert_int_equal(node_open(&config, &first, &diag), 0);
    node_leave(first); /* which has not run */
    assert_true(hook_find_xdp(if_nametoindex("near")));
    netns_leave();
    stand_done(&stand);
}

/* --- pins that have gone --- */

static void pins_that_cannot_come_again_make_it_not_ready(void **state)
{
    struct stand stand;
    struct node_config config;
    struct said said;
    FILE *obstacle;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    assert_false(stand_status(&stand).unpinned);
    assert_int_equal(umount2(stand.folder, MNT_DETACH), 0);
    obstacle = fopen(stand_path(&stand, "file"), "we"); /* on a folder with this none is mounted */
    assert_non_null(obstacle);
    (void)fclose(obstacle);
    said_begin(&said);
    for (int i = 0; i < 3; i++)
        stand_beat(&stand);
    assert_int_equal(said_end(&said, "mount -t bpf -o mode=0750"), 1);
    assert_true(stand_status(&stand).unpinned);
    assert_false(stand_status(&stand).ready);
    assert_contains(stand_status(&stand).why, "mount");

    assert_int_equal(unlink(stand_path(&stand, "file")), 0);
    assert_int_equal(mount("synauthz", stand.folder, "bpf", 0, "mode=0750"),
                     0); /* as it was told */
    said_begin(&said);
    for (int i = 0; i < 3; i++)
        stand_beat(&stand);
    assert_int_equal(said_end(&said, "they are there again"), 1);
    assert_false(stand_status(&stand).unpinned);
    assert_true(stand_status(&stand).ready);
    stand_leave(&stand);
    stand_start(&stand, &config);
    assert_true(stand_status(&stand).took_over);
    stand_done(&stand);
}

/* --- control groups --- */

static void a_control_group_that_is_replaced_is_said_once(void **state)
{
    char root[CGROUP2_PATH_MAX], path[300];
    const char *const paths[] = {path};
    struct stand stand;
    struct node_config config;
    struct said said;

    (void)state;
    assert_int_equal(cgroup2_find(root), 0);
    (void)snprintf(path, sizeof(path), "%s/synauthz-start-%d", root, (int)getpid());
    assert_int_equal(mkdir(path, 0755), 0);
    config = stand_begin(&stand);
    config.mode = NODE_CGROUP;
    config.interface_count = 0;
    config.cgroups = paths;
    config.cgroup_count = 1;
    stand_start_quietly(&stand, &config);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    said_begin(&said);
    for (int i = 0; i < 3; i++)
        stand_reconcile(&stand);
    assert_int_equal(said_end(&said, "another control group now"), 1);
    assert_true(stand_hook(&stand, path).attached);
    assert_int_equal(stand_status(&stand).hook_count, 1);
    stand_done(&stand);
    assert_int_equal(rmdir(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_of_another_namespace_is_not_taken_for_ours),
        cmocka_unit_test(the_network_namespace_in_meta_is_that_of_the_present_agent),
        cmocka_unit_test(too_few_descriptors_leave_nothing_behind),
        cmocka_unit_test(a_start_that_fails_leaves_what_was_there),
        cmocka_unit_test(the_folder_is_locked_before_anything_else),
        cmocka_unit_test(pins_that_cannot_come_again_make_it_not_ready),
        cmocka_unit_test(a_control_group_that_is_replaced_is_said_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
