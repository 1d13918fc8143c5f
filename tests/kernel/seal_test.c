/* SPDX-License-Identifier: Apache-2.0 */
/* What is left after sealing and after the end, and what is said when the kernel refuses. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "record.h"

enum { NOBODY = 65534 };

static struct local_capture_config on_near(void)
{
    static const char *const NEAR[] = {"near"};
    static uint16_t ports[1];

    ports[0] = own_port();
    return (struct local_capture_config){
        .interfaces = NEAR, .interface_count = 1, .ports = ports, .port_count = 1};
}

static void watch_near(struct watch *ret_watch, const struct netns *ns)
{
    watch_start(ret_watch, ns, "near", own_port());
}

/* --- what the process still holds --- */

/* How an open descriptor of ours is named by the kernel: "anon_inode:bpf-map". */
static void name_of_fd(const char *fd, char name[64])
{
    char path[64];
    ssize_t length;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%s", fd);
    length = readlink(path, name, 63);
    name[length < 0 ? 0 : length] = '\0';
}

static int is_link(const char *name)
{
    return strcmp(name, "anon_inode:bpf_link") == 0 || strcmp(name, "anon_inode:bpf-link") == 0;
}

static int is_writable(const char *fd)
{
    return (fcntl(atoi(fd), F_GETFL) & O_ACCMODE) != O_RDONLY;
}

struct held {
    int programs, maps, writable_maps, links;
};

static struct held what_we_hold(void)
{
    struct held held = {0};
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        char name[64];

        name_of_fd(entry->d_name, name);
        held.programs += strcmp(name, "anon_inode:bpf-prog") == 0;
        held.links += is_link(name);
        if (strcmp(name, "anon_inode:bpf-map") == 0) {
            held.maps++;
            held.writable_maps += is_writable(entry->d_name);
        }
    }
    (void)closedir(directory);
    return held;
}

static void sealing_leaves_links_and_read_only_maps(void **state)
{
    struct stage stage;
    struct watch watch;
    struct held held;

    (void)state;
    stage_make(&stage);
    watch_near(&watch, &stage.server);
    held = what_we_hold();
    assert_int_equal(held.programs, 0);
    assert_int_equal(held.writable_maps, 0);
    assert_int_equal(held.maps, MAP_COUNT_ - 2); /* no `secret`; no `pending_before` either, since
                                                    nothing was replaced */
    assert_int_equal(held.links, 5);             /* the device, and two copies of two trackers */
    assert_int_equal(local_capture_program(watch.capture), -1);
    watch_done(&watch);
    held = what_we_hold();
    assert_int_equal(held.maps + held.links + held.programs, 0);
    stage_done(&stage);
}

/* --- what it can still do without privileges; in a child, since there is no way back --- */

static void become_nobody(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (prctl(PR_CAPBSET_DROP, cap) < 0)
            _exit(90);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
        syscall(SYS_capset, &header, none) < 0)
        _exit(91);
}

/* Returns 0 when neither writing nor deleting is possible. */
static int try_to_forge(int fd, const void *key, const void *value)
{
    if (bpf_map_update_elem(fd, key, value, BPF_ANY) != -EPERM)
        return 1;
    return bpf_map_delete_elem(fd, key) == -EPERM ? 0 : 2;
}

static int forge_everything(const struct capture_maps *maps, const struct tuple_key *key)
{
    struct live_entry entry = {.key = *key};
    struct alias_entry alias = {.key = *key};
    struct syn_record syn = {0};
    struct pending_key pending = {.family = 4};
    struct capture_config config = {.enabled = 0};
    struct capture_meta meta = {0};
    uint64_t ports = 0;
    uint32_t zero = 0;
    struct prefix_key prefix = {.bits = 128};
    uint8_t present = 1;

    return try_to_forge(maps->fd[MAP_LIVE], key, &entry) ||
           try_to_forge(maps->fd[MAP_ALIAS], key, &alias) ||
           try_to_forge(maps->fd[MAP_PENDING], &pending, &syn) ||
           try_to_forge(maps->fd[MAP_CONFIG], &zero, &config) ||
           try_to_forge(maps->fd[MAP_META], &zero, &meta) ||
           try_to_forge(maps->fd[MAP_PORTS], &zero, &ports) ||
           try_to_forge(maps->fd[MAP_PREFIXES], &prefix, &present);
}

static int as_nobody(const struct watch *watch, const struct flow *flow)
{
    struct tuple_key key = {.family = 4};

    become_nobody();
    if (watch_ask(watch, flow).state != SYN_STATE_VERIFIED)
        return 1;
    if (forge_everything(local_capture_get_maps(watch->capture), &key))
        return 2;
    return watch_ask(watch, flow).state == SYN_STATE_VERIFIED ? 0 : 3;
}

