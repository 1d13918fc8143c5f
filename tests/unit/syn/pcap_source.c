/* SPDX-License-Identifier: Apache-2.0 */
#include "pcap_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "cleanup.h"
#include "frames.h"
#include "memory_file.h"

static struct syn_source *source_of(const struct frames *frames)
{
    CLEANUP(memory_file_done)
    struct memory_file file = memory_file_with(frames->bytes, frames->size);
    struct syn_source *source = NULL;
    struct diag diag = {0};

    assert_int_equal(pcap_source_open(file.path, &source, &diag), 0);
    return source;
}

static struct syn_answer ask(const struct syn_source *source, const char *from, const char *to)
{
    struct syn_answer answer;
    struct flow flow;

    assert_int_equal(endpoint_parse(str_from(from), &flow.source), 0);
    assert_int_equal(endpoint_parse(str_from(to), &flow.destination), 0);
    source->lookup(source, &flow, &answer);
    return answer;
}

static void the_last_syn_of_the_full_tuple_answers(void **state)
{
    CLEANUP(syn_source_freep) struct syn_source *source = NULL;
    struct syn_answer answer;
    struct frames frames;

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add_syn(&frames, 40000, 1024);
    frames_add_syn(&frames, 40001, 2048);
    frames_add_syn(&frames, 40000, 4096);
    source = source_of(&frames);
    answer = ask(source, "192.0.2.2:40000", "192.0.2.10:443");
    assert_int_equal(answer.state, SYN_STATE_CAPTURED);
    assert_int_equal(answer.reason, SYN_REASON_PCAP);
    assert_int_equal(answer.syn.window, 4096);
    answer = ask(source, "[::ffff:192.0.2.2]:40001", "192.0.2.10:443");
    assert_int_equal(answer.syn.window, 2048);
}

static void nothing_is_guessed(void **state)
{
    static const char *const TUPLES[][2] = {
        {"192.0.2.2:40001", "192.0.2.10:443"}, {"192.0.2.3:40000", "192.0.2.10:443"},
        {"192.0.2.2:40000", "192.0.2.11:443"}, {"192.0.2.2:40000", "192.0.2.10:444"},
        {"192.0.2.10:443", "192.0.2.2:40000"}, {"[2001:db8::1]:40000", "192.0.2.10:443"},
    };
    CLEANUP(syn_source_freep) struct syn_source *source = NULL;
    struct frames frames;

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    frames_add_syn(&frames, 40000, 1024);
    source = source_of(&frames);
    for (size_t i = 0; i < sizeof(TUPLES) / sizeof(TUPLES[0]); i++) {
        struct syn_answer answer = ask(source, TUPLES[i][0], TUPLES[i][1]);

        assert_int_equal(answer.state, SYN_STATE_MISSING);
        assert_int_equal(answer.reason, SYN_REASON_NOT_SEEN);
    }
}

static void an_empty_capture_knows_nothing(void **state)
{
    CLEANUP(syn_source_freep) struct syn_source *source = NULL;
    struct frames frames;

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    source = source_of(&frames);
    assert_int_equal(ask(source, "192.0.2.2:40000", "192.0.2.10:443").state, SYN_STATE_MISSING);
}

static void the_table_grows(void **state)
{
    CLEANUP(syn_source_freep) struct syn_source *source = NULL;
    struct syn_source *live = NULL;
    struct frames frames;
    struct diag diag = {0};

    (void)state;
    frames_begin(&frames, FRAMES_LINK_RAW);
    for (uint16_t i = 0; i < 70; i++) /* beyond the first 64 slots */
        frames_add_syn(&frames, (uint16_t)(1000 + i), i);
    source = source_of(&frames);
    for (uint16_t i = 0; i < 70; i++) {
        char from[32];

        (void)snprintf(from, sizeof(from), "192.0.2.2:%d", 1000 + i);
        assert_int_equal(ask(source, from, "192.0.2.10:443").syn.window, i);
    }
    assert_int_equal(pcap_source_open(TEST_DATA "/p0f/live.pcap", &live, &diag), 0);
    syn_source_freep(&live);
}

static void a_bad_file_is_no_source(void **state)
{
    struct syn_source *source = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(pcap_source_open("/proc/self/none", &source, &diag), -ENOENT);
    assert_null(source);
    assert_string_not_equal(diag.text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_syn_of_the_full_tuple_answers),
        cmocka_unit_test(nothing_is_guessed),
        cmocka_unit_test(an_empty_capture_knows_nothing),
        cmocka_unit_test(the_table_grows),
        cmocka_unit_test(a_bad_file_is_no_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
