/* SPDX-License-Identifier: Apache-2.0 */
/* What the maps cost, and how long a look-up in them takes.
 *
 *     map_bench ROUNDS     one JSON object with the bytes, then one for each round of look-ups
 *
 * The maps are the product's at their default sizes, `live` with 50,000 connections in it; the
 * look-ups are the server's (map_source), from one thread, against one bpf() call to the same map
 * in turns. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>

#include "capture_maps.h"
#include "capture_meta.h"
#include "cleanup.h"
#include "flow.h"
#include "map_source.h"
#include "map_memory.h"
#include "node.h"
#include "objects.h"

enum { CONNECTIONS = 50000, LOOKUPS = 20000, PORT = 443, REDIRECT_PORT = 15006 };

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "map_bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

/* --- what is in the maps -----------------------------------------------------------------------
 */

/* Connection `number` of a client of its own; beyond CONNECTIONS nobody is there. */
static struct flow flow_of(uint32_t number)
{
    uint32_t client = htonl(0x0a000000u + number);
    uint8_t source[4], destination[4] = {192, 0, 2, 80};

    memcpy(source, &client, sizeof(source));
    return (struct flow){{addr_from_v4(source), (uint16_t)(20000 + number % 40000)},
                         {addr_from_v4(destination), PORT}};
}

static struct tuple_key key_of(const struct flow *flow)
{
    struct tuple_key key = {.source_port_be = htons(flow->source.port),
                            .destination_port_be = htons(flow->destination.port),
                            .family = flow->source.addr.family};

    memcpy(key.source, flow->source.addr.bytes, sizeof(key.source));
    memcpy(key.destination, flow->destination.addr.bytes, sizeof(key.destination));
    return key;
}

static void put(int map, const void *key, const void *value)
{
    if (bpf_map_update_elem(map, key, value, BPF_NOEXIST) < 0)
        die("filling a map", errno);
}

static void put_connection(const struct capture_maps *maps, uint32_t number)
{
    struct flow flow = flow_of(number);
    struct live_entry entry = {.version_begin = number + 1,
                               .key = key_of(&flow),
                               .claim = {.owner = number + 1},
                               .syn = {.ip_version = 4, .ttl = 64, .hook = SYN_HOOK_XDP},
                               .has_syn = 1,
                               .version_end = number + 1};

    put(maps->fd[MAP_LIVE], &entry.key, &entry);
}

static void put_alias(const struct capture_maps *maps, uint32_t number)
{
    struct flow flow = flow_of(number);
    struct alias_entry entry = {.version_begin = number + 1,
                                .key = key_of(&flow),
                                .live = key_of(&flow),
                                .claim = {.owner = number + 1},
                                .version_end = number + 1};

    put(maps->fd[MAP_ALIAS], &entry.key, &entry);
}

static void make_maps(struct capture_maps *maps)
{
    const struct map_sizes sizes = {.pending = NODE_PENDING_DEFAULT, .live = NODE_LIVE_DEFAULT};
    const struct capture_config config = {.enabled = 1, .tracked = 1};
    const uint32_t first = 0, word = PORT / 64;
    const uint64_t bit = UINT64_C(1) << (PORT % 64);
    struct capture_meta meta;
    struct diag diag = {.text = ""};
    int r = objects_make_maps(&sizes, maps, &diag);

    if (r < 0)
        die(diag.text, r);
    r = capture_meta_describe(maps, &meta);
    if (r < 0)
        die("describing the maps", r);
    meta.tracked = 1;
    meta.state = CAPTURE_RUNNING;
    if (bpf_map_update_elem(maps->fd[MAP_CONFIG], &first, &config, BPF_ANY) < 0 ||
        bpf_map_update_elem(maps->fd[MAP_META], &first, &meta, BPF_ANY) < 0 ||
        bpf_map_update_elem(maps->fd[MAP_PORTS], &word, &bit, BPF_ANY) < 0)
        die("setting the maps", errno);
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

/* By the kernel's account of one map. */
static double bytes_of(const struct capture_maps *maps, enum capture_map map)
{
    struct capture_maps one;

    capture_maps_init(&one);
    one.fd[map] = maps->fd[map];
    return (double)map_memory_used(&one);
}

/* `alias` is filled as far as `live`, since its memory is taken as it is needed. */
static void print_bytes(const struct capture_maps *maps)
{
    double empty_alias = bytes_of(maps, MAP_ALIAS);

    for (uint32_t i = 0; i < CONNECTIONS; i++)
        put_alias(maps, i);
    (void)printf(
        "{\"pending\": %.1f, \"live\": %.1f, \"alias\": %.1f, \"pending_payload\": %zu, "
        "\"live_payload\": %zu, \"alias_payload\": %zu, \"all\": %.0f, \"max_live\": %u}\n",
        bytes_of(maps, MAP_PENDING) / NODE_PENDING_DEFAULT,
        bytes_of(maps, MAP_LIVE) / NODE_LIVE_DEFAULT,
        (bytes_of(maps, MAP_ALIAS) - empty_alias) / CONNECTIONS,
        sizeof(struct pending_key) + sizeof(struct syn_record),
        sizeof(struct tuple_key) + sizeof(struct live_entry),
        sizeof(struct tuple_key) + sizeof(struct alias_entry), (double)map_memory_used(maps),
        (unsigned)NODE_LIVE_DEFAULT);
}

/* --- look-ups ------------------------------------------------------------------------------------
 */

static double now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return left < right ? -1 : left > right;
}