static int status_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void nobody_can_look_up_and_cannot_forge(void **state)
{
    struct stage stage;
    struct watch watch;
    struct flow flow;
    int listener, client, server;
    pid_t pid;

    (void)state;
    stage_make(&stage);
    watch_near(&watch, &stage.server);
    listener = listen_in(&stage.server, "10.77.0.2", own_port());
    client = connect_from(&stage.client, "10.77.0.2", own_port(), 0);
    server = accept_flow(listener, &flow);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(as_nobody(&watch, &flow));
    assert_int_equal(status_of(pid), 0);
    reset(&server);
    close(client);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

/* Tries, as root, to get a descriptor of the map that can write.  Returns what an update through it
 * says. */
static int write_through_new_descriptor(int read_only_fd)
{
    struct bpf_map_info info = {0};
    uint32_t length = sizeof(info);
    uint8_t key[64] = {0}, value[512] = {0};
    int fd, r;

    assert_int_equal(bpf_obj_get_info_by_fd(read_only_fd, &info, &length), 0);
    assert_true(info.key_size <= sizeof(key) && info.value_size <= sizeof(value));
    fd = bpf_map_get_fd_by_id(info.id);
    assert_true(fd >= 0);
    r = bpf_map_update_elem(fd, key, value, BPF_ANY);
    close(fd);
    return r;
}

static void no_new_descriptor_can_write(void **state)
{
    struct stage stage;
    struct watch watch;
    const struct capture_maps *maps;

    (void)state;
    stage_make(&stage);
    watch_near(&watch, &stage.server);
    maps = local_capture_get_maps(watch.capture);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_PENDING]), -EPERM);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_LIVE]), -EPERM);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_ALIAS]), -EPERM);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_PORTS]), -EPERM);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_CONFIG]), -EPERM);
    assert_int_equal(write_through_new_descriptor(maps->fd[MAP_META]), -EPERM);
    watch_done(&watch);
    stage_done(&stage);
}

/* Without CAP_SYS_ADMIN there is no descriptor for reading only. */
static int seal_without_sys_admin(const struct netns *ns)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    struct local_capture *capture = NULL;
    struct tuple_key key = {.family = 4};
    struct live_entry entry;
    const struct local_capture_config config = on_near();
    struct diag diag = {0};

    netns_enter(ns);
    if (syscall(SYS_capget, &header, data) < 0)
        return 80;
    data[0].effective &= ~(1u << CAP_SYS_ADMIN);
    data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
    if (syscall(SYS_capset, &header, data) < 0)
        return 81;
    if (local_capture_start(&config, &capture, &diag) < 0 ||
        local_capture_seal(capture, &diag) < 0) {
        print_error("%s\n", diag.text);
        return 1;
    }
    if (forge_everything(local_capture_get_maps(capture), &key))
        return 2;
    if (bpf_map_lookup_elem(local_capture_get_maps(capture)->fd[MAP_LIVE], &key, &entry) != -ENOENT)
        return 3;
    local_capture_freep(&capture);
    return 0;
}

static void sealing_works_without_the_right_to_reopen_maps(void **state)
{
    struct stage stage;
    pid_t pid;

    (void)state;
    stage_make(&stage);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(seal_without_sys_admin(&stage.server));
    assert_int_equal(status_of(pid), 0);
    stage_done(&stage);
}

/* --- what is left when it ends --- */

/* The kernel's numbers of the links that we hold; returns how many. */
static size_t ids_of_links(uint32_t ids[8])
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    size_t count = 0;

    assert_non_null(directory);
    while ((entry = readdir(directory))) {
        struct bpf_link_info info = {0};
        uint32_t length = sizeof(info);
        char name[64];

        name_of_fd(entry->d_name, name);
        if (!is_link(name))
            continue;
        assert_in_range(count, 0, 7);
        assert_int_equal(bpf_obj_get_info_by_fd(atoi(entry->d_name), &info, &length), 0);
        ids[count++] = info.id;
    }
    (void)closedir(directory);
    return count;
}

static uint32_t attached_program(const struct netns *ns, const char *device)
{
    LIBBPF_OPTS(bpf_xdp_query_opts, query);

    netns_enter(ns);
    assert_int_equal(bpf_xdp_query((int)if_nametoindex(device), 0, &query), 0);
    netns_leave();
    return query.prog_id ? query.prog_id : query.skb_prog_id;
}

