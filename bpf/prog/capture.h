/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What all hooks do with a packet: find the SYN, filter it, and store it; whatever else could have
 * been one is counted.  A hook's own file says how it gets at the bytes, and lets the packet go on.
 */
#ifndef CAPTURE_H
#define CAPTURE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>

#include "filter.h"
#include "last_isn.h"
#include "limiter.h"
#include "maps.h"
#include "parse_tunnel.h"
#include "source_hash.h"
#include "watch.h"

/* Where a SYN is in its frame.  Between finding and storing there is a call of a global function:
 * the verifier sees such a one once, for whatever arguments, not once for each way there is through
 * the headers.  Pointers cannot be passed, so these are offsets, of which nothing is believed. */
struct place {
    __u32 ip;
    __u32 tcp;
    __u32 ip_header;
    __u8 version;
    __u8 seen;
    __u16 zero;
};

/* More is not reached by any headers that the parser walks. */
enum { PLACE_MAX = 0x7fff };

/* A frame at a hook. */
struct arrival {
    const __u8 *data;
    const __u8 *end;
    __u64 length; /* with the bytes that are not in the linear part */
    __u32 ifindex;
    enum syn_hook hook;
};

/* A sound SYN, and what storing it needs.  The record lies where `captured` wants it; `pending`
 * takes it from there. */
struct found_syn {
    struct pending_key key;
    struct captured_entry entry;
    const struct capture_config *settings;
    struct capture_counters *own;
};

/* What a packet is counted as that could have been a SYN for us. */
INLINE enum capture_counter counter_of(enum parse_result result)
{
    switch (result) {
    case PARSE_TUNNEL:
        return COUNTER_TUNNEL_UNPARSED;
    case PARSE_LINK:
        return COUNTER_LINK_UNPARSED;
    case PARSE_FRAGMENT:
        return COUNTER_IP_FRAGMENT;
    case PARSE_BAD_IP_HEADER:
        return COUNTER_IP_BAD_HEADER;
    case PARSE_CUT_OFF:
        return COUNTER_IP_CUT_OFF;
    case PARSE_VLAN_TOO_DEEP:
        return COUNTER_VLAN_TOO_DEEP;
    case PARSE_IPV6_TOO_DEEP:
        return COUNTER_IPV6_TOO_DEEP;
    case PARSE_BAD_FLAGS:
        return COUNTER_SYN_BAD_FLAGS;
    case PARSE_BAD_LENGTH:
        return COUNTER_SYN_BAD_LENGTH;
    case PARSE_BAD_OFFSET:
        return COUNTER_SYN_BAD_OFFSET;
    default:
        return COUNTER_SYN_TRUNCATED;
    }
}

/* A retransmitted SYN leaves the first one in place, and so does one that a hook nearer to the wire
 * has seen.  Returns what it is counted as. */
INLINE enum capture_counter counter_of_insert(long r)
{
    if (r == 0)
        return COUNTER_SYN_STORED;
    if (r == -EEXIST)
        return COUNTER_SYN_RETRANSMIT;
    return r == -ENOMEM ? COUNTER_SYN_INSERT_NO_MEMORY : COUNTER_SYN_INSERT_FAILED;
}

/* --- without tracking ---- */

/* Another CPU's may be the younger one. */
INLINE int is_fresh(const struct found_syn *syn, const struct captured_entry *old)
{
    __s64 age_ns = (__s64)(syn->entry.syn.seen_ns - old->syn.seen_ns);

    return age_ns < (__s64)syn->settings->captured_ms * 1000000;
}

INLINE void complete_entry(struct found_syn *syn)
{
    struct captured_entry *entry = &syn->entry;

    __builtin_memset(&entry->key, 0, sizeof(entry->key));
    __builtin_memcpy(entry->key.source, syn->key.source, sizeof(entry->key.source));
    __builtin_memcpy(entry->key.destination, entry->syn.wire_destination,
                     sizeof(entry->key.destination));
    entry->key.source_port_be = syn->key.source_port_be;
    entry->key.destination_port_be = entry->syn.wire_destination_port_be;
    entry->key.family = syn->key.family;
    entry->version_begin = entry->syn.seen_ns;
    entry->version_end = entry->syn.seen_ns;
}