struct bench {
    struct capture_maps maps;
    struct syn_source *source;
    double *times; /* LOOKUPS of them */
};

/* A different connection each time, in no order that a cache could like. */
static uint32_t pick(uint32_t i, uint32_t from)
{
    return from + (uint32_t)((uint64_t)i * 2654435761u % CONNECTIONS);
}

static void ask_source(const struct bench *bench, const struct flow *flow, enum syn_state expected)
{
    struct syn_answer answer;

    bench->source->lookup(bench->source, flow, &answer);
    if (answer.state != expected)
        die("a look-up has another answer than expected", EPROTO);
}

static void ask_map(const struct bench *bench, const struct flow *flow, enum syn_state expected)
{
    struct tuple_key key = key_of(flow);
    struct live_entry entry;
    bool found = bpf_map_lookup_elem(bench->maps.fd[MAP_LIVE], &key, &entry) == 0;

    if (found != (expected == SYN_STATE_VERIFIED))
        die("the map has another answer than expected", EPROTO);
}

static void time_lookups(struct bench *bench, const char *name,
                         void (*ask)(const struct bench *, const struct flow *, enum syn_state),
                         enum syn_state expected)
{
    uint32_t from = expected == SYN_STATE_VERIFIED ? 0 : CONNECTIONS;

    for (uint32_t i = 0; i < LOOKUPS; i++) {
        struct flow flow = flow_of(pick(i, from));
        double before = now_ns();

        ask(bench, &flow, expected);
        bench->times[i] = now_ns() - before;
    }
    qsort(bench->times, LOOKUPS, sizeof(double), compare);
    (void)printf("\"%s_p50\": %.0f, \"%s_p99\": %.0f", name, bench->times[LOOKUPS / 2], name,
                 bench->times[LOOKUPS / 100 * 99]);
}

static void run_round(struct bench *bench)
{
    (void)printf("{");
    time_lookups(bench, "floor", ask_map, SYN_STATE_VERIFIED);
    (void)printf(", ");
    time_lookups(bench, "hit", ask_source, SYN_STATE_VERIFIED);
    (void)printf(", ");
    time_lookups(bench, "miss", ask_source, SYN_STATE_MISSING);
    (void)printf("}\n");
    (void)fflush(stdout);
}

static void bench_done(struct bench *bench)
{
    syn_source_freep(&bench->source);
    capture_maps_close(&bench->maps);
    free(bench->times);
}

int main(int argc, char **argv)
{
    CLEANUP(bench_done) struct bench bench = {.times = calloc(LOOKUPS, sizeof(double))};
    const uint16_t redirect_port = REDIRECT_PORT;
    const struct map_source_config config = {&bench.maps, &redirect_port, 1};
    struct diag diag = {.text = ""};
    unsigned long rounds;
    int r;

    capture_maps_init(&bench.maps);
    if (argc != 2 || !bench.times)
        die("usage: map_bench ROUNDS", EINVAL);
    rounds = strtoul(argv[1], NULL, 10);
    make_maps(&bench.maps);
    print_bytes(&bench.maps);
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        put_connection(&bench.maps, i);
    r = map_source_new(&config, &bench.source, &diag);
    if (r < 0)
        die(diag.text, r);
    for (unsigned long i = 0; i < rounds; i++)
        run_round(&bench);
    return 0;
}
