/* SPDX-License-Identifier: Apache-2.0 */
#include "entries.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "flow_key.h"
#include "map_source.h"

struct syn_source *open_source(const struct capture_maps *maps)
{
    static const uint16_t REDIRECT_PORTS[] = {LISTENER_PORT, 15008};
    struct syn_source *source = NULL;
    struct diag diag = {0};

    assert_int_equal(map_source_new(
                         &(struct map_source_config){
                             .maps = maps,
                             .redirect_ports = REDIRECT_PORTS,
                             .redirect_port_count = 2,
                         },
                         &source, &diag),
                     0);
    return source;
}

void set_config(const struct scene *scene, struct capture_config config)
{
    config.enabled = 1;
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_CONFIG], &(uint32_t){0}, &config, BPF_ANY), 0);
}

void scene_make(struct scene *ret_scene, bool tracked)
{
    const uint64_t none = 0, one = UINT64_C(1) << SERVER_PORT % 64;

    pinned_set_make(&ret_scene->set);
    for (uint32_t i = 0; i < PORTS_WORDS; i++)
        assert_int_equal(bpf_map_update_elem(ret_scene->set.maps.fd[MAP_PORTS], &i,
                                             i == SERVER_PORT / 64 ? &one : &none, BPF_ANY),
                         0);
    set_config(ret_scene, (struct capture_config){.tracked = tracked, .captured_ms = CAPTURED_MS});
    ret_scene->set.meta->tracked = tracked;
    ret_scene->set.meta->host_netns = HOST_NETNS;
    ret_scene->source = open_source(&ret_scene->set.maps);
}

void scene_done(struct scene *scene)
{
    syn_source_freep(&scene->source);
    pinned_set_close(&scene->set);
}

struct endpoint endpoint_of(const char *address, uint16_t port)
{
    struct endpoint endpoint = {.port = port};

    assert_int_equal(addr_parse(str_from(address), &endpoint.addr), 0);
    return endpoint;
}

struct flow flow_to(const char *address, uint16_t port)
{
    return (struct flow){endpoint_of(CLIENT, SOURCE_PORT), endpoint_of(address, port)};
}

struct tuple_key key_to(const char *address, uint16_t port)
{
    const struct flow flow = flow_to(address, port);

    return tuple_key_from_flow(&flow);
}

struct live_entry live_to(const char *address, uint16_t port)
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

struct alias_entry alias_to(const struct live_entry *live)
{
    return (struct alias_entry){
        .version_begin = COOKIE,
        .key = key_to(SERVER, SERVER_PORT),
        .live = live->key,
        .claim.owner = COOKIE,
        .version_end = COOKIE,
    };
}

struct captured_entry captured_at(uint16_t port)
{
    uint64_t now_ns = boot_time_ns();

    return (struct captured_entry){
        .version_begin = now_ns,
        .key = key_to(SERVER, port),
        .syn = {.seen_ns = now_ns, .isn = 9, .ip_version = 4, .ttl = 64, .hook = SYN_HOOK_CGROUP},
        .version_end = now_ns,
    };
}

void put_live(const struct scene *scene, const struct live_entry *entry)
{
    assert_int_equal(bpf_map_update_elem(scene->set.maps.fd[MAP_LIVE], &entry->key, entry, BPF_ANY),
                     0);
}

void put_alias(const struct scene *scene, const struct alias_entry *entry)
{
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_ALIAS], &entry->key, entry, BPF_ANY), 0);
}

void put_captured(const struct scene *scene, const struct captured_entry *entry)
{
    assert_int_equal(
        bpf_map_update_elem(scene->set.maps.fd[MAP_CAPTURED], &entry->key, entry, BPF_ANY), 0);
}

struct syn_answer ask(const struct scene *scene, const char *address, uint16_t port)
{
    const struct flow flow = flow_to(address, port);
    struct syn_answer answer;

    scene->source->lookup(scene->source, &flow, &answer);
    return answer;
}
