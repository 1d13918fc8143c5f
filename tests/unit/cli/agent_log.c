/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LOG_MAX = 4096, HOOKS_MAX = 3 };

/* A standard error that can be read back. */
struct capture {
    int pipe_fds[2], saved;
};

static struct capture capture_begin(void)
{
    struct capture capture = {.saved = dup(STDERR_FILENO)};

    assert_int_equal(pipe2(capture.pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(capture.pipe_fds[1], STDERR_FILENO) >= 0);
    return capture;
}

static void capture_end(const struct capture *capture, char text[LOG_MAX])
{
    ssize_t length;

    assert_true(dup2(capture->saved, STDERR_FILENO) >= 0);
    (void)close(capture->saved);
    (void)close(capture->pipe_fds[1]);
    length = read(capture->pipe_fds[0], text, LOG_MAX - 1);
    (void)close(capture->pipe_fds[0]);
    text[length > 0 ? length : 0] = '\0';
}

#define XDP(name)                                                                                  \
    {                                                                                              \
        .kind = NODE_HOOK_XDP_NATIVE, .target = name, .attached = true, .why = "good"              \
    }
#define TCX(name)                                                                                  \
    {                                                                                              \
        .kind = NODE_HOOK_TCX, .target = name, .attached = true, .why = "no XDP"                   \
    }
#define NONE(name)                                                                                 \
    {                                                                                              \
        .kind = NODE_HOOK_XDP_NATIVE, .target = name, .why = "gone"                                \
    }

/* Reports that follow each other, and what each of them adds to the log. */
static const struct {
    bool ready;
    const char *why;
    unsigned device_losses;
    struct node_hook hooks[HOOKS_MAX]; /* as many as have a target */
    bool is_first;
    const char *lines;
} STEPS[] = {
    {.why = "eth0 is not there",
     .hooks = {NONE("eth0")},
     .lines = "synauthz: waiting: eth0 is not there\n"},
    {.why = "eth0 is not there", .hooks = {NONE("eth0")}, .lines = ""},
    {.ready = true,
     .hooks = {XDP("eth0")},
     .is_first = true,
     .lines = "synauthz: capturing on eth0 with xdp: good\n"
              "synauthz: ready, 1 hook attached\n"},
    {.ready = true, .hooks = {XDP("eth0")}, .lines = ""},
    {.ready = true,
     .hooks = {XDP("eth0"), TCX("eth1")},
     .lines = "synauthz: capturing on eth1 with tcx: no XDP\n"},
    {.why = "eth0 is not there",
     .device_losses = 1,
     .hooks = {NONE("eth0"), TCX("eth1")},
     .lines = "synauthz: error: capture is not complete: eth0 is not there\n"},
    {.why = "eth0 is not there",
     .device_losses = 1,
     .hooks = {NONE("eth0"), TCX("eth1")},
     .lines = ""},
    {.ready = true,
     .device_losses = 1,
     .hooks = {XDP("eth0"), TCX("eth1")},
     .lines = "synauthz: capturing on eth0 with xdp: good\n"
              "synauthz: ready again\n"},
    {.ready = true,
     .device_losses = 1,
     .hooks = {TCX("eth0"), TCX("eth1")},
     .lines = "synauthz: capturing on eth0 with tcx: no XDP\n"
              "synauthz: not capturing on eth0 with xdp any more\n"},
    {.ready = true,
     .device_losses = 1,
     .hooks = {TCX("eth1")},
     .lines = "synauthz: not capturing on eth0 with tcx any more\n"},
    {.ready = true, /* something else stands in for it */
     .device_losses = 1,
     .hooks = {TCX("eth1"), NONE("eth2")},
     .lines = "synauthz: not capturing on eth2: gone\n"},
    {.ready = true, .device_losses = 1, .hooks = {TCX("eth1"), NONE("eth2")}, .lines = ""},
    {.ready = true,
     .device_losses = 1,
     .hooks = {TCX("eth1"), XDP("eth2")},
     .lines = "synauthz: capturing on eth2 with xdp: good\n"},
};

static void each_change_is_a_line(void **state)
{
    struct agent_log log = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]); i++) {
        struct node_status status = {.ready = STEPS[i].ready,
                                     .hooks = STEPS[i].hooks,
                                     .device_losses = STEPS[i].device_losses,
                                     .set = "v2"};
        struct capture capture;
        char text[LOG_MAX];
        bool is_first;

        if (STEPS[i].why)
            (void)snprintf(status.why, sizeof(status.why), "%s", STEPS[i].why);
        while (status.hook_count < HOOKS_MAX && STEPS[i].hooks[status.hook_count].target[0])
            status.hook_count++;
        capture = capture_begin();
        is_first = agent_log_report(&log, &status);
        capture_end(&capture, text);
        if (strcmp(text, STEPS[i].lines) != 0)
            fail_msg("step %zu: got\n%swanted\n%s", i, text, STEPS[i].lines);
        assert_int_equal(is_first, STEPS[i].is_first);
    }
    agent_log_done(&log);
}

static void the_start_says_mode_place_and_state(void **state)
{
    const struct node_config config = {
        .mode = NODE_TCX, .pin_dir = "/run/x", .max_pending = 5, .max_live = 6};
    struct node_status status = {.set = "v2-1", .took_over = true, .map_bytes = 7};
    struct capture capture = capture_begin();
    char text[LOG_MAX];

    (void)state;
    (void)snprintf(status.why_untracked, sizeof(status.why_untracked), "no BTF");
    agent_log_start(&config, &status);
    capture_end(&capture, text);
    assert_string_equal(text, "synauthz: --capture tcx, pinned in /run/x/v2-1, taken over\n"
                              "synauthz: maps for 5 pending and 6 live: 7 bytes\n"
                              "synauthz: SYNs are `captured`, not verified: no BTF\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_a_line),
        cmocka_unit_test(the_start_says_mode_place_and_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
