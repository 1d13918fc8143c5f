/* SPDX-License-Identifier: Apache-2.0 */
#include "provoke.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"
#include "hookset.h"
#include "keeper.h"
#include "parse_tunnel.h"

enum {
    ETH = PARSE_ETH_SIZE,
    TCP4 = ETH + PARSE_IP4_SIZE,
    TCP6 = ETH + PARSE_IP6_SIZE,
    ROOM = 64,
};

const struct capture_config SENDER_SETTINGS = {.enabled = 1,
                                               .tracked = 1,
                                               .use_prefixes = 1,
                                               .captured_ms = 1000,
                                               .vxlan_port = SENDER_VXLAN_PORT};

void sender_configure(const struct sender *sender, const struct capture_config *config)
{
    assert_int_equal(keeper_write_config(sender->keeper, config), 0);
}

static void run_program(int program, const uint8_t *frame, size_t length, int repeat)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = (uint32_t)length,
                .repeat = repeat);

    assert_int_equal(bpf_prog_test_run_opts(program, &options), 0);
    assert_int_equal(options.retval, XDP_PASS);
}

static void run_frame(const struct sender *sender, const uint8_t *frame, size_t length)
{
    run_program(sender->program, frame, length, 1);
}

struct segment sender_syn(struct sender *sender)
{
    return (struct segment){.source = "10.77.7.7",
                            .destination = "10.77.0.2",
                            .source_port = sender->source_port++,
                            .destination_port = own_port(),
                            .seq = 0x01020304,
                            .flags = FLAG_SYN,
                            .mss = 1460};
}

void sender_run(const struct sender *sender, const struct segment *segment)
{
    uint8_t frame[FRAME_MAX];

    run_frame(sender, frame, segment_build(segment, frame));
}

/* A SYN with one byte of the frame changed, and with bytes put in. */
static void run_changed(struct sender *sender, size_t at, uint8_t value)
{
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    frame[at] = value;
    run_frame(sender, frame, length);
}

static void run_extended(struct sender *sender, const uint8_t *headers, size_t size)
{
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX];
    size_t length;

    syn.source = "fd77::7";
    syn.destination = "fd77::2";
    length = segment_build(&syn, frame);
    memmove(frame + TCP6 + size, frame + TCP6, length - TCP6);
    memcpy(frame + TCP6, headers, size);
    frame[ETH + PARSE_IP6_NEXT] = PARSE_PROTOCOL_DESTINATION;
    frame[ETH + PARSE_IP6_LENGTH + 1] += (uint8_t)size;
    run_frame(sender, frame, length + size);
}

void provoke_a_syn(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    sender_run(sender, &syn);
}

void provoke_the_same_syn_again(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    sender_run(sender, &syn);
    sender_run(sender, &syn);
}

void provoke_another_isn(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    sender_run(sender, &syn);
    syn.seq++;
    sender_run(sender, &syn);
}

void provoke_another_port(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    syn.destination_port--;
    sender_run(sender, &syn);
}

void provoke_another_destination(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    syn.destination = "192.0.2.1";
    sender_run(sender, &syn);
}

static void under_a_limit(struct sender *sender, const char *source, int count)
{
    struct capture_config limited = SENDER_SETTINGS;

    limited.syn_rate = 1;
    sender_configure(sender, &limited);
    for (int i = 0; i < count; i++) {
        struct segment syn = sender_syn(sender);

        syn.source = source;
        sender_run(sender, &syn);
    }
    sender_configure(sender, &SENDER_SETTINGS);
}

void provoke_too_many_of_one_source(struct sender *sender)
{
    under_a_limit(sender, "10.77.8.8", 20);
}

void provoke_one_of_a_source(struct sender *sender)
{
    under_a_limit(sender, "10.77.9.9", 1);
}

static void *insert_again_and_again(void *program)
{
    struct sender numbers = {.source_port =
                                 (uint16_t)(20000 + (uintptr_t)pthread_self() / 4096 % 20000)};
    struct segment syn = sender_syn(&numbers);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    run_program(*(int *)program, frame, length, 200000);
    return NULL;
}

/* One element for two CPUs: while one has it in its hands, there is none for the other. */
uint64_t provoke_no_element(void)
{
    const struct map_sizes one = {.pending = 1, .live = ROOM};
    struct hookset set;
    uint64_t counted = 0;

    hookset_make_with(&set, NULL, NULL, &one);
    for (int i = 0; i < 20 && counted == 0; i++) {
        pthread_t threads[2];

        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_create(&threads[j], NULL, insert_again_and_again,
                                            &set.programs[SYN_HOOK_XDP]),
                             0);
        for (int j = 0; j < 2; j++)
            assert_int_equal(pthread_join(threads[j], NULL), 0);
        counted = hookset_counter(&set, SYN_HOOK_XDP, COUNTER_SYN_INSERT_NO_MEMORY);
    }
    hookset_done(&set);
    return counted;
}

