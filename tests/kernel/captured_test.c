/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts where sockets cannot be followed: the first SYN of a tuple stays for its time.  And what a
 * watcher is told at the hooks. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hookset.h"
#include "packet.h"

enum { GOOD_MS = 300, RING_EVENTS_MAX = 256 * 1024 / sizeof(struct watch_event) };

static const struct capture_config UNTRACKED = {.enabled = 1, .captured_ms = GOOD_MS};

static const struct segment SYN = {
    .source = "192.0.2.9",
    .destination = "192.0.2.1",
    .source_port = 40000,
    .destination_port = 443,
    .seq = 0x01020304,
    .flags = FLAG_SYN,
    .ttl = 61,
    .mss = 1460,
};

static const struct map_sizes SIZES = {.pending = 1024, .live = 1024, .captured = 4096};

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Returns the key that a SYN has in `captured`. */
static struct tuple_key send_syn(const struct hookset *set, enum syn_hook hook,
                                 const struct segment *segment)
{
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(segment, frame);
    struct parse_packet packet;
    struct pending_key pending;
    struct syn_record record;
    struct tuple_key key = {0};

    assert_int_equal(parse_syn_ethernet(frame, frame + length, &packet), PARSE_SYN);
    parse_fill(&packet, &pending, &record);
    memcpy(key.source, pending.source, sizeof(key.source));
    memcpy(key.destination, record.wire_destination, sizeof(key.destination));
    key.source_port_be = pending.source_port_be;
    key.destination_port_be = record.wire_destination_port_be;
    key.family = pending.family;
    hookset_run(set, hook, frame, length);
    return key;
}

static struct captured_entry entry_of(const struct hookset *set, const struct tuple_key *key)
{
    struct captured_entry entry;

    assert_int_equal(bpf_map_lookup_elem(set->maps.fd[MAP_CAPTURED], key, &entry), 0);
    assert_memory_equal(&entry.key, key, sizeof(*key));
    assert_int_equal(entry.version_begin, entry.syn.seen_ns);
    assert_int_equal(entry.version_end, entry.syn.seen_ns);
    return entry;
}

static void syn_is_found_by_its_tuple(void **state)
{
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &UNTRACKED, &SIZES);
    for (enum syn_hook hook = SYN_HOOK_XDP; hook < SYN_HOOK_COUNT_; hook++) {
        struct segment syn = SYN;
        struct captured_entry entry;
        struct tuple_key key;

        syn.source_port = (uint16_t)(syn.source_port + hook);
        key = send_syn(&set, hook, &syn);
        entry = entry_of(&set, &key);
        assert_int_equal(entry.syn.isn, syn.seq);
        assert_int_equal(entry.syn.ttl, syn.ttl);
        assert_int_equal(entry.syn.hook, hook);
        assert_true(entry.syn.seen_ns <= now_ns());
        assert_int_equal(hookset_counter(&set, hook, COUNTER_SYN_STORED), 1);
    }
    assert_true(hookset_pending_is_empty(&set));
    hookset_done(&set);
}

static void first_syn_stays_for_its_time_and_no_longer(void **state)
{
    struct segment forged = SYN;
    struct tuple_key key;
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &UNTRACKED, &SIZES);
    forged.seq = 0x99999999;
    forged.ttl = 250;
    key = send_syn(&set, SYN_HOOK_XDP, &SYN);
    (void)send_syn(&set, SYN_HOOK_XDP, &SYN);
    (void)send_syn(&set, SYN_HOOK_XDP, &forged);
    assert_int_equal(entry_of(&set, &key).syn.ttl, SYN.ttl);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_RETRANSMIT), 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_CONFLICT), 1);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_STORED), 1);

    usleep(GOOD_MS * 1000);
    (void)send_syn(&set, SYN_HOOK_XDP, &forged);
    assert_int_equal(entry_of(&set, &key).syn.ttl, forged.ttl);
    assert_int_equal(hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_STORED), 2);
    hookset_done(&set);
}

/* --- a watcher --- */

struct seen {
    unsigned count;
    struct watch_event last;
};

static int on_event(void *context, void *data, size_t size)
{
    struct seen *seen = context;

    assert_int_equal(size, sizeof(seen->last));
    memcpy(&seen->last, data, sizeof(seen->last));
    seen->count++;
    return 0;
}

static unsigned read_events(const struct hookset *set, struct seen *seen)
{
    struct ring_buffer *ring = ring_buffer__new(set->maps.fd[MAP_EVENTS], on_event, seen, NULL);
    unsigned before = seen->count;

    assert_non_null(ring);
    assert_true(ring_buffer__consume(ring) >= 0);
    ring_buffer__free(ring);
    return seen->count - before;
}

static void watch_until(const struct hookset *set, uint64_t until_ns)
{
    struct watch_lease lease = {until_ns};

    assert_int_equal(bpf_map_update_elem(set->maps.fd[MAP_WATCH], &(uint32_t){0}, &lease, BPF_ANY),
                     0);
}

static void watcher_is_told_of_each_stored_syn_while_its_lease_lasts(void **state)
{
    struct segment syn = SYN;
    struct seen seen = {0};
    struct tuple_key key;
    struct hookset set;

    (void)state;
    hookset_make_with(&set, NULL, &UNTRACKED, &SIZES);
    (void)send_syn(&set, SYN_HOOK_TCX, &syn);
    assert_int_equal(read_events(&set, &seen), 0);

    watch_until(&set, now_ns() + 10000000000u);
    syn.source_port++;
    key = send_syn(&set, SYN_HOOK_TCX, &syn);
    (void)send_syn(&set, SYN_HOOK_TCX, &syn); /* not stored again */
    assert_int_equal(read_events(&set, &seen), 1);
    assert_int_equal(seen.last.state, WATCH_CAPTURED);
    assert_memory_equal(&seen.last.key, &key, sizeof(key));
    assert_int_equal(seen.last.syn.isn, syn.seq);
    assert_int_equal(seen.last.syn.hook, SYN_HOOK_TCX);
    assert_int_equal(seen.last.netns, 0);

    watch_until(&set, now_ns() - 1);
    syn.source_port++;
    (void)send_syn(&set, SYN_HOOK_TCX, &syn);
    assert_int_equal(read_events(&set, &seen), 0);
    hookset_done(&set);
}

static void events_that_a_slow_watcher_loses_are_counted(void **state)
{
    struct segment syn = SYN;
    struct seen seen = {0};
    struct hookset set;
    uint64_t lost;
    unsigned got;

    (void)state;
    hookset_make_with(&set, NULL, &UNTRACKED, &SIZES);
    watch_until(&set, now_ns() + 60000000000u);
    for (unsigned i = 0; i < RING_EVENTS_MAX + 10; i++) {
        syn.source_port = (uint16_t)(20000 + i);
        (void)send_syn(&set, SYN_HOOK_CGROUP, &syn);
    }
    lost = hookset_counter(&set, SYN_HOOK_CGROUP, COUNTER_WATCH_LOST);
    assert_in_range(lost, 1, RING_EVENTS_MAX);
    got = read_events(&set, &seen);
    assert_int_equal(got + lost, RING_EVENTS_MAX + 10);
    hookset_done(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syn_is_found_by_its_tuple),
        cmocka_unit_test(first_syn_stays_for_its_time_and_no_longer),
        cmocka_unit_test(watcher_is_told_of_each_stored_syn_while_its_lease_lasts),
        cmocka_unit_test(events_that_a_slow_watcher_loses_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
