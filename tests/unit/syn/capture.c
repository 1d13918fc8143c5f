/* SPDX-License-Identifier: Apache-2.0 */
#include "pcap_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "fifo.h"
#include "frames.h"
#include "memory_file.h"

static int open_bytes(const struct frames *frames, struct capture **ret_capture, struct diag *diag)
{
    CLEANUP(memory_file_done)
    struct memory_file file = memory_file_with(frames->bytes, frames->size);

    return capture_open(file.path, ret_capture, diag);
}

static void frames_are_counted_and_judged(void **state)
{
    static const uint8_t ARP[30] = {0};
    struct frames frames;
    CLEANUP(capture_freep) struct capture *capture = NULL;
    struct capture_frame frame;
    struct diag diag = {0};
    char text[ENDPOINT_TEXT_MAX];

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add(&frames, 1, ARP, sizeof(ARP), sizeof(ARP));
    frames_add_syn(&frames, 40000, 1024);
    frames_add_syn(&frames, 40001, 2048);
    frames.bytes[frames.size - 40 + 33] = 0x12; /* SYN+ACK */
    assert_int_equal(open_bytes(&frames, &capture, &diag), 0);

    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(frame.number, 1);
    assert_int_equal(frame.kind, FRAME_NOT_IP);
    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(frame.number, 2);
    assert_int_equal(frame.kind, FRAME_SYN);
    assert_int_equal(frame.time.tv_sec, 1700000000);
    assert_int_equal(frame.time.tv_nsec, 7000);
    assert_int_equal(frame.syn.window, 1024);
    (void)endpoint_format(&frame.flow.source, text);
    assert_string_equal(text, "192.0.2.2:40000");
    (void)endpoint_format(&frame.flow.destination, text);
    assert_string_equal(text, "192.0.2.10:443");
    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(frame.kind, FRAME_NOT_SYN);
    assert_int_equal(capture_next(capture, &frame, &diag), 0);
    assert_string_equal(diag.text, "");
}

static void every_kind_but_a_syn_has_a_reason(void **state)
{
    (void)state;
    assert_string_equal(frame_kind_name(FRAME_SYN), "");
    for (int kind = FRAME_SYN + 1; kind < FRAME_COUNT_; kind++)
        assert_string_not_equal(frame_kind_name((enum frame_kind)kind), "");
}

/* The hooks look into VXLAN; p0f does not, and so nor does whoever reads a capture file. */
static void tunnels_are_not_looked_into(void **state)
{
    static const struct {
        uint8_t protocol;
        uint16_t port; /* of UDP */
    } TUNNELS[] = {{4, 0}, {41, 0}, {47, 0}, {17, 4789}, {17, 6081}, {17, 53}};

    (void)state;
    for (size_t i = 0; i < sizeof(TUNNELS) / sizeof(TUNNELS[0]); i++) {
        uint8_t packet[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, TUNNELS[i].protocol};
        struct frames frames;
        CLEANUP(capture_freep) struct capture *capture = NULL;
        struct capture_frame frame;
        struct diag diag = {0};

        packet[22] = (uint8_t)(TUNNELS[i].port >> 8);
        packet[23] = (uint8_t)TUNNELS[i].port;
        frames_begin(&frames, FRAMES_LINK_RAW);
        frames_add(&frames, 1, packet, sizeof(packet), sizeof(packet));
        assert_int_equal(open_bytes(&frames, &capture, &diag), 0);
        assert_int_equal(capture_next(capture, &frame, &diag), 1);
        assert_int_equal(frame.kind, FRAME_NOT_TCP);
    }
}

static void a_frame_that_was_cut_is_no_syn(void **state)
{
    static const uint8_t JUST_IP[20] = {0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6};
    struct frames frames;
    CLEANUP(capture_freep) struct capture *capture = NULL;
    struct capture_frame frame;
    struct diag diag = {0};

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add(&frames, 1, JUST_IP, sizeof(JUST_IP), 40);
    assert_int_equal(open_bytes(&frames, &capture, &diag), 0);
    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(frame.kind, FRAME_TRUNCATED);
}

static void a_damaged_file_says_behind_which_packet(void **state)
{
    struct frames frames;
    CLEANUP(capture_freep) struct capture *capture = NULL;
    struct capture_frame frame;
    struct diag diag = {0};

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add_syn(&frames, 40000, 1024);
    frames_add_syn(&frames, 40001, 1024);
    frames.size -= 5;
    assert_int_equal(open_bytes(&frames, &capture, &diag), 0);
    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(capture_next(capture, &frame, &diag), -EINVAL);
    assert_non_null(strstr(diag.text, "behind packet 1"));
}

static void files_that_cannot_be_read_are_told_from_those_that_are_none(void **state)
{
    CLEANUP(fifo_done) struct fifo fifo = fifo_make();
    struct frames junk = {.size = 100};
    struct frames unknown;
    struct capture *capture = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(capture_open("/proc/self/none", &capture, &diag), -ENOENT);
    assert_string_equal(diag.file, "/proc/self/none");
    diag_clear(&diag);
    assert_int_equal(capture_open("/", &capture, &diag), -EISDIR);
    assert_string_equal(diag.text, "is a directory, not a file");
    diag_clear(&diag);
    assert_int_equal(capture_open(fifo.path, &capture, &diag), -ENXIO);
    assert_string_equal(diag.text, "is a FIFO, not a file");
    diag_clear(&diag);
    assert_int_equal(open_bytes(&junk, &capture, &diag), -EINVAL);
    diag_clear(&diag);
    frames_begin(&unknown, 147);
    assert_int_equal(open_bytes(&unknown, &capture, &diag), -EINVAL);
    assert_non_null(strstr(diag.text, "link type"));
    assert_null(capture);
}

static void standard_input_may_be_a_pipe(void **state)
{
    CLEANUP(capture_freep) struct capture *capture = NULL;
    CLEANUP(closep) int saved = dup(STDIN_FILENO);
    struct capture_frame frame;
    struct diag diag = {0};
    struct frames frames;
    int ends[2];

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add_syn(&frames, 40000, 1024);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], frames.bytes, frames.size), frames.size);
    assert_int_equal(close(ends[1]), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(ends[0]), 0);
    assert_int_equal(capture_open("-", &capture, &diag), 0);
    assert_int_equal(capture_next(capture, &frame, &diag), 1);
    assert_int_equal(frame.syn.window, 1024);
    assert_int_equal(capture_next(capture, &frame, &diag), 0);
    assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_counted_and_judged),
        cmocka_unit_test(every_kind_but_a_syn_has_a_reason),
        cmocka_unit_test(tunnels_are_not_looked_into),
        cmocka_unit_test(a_frame_that_was_cut_is_no_syn),
        cmocka_unit_test(a_damaged_file_says_behind_which_packet),
        cmocka_unit_test(files_that_cannot_be_read_are_told_from_those_that_are_none),
        cmocka_unit_test(standard_input_may_be_a_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