/* An LRU always has room; a plain hash of one element has not. */
uint64_t provoke_no_room(void)
{
    struct sender numbers = {.source_port = 20000};
    struct embedded_object embedded[OBJECT_COUNT_];
    struct bpf_object *object;
    struct capture_maps maps;
    struct diag diag = {0};
    uint64_t counters[COUNTER_COUNT_];
    int keeper;

    objects_embedded(embedded);
    object = bpf_object__open_mem(embedded[OBJECT_XDP].bytes, embedded[OBJECT_XDP].size, NULL);
    assert_non_null(object);
    capture_maps_init(&maps);
    for (enum capture_map map = 0; map < MAP_COUNT_; map++) {
        struct bpf_map *own = bpf_object__find_map_by_name(object, CAPTURE_MAP_NAMES[map]);

        if (own && map == MAP_PENDING) {
            assert_int_equal(bpf_map__set_type(own, BPF_MAP_TYPE_HASH), 0);
            assert_int_equal(bpf_map__set_max_entries(own, 1), 0);
        }
    }
    assert_int_equal(bpf_object__load(object), 0);
    for (enum capture_map map = 0; map < MAP_COUNT_; map++)
        maps.fd[map] = bpf_object__find_map_fd_by_name(object, CAPTURE_MAP_NAMES[map]);
    keeper = objects_load_hook(OBJECT_KEEPER, &maps, &diag);
    if (keeper < 0 || filters_write(&(struct filters){.any_port = true},
                                    &(struct capture_config){.enabled = 1, .tracked = 1}, &maps,
                                    keeper, &diag) < 0)
        fail_msg("%s", diag.text);
    close(keeper);
    for (int i = 0; i < 2; i++) {
        struct segment syn = sender_syn(&numbers);
        uint8_t frame[FRAME_MAX];

        run_program(bpf_program__fd(bpf_object__find_program_by_name(object, "capture_xdp")), frame,
                    segment_build(&syn, frame), 1);
    }
    assert_int_equal(capture_counters_read(&maps, SYN_HOOK_XDP, 4, counters), 0);
    bpf_object__close(object);
    return counters[COUNTER_SYN_INSERT_FAILED];
}

void provoke_syn_and_fin(struct sender *sender)
{
    run_changed(sender, TCP4 + PARSE_TCP_FLAGS, FLAG_SYN | FLAG_FIN);
}

void provoke_offset_of_16_bytes(struct sender *sender)
{
    run_changed(sender, TCP4 + PARSE_TCP_OFFSET, 0x40);
}

void provoke_no_room_for_tcp(struct sender *sender)
{
    run_changed(sender, ETH + PARSE_IP4_LENGTH + 1, 39);
}

void provoke_longer_than_the_frame(struct sender *sender)
{
    run_changed(sender, ETH + PARSE_IP4_LENGTH + 1, 200);
}

void provoke_version_5(struct sender *sender)
{
    run_changed(sender, ETH, 0x55);
}

void provoke_first_fragment(struct sender *sender)
{
    run_changed(sender, ETH + PARSE_IP4_FRAGMENT, 0x20);
}

void provoke_mpls(struct sender *sender)
{
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    frame[PARSE_ETH_TYPE] = PARSE_TYPE_MPLS >> 8;
    frame[PARSE_ETH_TYPE + 1] = PARSE_TYPE_MPLS & 0xff;
    run_frame(sender, frame, length);
}

void provoke_gre(struct sender *sender)
{
    run_changed(sender, ETH + PARSE_IP4_PROTOCOL, PARSE_PROTOCOL_GRE);
}

void provoke_with_data(struct sender *sender)
{
    struct segment syn = sender_syn(sender);

    syn.payload = 10;
    sender_run(sender, &syn);
}

void provoke_half_a_header(struct sender *sender)
{
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX];

    run_frame(sender, frame, segment_build(&syn, frame) - 8);
}

void provoke_options_for_the_destination(struct sender *sender)
{
    static const uint8_t HEADER[8] = {PARSE_PROTOCOL_TCP, 0, 1, 4};

    run_extended(sender, HEADER, sizeof(HEADER));
}

void provoke_nine_extension_headers(struct sender *sender)
{
    uint8_t headers[72] = {0};

    for (size_t i = 0; i < sizeof(headers); i += 8) {
        headers[i] = i + 8 < sizeof(headers) ? PARSE_PROTOCOL_DESTINATION : PARSE_PROTOCOL_TCP;
        headers[i + 2] = 1;
        headers[i + 3] = 4;
    }
    run_extended(sender, headers, sizeof(headers));
}

void provoke_three_tags(struct sender *sender)
{
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX];
    size_t length = segment_build(&syn, frame);

    memmove(frame + 24, frame + 12, length - 12);
    for (size_t i = 12; i < 24; i += 4) {
        frame[i] = 0x81;
        frame[i + 1] = 0;
    }
    run_frame(sender, frame, length + 12);
}

void provoke_inside_vxlan(struct sender *sender)
{
    static const uint8_t OUTER[ETH + 20 + 8 + 8] = {[12] = 0x08,
                                                    [ETH] = 0x45,
                                                    [ETH + 9] = PARSE_PROTOCOL_UDP,
                                                    [ETH + 22] = SENDER_VXLAN_PORT >> 8,
                                                    [ETH + 23] = SENDER_VXLAN_PORT & 0xff,
                                                    [ETH + 28] = PARSE_VXLAN_HAS_ID};
    struct segment syn = sender_syn(sender);
    uint8_t frame[FRAME_MAX + sizeof(OUTER)];

    memcpy(frame, OUTER, sizeof(OUTER));
    run_frame(sender, frame, sizeof(OUTER) + segment_build(&syn, frame + sizeof(OUTER)));
}
