/* SPDX-License-Identifier: Apache-2.0 */
/* What the reader makes of entries that the test writes itself: every state and reason, and damage.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conn.h"
#include "map_source.h"
#include "record.h"

#define CLIENT "192.0.2.9"
#define SERVER "192.0.2.1"

enum { SOURCE_PORT = 40000, SERVER_PORT = 443, LISTENER_PORT = 15006, COOKIE = 1000 };

/* A capture without devices, whose maps the test may write. */
static void watch_start_empty(struct watch *ret_watch)
{
    static const uint16_t PORTS[] = {SERVER_PORT}, REDIRECT_PORTS[] = {LISTENER_PORT, 15008};
    struct diag diag = {0};

    *ret_watch = (struct watch){0};
    assert_int_equal(
        local_capture_start(&(struct local_capture_config){.ports = PORTS, .port_count = 1},
                          &ret_watch->capture, &diag),
        0);
    assert_int_equal(map_source_new(
                         &(struct map_source_config){
                             .maps = local_capture_get_maps(ret_watch->capture),
                             .redirect_ports = REDIRECT_PORTS,
                             .redirect_port_count = 2,
                         },
                         &ret_watch->source, &diag),
                     0);
}

static struct tuple_key key_to(const char *address, uint16_t port)
{
    struct flow flow = flow_text(CLIENT, SOURCE_PORT, address, port);
    struct tuple_key key = {
        .source_port_be = htons(SOURCE_PORT),
        .destination_port_be = htons(port),
        .family = flow.source.addr.family,
    };

    memcpy(key.source, flow.source.addr.bytes, sizeof(key.source));
    memcpy(key.destination, flow.destination.addr.bytes, sizeof(key.destination));
    return key;
}

/* A sound entry: the socket's end is `address`:`port`, on the wire it was SERVER:SERVER_PORT. */
static struct live_entry live_to(const char *address, uint16_t port)
{
    struct tuple_key wire = key_to(SERVER, SERVER_PORT);
    struct live_entry entry = {
        .version_begin = COOKIE,
        .key = key_to(address, port),
        .claim.owner = COOKIE,
        .syn = {.isn = 7,
                .ip_version = 4,
                .ttl = 64,
                .wire_destination_port_be = htons(SERVER_PORT)},
        .has_syn = 1,
        .version_end = COOKIE,
    };

    memcpy(entry.syn.wire_destination, wire.destination, sizeof(wire.destination));
    return entry;
}

static struct alias_entry alias_to(const struct live_entry *live)
{
    return (struct alias_entry){
        .version_begin = COOKIE,
        .key = key_to(SERVER, SERVER_PORT),
        .live = live->key,
        .claim.owner = COOKIE,
        .version_end = COOKIE,
    };
}

static void put_live(const struct watch *watch, const struct live_entry *entry)
{
    const struct capture_maps *maps = local_capture_get_maps(watch->capture);

    assert_int_equal(bpf_map_update_elem(maps->fd[MAP_LIVE], &entry->key, entry, BPF_ANY), 0);
}

static void put_alias(const struct watch *watch, const struct alias_entry *entry)
{
    const struct capture_maps *maps = local_capture_get_maps(watch->capture);

    assert_int_equal(bpf_map_update_elem(maps->fd[MAP_ALIAS], &entry->key, entry, BPF_ANY), 0);
}

static struct syn_answer ask(const struct watch *watch, const char *address, uint16_t port)
{
    struct flow flow = flow_text(CLIENT, SOURCE_PORT, address, port);

    return watch_ask(watch, &flow);
}

enum damage {
    SOUND = 0,
    OTHER,
    LAST_OTHER,
    CROWDED,
    OWNER_LEFT_OTHERS,
    ABANDONED,
    NO_SYN,
    TORN,
    FOREIGN_KEY,
};

static void do_damage(enum damage damage, struct live_entry *entry)
{
    if (damage == OTHER || damage == OWNER_LEFT_OTHERS)
        entry->claim.others[0] = COOKIE + 1;
    if (damage == LAST_OTHER)
        entry->claim.others[CLAIM_OTHERS_MAX - 1] = COOKIE + 1;
    if (damage == CROWDED)
        entry->claim.crowded = 1;
    if (damage == OWNER_LEFT_OTHERS || damage == ABANDONED)
        entry->claim.owner = 0;
    if (damage == NO_SYN)
        entry->has_syn = 0;
    if (damage == TORN)
        entry->version_end++;
    if (damage == FOREIGN_KEY)
        entry->key.source_port_be++;
}

