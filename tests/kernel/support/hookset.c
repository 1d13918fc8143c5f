/* SPDX-License-Identifier: Apache-2.0 */
#include "hookset.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper.h"
#include "parse_tunnel.h"

enum { OUT_MAX = 16384 };

static const struct {
    enum object object;
    uint32_t verdict;
    size_t blank; /* what test-run takes away before and blanks behind */
} HOOKS[SYN_HOOK_COUNT_] = {
    [SYN_HOOK_XDP] = {OBJECT_XDP, XDP_PASS, 0},
    [SYN_HOOK_TCX] = {OBJECT_TCX, (uint32_t)-1, 0},
    [SYN_HOOK_CGROUP] = {OBJECT_CGROUP, 1, PARSE_ETH_SIZE},
};

void hookset_make(struct hookset *ret_set)
{
    hookset_make_with(ret_set, NULL, NULL, NULL);
}

void hookset_make_with(struct hookset *ret_set, const struct filters *filters,
                       const struct capture_config *config, const struct map_sizes *sizes)
{
    static const struct filters ANY_PORT = {.any_port = true};
    static const struct capture_config TRACKED = {.enabled = 1, .tracked = 1};
    static const struct map_sizes DEFAULT = {0};
    struct diag diag = {0};

    capture_maps_init(&ret_set->maps);
    if (objects_make_maps(sizes ? sizes : &DEFAULT, &ret_set->maps, &diag) < 0)
        fail_msg("%s", diag.text);
    ret_set->keeper = objects_load_hook(OBJECT_KEEPER, &ret_set->maps, &diag);
    if (ret_set->keeper < 0 ||
        filters_write(filters ? filters : &ANY_PORT, config ? config : &TRACKED, &ret_set->maps,
                      ret_set->keeper, &diag) < 0)
        fail_msg("%s", diag.text);
    ret_set->programs[SYN_HOOK_NONE] = -1;
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        ret_set->programs[hook] = objects_load_hook(HOOKS[hook].object, &ret_set->maps, &diag);
        if (ret_set->programs[hook] < 0)
            fail_msg("%s", diag.text);
    }
}

void hookset_done(struct hookset *set)
{
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++)
        close(set->programs[hook]);
    close(set->keeper);
    capture_maps_close(&set->maps);
}

void hookset_configure(struct hookset *set, const struct capture_config *config)
{
    assert_int_equal(keeper_write_config(set->keeper, config), 0);
}

void hookset_run(const struct hookset *set, enum syn_hook hook, const uint8_t *frame, size_t length)
{
    static uint8_t out[OUT_MAX];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = (uint32_t)length,
                .data_out = out, .data_size_out = sizeof(out), .repeat = 1);

    assert_int_equal(bpf_prog_test_run_opts(set->programs[hook], &options), 0);
    assert_int_equal(options.retval, HOOKS[hook].verdict);
    assert_int_equal(options.data_size_out, length);
    assert_memory_equal(out + HOOKS[hook].blank, frame + HOOKS[hook].blank,
                        length - HOOKS[hook].blank);
}

enum parse_result hookset_parse(enum syn_hook hook, const uint8_t *frame, size_t length,
                                uint32_t vxlan_port, struct parse_packet *ret_packet)
{
    enum parse_result result;

    if (hook == SYN_HOOK_CGROUP) {
        result = parse_syn_ip(frame + PARSE_ETH_SIZE, frame + length, ret_packet);
        return result == PARSE_UDP || result == PARSE_TUNNEL ? PARSE_NOT_TCP : result;
    }
    result = parse_syn_ethernet(frame, frame + length, ret_packet);
    if (result != PARSE_UDP)
        return result;
    result = parse_datagram(ret_packet, vxlan_port);
    return result == PARSE_SYN
               ? parse_check(ret_packet, (uint64_t)(frame + length - ret_packet->ip))
               : result;
}

uint64_t hookset_counter(const struct hookset *set, enum syn_hook hook,
                         enum capture_counter counter)
{
    uint64_t v4[COUNTER_COUNT_], v6[COUNTER_COUNT_];

    assert_int_equal(capture_counters_read(&set->maps, hook, 4, v4), 0);
    assert_int_equal(capture_counters_read(&set->maps, hook, 6, v6), 0);
    return v4[counter] + v6[counter];
}

uint64_t hookset_sum(const struct hookset *set, enum syn_hook hook)
{
    uint64_t sum = 0;

    for (int i = 0; i < COUNTER_COUNT_; i++)
        sum += hookset_counter(set, hook, (enum capture_counter)i);
    return sum;
}

int hookset_pending_is_empty(const struct hookset *set)
{
    struct pending_key key;

    return bpf_map_get_next_key(set->maps.fd[MAP_PENDING], NULL, &key) == -ENOENT;
}

struct syn_record hookset_take(const struct hookset *set, enum syn_hook hook,
                               const struct pending_key *key)
{
    int fd = set->maps.fd[MAP_PENDING];
    struct syn_record record;

    assert_int_equal(bpf_map_lookup_elem(fd, key, &record), 0);
    assert_int_equal(bpf_map_delete_elem(fd, key), 0);
    assert_int_equal(record.hook, hook);
    assert_int_not_equal(record.seen_ns, 0);
    assert_int_not_equal(record.ifindex, 0);
    record.hook = SYN_HOOK_NONE;
    record.seen_ns = 0;
    record.ifindex = 0;
    return record;
}