/* The first SYN of a tuple stays for its time: a second one with another ISN may be forged.  It is
 * looked for first, since an LRU makes room before it finds that it has the key: repeated SYNs
 * would push out others, or the first one itself. */
INLINE enum capture_counter store_captured(struct found_syn *syn)
{
    struct captured_entry *entry = &syn->entry, *old;
    long r;

    complete_entry(syn);
    old = bpf_map_lookup_elem(&captured, &entry->key);
    if (old && is_fresh(syn, old))
        return old->syn.isn == entry->syn.isn ? COUNTER_SYN_RETRANSMIT : COUNTER_SYN_CONFLICT;
    r = bpf_map_update_elem(&captured, &entry->key, entry, old ? BPF_ANY : BPF_NOEXIST);
    if (r == 0 && watch_tell(WATCH_CAPTURED, &entry->key, 0, &entry->syn) < 0)
        syn->own->values[COUNTER_WATCH_LOST]++;
    return counter_of_insert(r);
}

/* --- with it ---- */

INLINE void note_isn(const struct found_syn *syn, __u64 network)
{
    __u64 hash = hash_source(network, syn->key.source, syn->key.source_port_be);
    enum last_isn_answer answer = last_isn_note(hash, syn->key.isn);

    if (answer == LAST_ISN_CONFLICT)
        syn->own->values[COUNTER_SYN_CONFLICT]++;
    else if (answer == LAST_ISN_ON_LIVE)
        syn->own->values[COUNTER_SYN_ON_LIVE]++;
}

INLINE enum capture_counter store_pending(const struct found_syn *syn)
{
    return counter_of_insert(
        bpf_map_update_elem(&pending, &syn->key, &syn->entry.syn, BPF_NOEXIST));
}

INLINE void store(struct found_syn *syn)
{
    const struct capture_config *settings = syn->settings;
    struct limiter *limits = bpf_map_lookup_elem(&limiter, &(__u32){0});
    __u64 network = hash_network(syn->key.source, syn->key.family);
    enum limiter_answer answer;
    enum capture_counter counter;

    if (!limits)
        return;
    answer = limiter_ask(limits, settings, network, syn->entry.syn.seen_ns);
    if (answer == LIMITER_SKIP) {
        syn->own->values[COUNTER_SYN_RATE_SKIPPED]++;
        return;
    }
    counter = settings->tracked ? store_pending(syn) : store_captured(syn);
    syn->own->values[counter]++;
    if (counter != COUNTER_SYN_STORED)
        return;
    limiter_charge(limits, settings, network);
    if (answer == LIMITER_ALLOWED)
        syn->own->values[COUNTER_SYN_RATE_ALLOWED]++;
    else if (settings->tracked)
        note_isn(syn, network);
}

/* --- */

INLINE enum filter_answer filter_packet(const struct parse_packet *packet,
                                        const struct capture_config *settings)
{
    __u8 destination[16];

    parse_destination(packet, destination);
    return filter_destination(settings, destination,
                              parse_be16(packet->tcp + PARSE_TCP_DESTINATION));
}

/* Count a SYN that is for us.  Returns 0 for one that is not. */
INLINE int count_seen(const struct parse_packet *packet, const struct capture_config *settings,
                      struct capture_counters *own)
{
    enum filter_answer answer = filter_packet(packet, settings);

    if (answer != FILTER_PASS) {
        own->values[answer == FILTER_PORT ? COUNTER_SYN_FILTERED_PORT
                                          : COUNTER_SYN_FILTERED_PREFIX]++;
        return 0;
    }
    own->values[COUNTER_SYN_SEEN]++;
    if (packet->seen & SYN_SEEN_TUNNEL)
        own->values[COUNTER_TUNNEL_PARSED]++;
    return 1;
}