static void entry_is_answered_by_its_condition(void **state)
{
    static const struct {
        enum damage damage;
        enum syn_state state;
        enum syn_reason reason;
    } ROWS[] = {
        {SOUND, SYN_STATE_VERIFIED, SYN_REASON_NONE},
        {OTHER, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {LAST_OTHER, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {CROWDED, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {OWNER_LEFT_OTHERS, SYN_STATE_AMBIGUOUS, SYN_REASON_NONE},
        {ABANDONED, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN},
        {NO_SYN, SYN_STATE_MISSING, SYN_REASON_NO_SYN},
        {TORN, SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR},
        {FOREIGN_KEY, SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR},
    };
    struct watch watch;

    (void)state;
    watch_start_empty(&watch);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct live_entry entry = live_to(SERVER, SERVER_PORT);
        struct tuple_key key = entry.key;
        const struct capture_maps *maps = local_capture_get_maps(watch.capture);

        do_damage(ROWS[i].damage, &entry);
        assert_int_equal(bpf_map_update_elem(maps->fd[MAP_LIVE], &key, &entry, BPF_ANY), 0);
        assert_answer(ask(&watch, SERVER, SERVER_PORT), ROWS[i].state, ROWS[i].reason);
    }
    watch_done(&watch);
}

static void nothing_there_is_explained(void **state)
{
    struct watch watch;
    struct capture_meta meta;
    const struct capture_maps *maps;

    (void)state;
    watch_start_empty(&watch);
    maps = local_capture_get_maps(watch.capture);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    assert_answer(ask(&watch, SERVER, SERVER_PORT + 1), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    assert_int_equal(bpf_map_lookup_elem(maps->fd[MAP_META], &(uint32_t){0}, &meta), 0);
    meta.full_ns = 1;
    assert_int_equal(bpf_map_update_elem(maps->fd[MAP_META], &(uint32_t){0}, &meta, BPF_ANY), 0);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_MAP_FULL);
    assert_answer(ask(&watch, SERVER, SERVER_PORT + 1), SYN_STATE_MISSING, SYN_REASON_FILTERED);
    watch_done(&watch);
}

static void alias_leads_to_the_entry_of_the_same_connection(void **state)
{
    struct live_entry live = live_to("10.0.0.5", 9000);
    struct alias_entry alias = alias_to(&live);
    struct watch watch;

    (void)state;
    watch_start_empty(&watch);
    put_live(&watch, &live);
    put_alias(&watch, &alias);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_answer(ask(&watch, "10.0.0.5", 9000), SYN_STATE_VERIFIED, SYN_REASON_NONE);

    live.claim.others[0] = COOKIE + 1;
    put_live(&watch, &live);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    live.claim.others[0] = 0;
    put_live(&watch, &live);
    alias.claim.others[0] = COOKIE + 1;
    put_alias(&watch, &alias);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_AMBIGUOUS, SYN_REASON_NONE);
    alias.claim.others[0] = 0;
    alias.version_end++;
    put_alias(&watch, &alias);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    watch_done(&watch);
}

/* Between the two look-ups the entry may have become that of another connection. */
static void alias_of_another_connection_leads_nowhere(void **state)
{
    struct live_entry live = live_to("10.0.0.5", 9000), later = live, moved = live, without = live;
    struct alias_entry alias = alias_to(&live);
    struct watch watch;

    (void)state;
    watch_start_empty(&watch);
    put_alias(&watch, &alias);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    later.version_begin = later.version_end = later.claim.owner = COOKIE + 5;
    put_live(&watch, &later);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    moved.syn.wire_destination_port_be = htons(SERVER_PORT + 1);
    put_live(&watch, &moved);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    without.has_syn = 0;
    put_live(&watch, &without);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    watch_done(&watch);
}

static void redirect_port_is_tried_with_the_same_address_only(void **state)
{
    struct live_entry elsewhere = live_to("10.0.0.5", LISTENER_PORT);
    struct live_entry no_redirect = live_to(SERVER, LISTENER_PORT + 1);
    struct live_entry here = live_to(SERVER, LISTENER_PORT);
    struct watch watch;

    (void)state;
    watch_start_empty(&watch);
    put_live(&watch, &elsewhere);
    put_live(&watch, &no_redirect);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    put_live(&watch, &here);
    assert_answer(ask(&watch, SERVER, SERVER_PORT), SYN_STATE_VERIFIED, SYN_REASON_NONE);
    watch_done(&watch);
}

static void maps_that_cannot_be_read_are_our_fault(void **state)
{
    struct watch watch;
    struct syn_source *source = NULL;
    struct capture_maps broken;
    struct diag diag = {0};
    struct flow flow = flow_text(CLIENT, SOURCE_PORT, SERVER, SERVER_PORT);
    struct syn_answer answer;

    (void)state;
    watch_start_empty(&watch);
    broken = *local_capture_get_maps(watch.capture);
    broken.fd[MAP_LIVE] = -1;
    assert_int_equal(map_source_new(&(struct map_source_config){.maps = &broken}, &source, &diag),
                     0);
    source->lookup(source, &flow, &answer);
    assert_answer(answer, SYN_STATE_UNAVAILABLE, SYN_REASON_MAP_ERROR);
    syn_source_freep(&source);
    watch_done(&watch);
}

static void maps_of_another_layout_are_refused(void **state)
{
    struct capture_meta meta = {.magic = META_MAGIC, .reader_layout = READER_LAYOUT + 1};
    const struct capture_maps *maps;
    struct syn_source *source = NULL;
    struct diag diag = {0};
    struct watch watch;

    (void)state;
    watch_start_empty(&watch);
    maps = local_capture_get_maps(watch.capture);
    assert_int_equal(bpf_map_update_elem(maps->fd[MAP_META], &(uint32_t){0}, &meta, BPF_ANY), 0);
    assert_int_equal(map_source_new(&(struct map_source_config){.maps = maps}, &source, &diag),
                     -EPROTO);
    assert_null(source);
    assert_non_null(strstr(diag.text, "layout"));
    watch_done(&watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_is_answered_by_its_condition),
        cmocka_unit_test(nothing_there_is_explained),
        cmocka_unit_test(alias_leads_to_the_entry_of_the_same_connection),
        cmocka_unit_test(alias_of_another_connection_leads_nowhere),
        cmocka_unit_test(redirect_port_is_tried_with_the_same_address_only),
        cmocka_unit_test(maps_that_cannot_be_read_are_our_fault),
        cmocka_unit_test(maps_of_another_layout_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
