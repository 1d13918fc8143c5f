/* SPDX-License-Identifier: Apache-2.0 */
#include "pcap_source.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"

enum {
    CONNECTIONS_MAX = 1 << 20, /* some 200 MB; more is a mistake, not a test */
    SLOTS_MIN = 64,
};

struct connection {
    struct flow flow;
    struct syn syn;
    bool used;
};

/* Open addressing; filled before anybody looks up, and not changed since: look-ups need no lock. */
struct pcap_source {
    struct syn_source base; /* first: what the callers hold */
    struct connection *slots;
    size_t slot_count; /* a power of two */
    size_t used;
};

/* FNV-1a */
static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ bytes[i]) * 1099511628211u;
    return hash;
}

static uint64_t hash_endpoint(uint64_t hash, const struct endpoint *endpoint)
{
    const uint8_t rest[] = {endpoint->addr.family, (uint8_t)(endpoint->port >> 8),
                            (uint8_t)endpoint->port};

    hash = hash_bytes(hash, endpoint->addr.bytes, sizeof(endpoint->addr.bytes));
    return hash_bytes(hash, rest, sizeof(rest));
}

static bool same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
    return a->port == b->port && addr_eq(&a->addr, &b->addr);
}

static bool same_flow(const struct flow *a, const struct flow *b)
{
    return same_endpoint(&a->source, &b->source) && same_endpoint(&a->destination, &b->destination);
}

/* The connection's slot, or the empty one where it belongs. */
static struct connection *find_slot(const struct pcap_source *source, const struct flow *flow)
{
    uint64_t hash = hash_endpoint(14695981039346656037u, &flow->source);
    size_t at;

    hash = hash_endpoint(hash, &flow->destination);
    at = (size_t)(hash ^ hash >> 32) & (source->slot_count - 1);
    while (source->slots[at].used && !same_flow(&source->slots[at].flow, flow))
        at = (at + 1) & (source->slot_count - 1);
    return &source->slots[at];
}

static void lookup_connection(const struct syn_source *base, const struct flow *flow,
                              struct syn_answer *ret_answer)
{
    const struct pcap_source *source = (const void *)base;
    const struct connection *connection = find_slot(source, flow);

    if (connection->used)
        *ret_answer = (struct syn_answer){
            .state = SYN_STATE_CAPTURED, .reason = SYN_REASON_PCAP, .syn = connection->syn};
    else
        *ret_answer =
            (struct syn_answer){.state = SYN_STATE_MISSING, .reason = SYN_REASON_NOT_SEEN};
}

static void free_source(struct syn_source *base)
{
    struct pcap_source *source = (void *)base;

    free(source->slots);
    free(source);
}

/* Keeps at least half of the slots empty, so that find_slot() ends soon. */
static int make_room(struct pcap_source *source)
{
    struct pcap_source larger = *source;

    if ((source->used + 1) * 2 <= source->slot_count)
        return 0;
    larger.slot_count = source->slot_count ? source->slot_count * 2 : SLOTS_MIN;
    larger.slots = calloc(larger.slot_count, sizeof(larger.slots[0]));
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < source->slot_count; i++)
        if (source->slots[i].used)
            *find_slot(&larger, &source->slots[i].flow) = source->slots[i];
    free(source->slots);
    *source = larger;
    return 0;
}

static int add_connection(struct pcap_source *source, const struct capture_frame *frame,
                          struct diag *diag)
{
    struct connection *slot = find_slot(source, &frame->flow);

    if (!slot->used && source->used == CONNECTIONS_MAX)
        return diag_set(diag, -E2BIG, "more than %d connections in one capture file",
                        (int)CONNECTIONS_MAX);
    source->used += !slot->used;
    *slot = (struct connection){.flow = frame->flow, .syn = frame->syn, .used = true};
    return make_room(source);
}

static int read_all(struct pcap_source *source, struct capture *capture, struct diag *diag)
{
    struct capture_frame frame;
    int r;

    while ((r = capture_next(capture, &frame, diag)) > 0) {
        if (frame.kind != FRAME_SYN)
            continue;
        r = add_connection(source, &frame, diag);
        if (r < 0)
            return r;
    }
    return r;
}

int pcap_source_open(const char *path, struct syn_source **ret_source, struct diag *diag)
{
    CLEANUP(capture_freep) struct capture *capture = NULL;
    CLEANUP(syn_source_freep) struct syn_source *base = NULL;
    struct pcap_source *source;
    int r;

    r = capture_open(path, &capture, diag);
    if (r < 0)
        return r;
    source = calloc(1, sizeof(*source));
    if (!source)
        return -ENOMEM;
    base = &source->base; /* freed through it from here on */
    *base = (struct syn_source){.lookup = lookup_connection, .free = free_source};
    r = make_room(source);
    if (r < 0)
        return r;
    r = read_all(source, capture, diag);
    if (r < 0)
        return r;
    *ret_source = TAKE_PTR(base);
    return 0;
}