INLINE void count_rarities(const struct syn_record *record, struct capture_counters *own)
{
    if (record->payload_length)
        own->values[COUNTER_SYN_WITH_PAYLOAD]++;
    if (record->seen & SYN_SEEN_IPV6_EXTENSION)
        own->values[COUNTER_IPV6_EXTENSION]++;
}

/* Returns 0 where no SYN can be, which is for the verifier to see: find_syn() says no such thing.
 */
INLINE int packet_from_place(const struct place *place, const struct arrival *at,
                             struct parse_packet *ret_packet)
{
    __u32 ip = place->ip, tcp = place->tcp;

    if (ip > PLACE_MAX || tcp > PLACE_MAX)
        return 0;
    *ret_packet = (struct parse_packet){
        .start = at->data,
        .ip = at->data + ip,
        .tcp = at->data + tcp,
        .end = at->end,
        .link_length = ip,
        .ip_header = place->ip_header,
        .version = place->version,
        .seen = place->seen,
    };
    return parse_fits(ret_packet->tcp, at->end, PARSE_TCP_SIZE) &&
           parse_fits(ret_packet->ip, at->end,
                      place->version == 4 ? PARSE_IP4_SIZE : PARSE_IP6_SIZE);
}

INLINE void handle_packet(const struct parse_packet *packet, const struct arrival *at,
                          struct found_syn *syn)
{
    enum parse_result result;

    if (!count_seen(packet, syn->settings, syn->own))
        return;
    result = parse_check(packet, at->length - packet->link_length);
    if (result != PARSE_SYN) {
        syn->own->values[counter_of(result)]++;
        return;
    }
    parse_fill(packet, &syn->key, &syn->entry.syn);
    syn->entry.syn.seen_ns = bpf_ktime_get_boot_ns();
    syn->entry.syn.ifindex = at->ifindex;
    syn->entry.syn.hook = at->hook;
    count_rarities(&syn->entry.syn, syn->own);
    store(syn);
}

/* What find_syn() found, in the same frame. */
INLINE void handle_syn(const struct place *place, const struct arrival *at)
{
    struct parse_packet packet;
    struct found_syn syn;

    if (!place || !packet_from_place(place, at, &packet))
        return;
    syn.settings = get_settings();
    syn.own = own_counters(at->hook, packet.version);
    if (syn.settings && syn.own)
        handle_packet(&packet, at, &syn);
}

INLINE int place_of(enum parse_result result, const struct parse_packet *packet, enum syn_hook hook,
                    struct place *ret_place)
{
    struct capture_counters *own;

    if (result <= PARSE_NOT_SYN)
        return 0;
    if (result == PARSE_SYN) {
        *ret_place = (struct place){
            .ip = (__u32)(packet->ip - packet->start),
            .tcp = (__u32)(packet->tcp - packet->start),
            .ip_header = packet->ip_header,
            .version = packet->version,
            .seen = packet->seen,
        };
        return 1;
    }
    own = own_counters(hook, packet->version);
    if (own && get_settings())
        own->values[counter_of(result)]++;
    return 0;
}

INLINE enum parse_result look_into(struct parse_packet *packet)
{
    const struct capture_config *settings = get_settings();

    return settings ? parse_datagram(packet, settings->vxlan_port) : PARSE_NOT_TCP;
}

/* Find the SYN of a frame, also inside a tunnel (`tags`: parse_ethernet()).  Returns 0 for all
 * other packets; those that could have been one are counted. */
INLINE int find_syn(const void *data, const void *end, __u8 tags, enum syn_hook hook,
                    struct place *ret_place)
{
    struct parse_packet packet;
    enum parse_result result = parse_ethernet(data, end, tags, &packet);

    if (result == PARSE_UDP)
        result = look_into(&packet);
    return place_of(result, &packet, hook, ret_place);
}

#endif