static void nothing_stays_attached(void **state)
{
    struct stage stage;
    struct watch watch;
    uint32_t ids[8];
    size_t count;

    (void)state;
    stage_make(&stage);
    watch_near(&watch, &stage.server);
    assert_int_not_equal(attached_program(&stage.server, "near"), 0);
    count = ids_of_links(ids);
    assert_int_equal(count, 5);
    watch_done(&watch);
    assert_int_equal(attached_program(&stage.server, "near"), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(bpf_link_get_fd_by_id(ids[i]), -ENOENT);
    stage_done(&stage);
}

/* --- what is said when it cannot start --- */

static void refused(const struct netns *ns, const struct local_capture_config *config, int error,
                    const char *const *words)
{
    struct local_capture *capture = NULL;
    struct diag diag = {0};
    int before = what_we_hold().links, r;

    netns_enter(ns);
    r = local_capture_start(config, &capture, &diag);
    netns_leave();
    assert_int_equal(r, error);
    assert_null(capture);
    for (; *words; words++)
        if (!strstr(diag.text, *words))
            fail_msg("'%s' is not in: %s", *words, diag.text);
    assert_int_equal(what_we_hold().links, before);
}

static void busy_device_names_the_other_program(void **state)
{
    const struct local_capture_config config = on_near();
    struct stage stage;
    struct watch watch;

    (void)state;
    stage_make(&stage);
    watch_near(&watch, &stage.server);
    refused(&stage.server, &config, -EBUSY,
            (const char *[]){"near", "another XDP program", "ip link set dev near xdp off", NULL});
    assert_int_not_equal(attached_program(&stage.server, "near"), 0);
    watch_done(&watch);
    stage_done(&stage);
}

static void wrong_devices_and_filters_are_named(void **state)
{
    static const char *const ABSENT[] = {"near", "absent0"}, *const TWICE[] = {"near", "near"},
                             *const TUN[] = {"tun0"};
    struct local_capture_config absent = on_near(), twice = absent, tun = absent, no_port = absent;
    struct stage stage;

    (void)state;
    stage_make(&stage);
    absent.interfaces = ABSENT;
    absent.interface_count = 2;
    refused(&stage.server, &absent, -ENODEV,
            (const char *[]){"absent0", "no such interface", NULL});
    assert_int_equal(attached_program(&stage.server, "near"), 0);
    twice.interfaces = TWICE;
    twice.interface_count = 2;
    refused(&stage.server, &twice, -EINVAL, (const char *[]){"near", "twice", NULL});
    no_port.port_count = 0;
    refused(&stage.server, &no_port, -EINVAL, (const char *[]){"no port", NULL});
    netns_run(&stage.server, "ip tuntap add tun0 mode tun && ip link set tun0 up");
    tun.interfaces = TUN;
    refused(&stage.server, &tun, -EOPNOTSUPP,
            (const char *[]){"tun0", "not an Ethernet device", NULL});
    stage_done(&stage);
}

static int start_without(uint64_t dropped, const char *word)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    const struct local_capture_config config = on_near();
    struct local_capture *capture = NULL;
    struct diag diag = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return 80;
    data[0].effective &= ~(uint32_t)dropped;
    data[1].effective &= ~(uint32_t)(dropped >> 32);
    if (syscall(SYS_capset, &header, data) < 0)
        return 81;
    if (local_capture_start(&config, &capture, &diag) >= 0)
        return 1;
    if (strstr(diag.text, word))
        return 0;
    print_error("'%s' is not in: %s\n", word, diag.text);
    return 2;
}

static void missing_capabilities_are_named(void **state)
{
    static const struct {
        uint64_t dropped;
        const char *word;
    } ROWS[] = {
        {UINT64_C(1) << CAP_BPF | 1 << CAP_SYS_ADMIN, "lacks: CAP_BPF;"},
        {UINT64_C(1) << CAP_PERFMON | 1 << CAP_SYS_ADMIN, "lacks: CAP_PERFMON;"},
        {1 << CAP_NET_ADMIN | 1 << CAP_SYS_ADMIN, "lacks: CAP_NET_ADMIN;"},
        {UINT64_C(3) << CAP_PERFMON | 1 << CAP_SYS_ADMIN | 1 << CAP_NET_ADMIN,
         "lacks: CAP_BPF CAP_PERFMON CAP_NET_ADMIN;"},
    };
    struct stage stage;

    (void)state;
    stage_make(&stage);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            netns_enter(&stage.server);
            _exit(start_without(ROWS[i].dropped, ROWS[i].word));
        }
        assert_int_equal(status_of(pid), 0);
    }
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sealing_leaves_links_and_read_only_maps),
        cmocka_unit_test(nobody_can_look_up_and_cannot_forge),
        cmocka_unit_test(no_new_descriptor_can_write),
        cmocka_unit_test(sealing_works_without_the_right_to_reopen_maps),
        cmocka_unit_test(nothing_stays_attached),
        cmocka_unit_test(busy_device_names_the_other_program),
        cmocka_unit_test(wrong_devices_and_filters_are_named),
        cmocka_unit_test(missing_capabilities_are_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
