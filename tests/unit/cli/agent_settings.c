/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_settings.h"

#include <errno.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "command_line.h"
#include "pin_reader.h"

/* The caller frees with done(). */
struct run {
    struct command_line line;
    struct agent_options options;
    struct agent_settings settings;
    struct diag diag;
};

static int read_line(struct run *run, const char *line)
{
    int r;

    *run = (struct run){0};
    r = command_line_parse(&run->line, line, &AGENT_OPTIONS, &run->options, &run->diag);
    return r < 0 ? r : agent_settings_read(&run->options, &run->settings, &run->diag);
}

static void done(struct run *run)
{
    agent_settings_done(&run->settings);
    command_line_done(&run->line, &AGENT_OPTIONS, &run->options);
}

static void little_needs_to_be_said(void **state)
{
    const struct group *group = getgrnam("synauthz");
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--port 443"), 0);
    assert_string_equal(run.settings.node.pin_dir, PIN_DIR_DEFAULT);
    assert_int_equal(run.settings.node.group, group ? group->gr_gid : 65534);
    assert_int_equal(run.settings.node.mode, NODE_AUTO);
    assert_int_equal(run.settings.node.interface_count, 0);
    assert_int_equal(run.settings.node.cgroup_count, 0);
    assert_int_equal(run.settings.node.port_count, 1);
    assert_int_equal(run.settings.node.ports[0], 443);
    assert_int_equal(run.settings.node.prefix_count, 0);
    assert_int_equal(run.settings.node.vxlan_port, 0);
    assert_int_equal(run.settings.node.syn_rate, 1000);
    assert_int_equal(run.settings.node.node_hops, 1);
    assert_int_equal(run.settings.node.captured_ms, 60000);
    assert_int_equal(run.settings.node.max_pending, NODE_PENDING_DEFAULT);
    assert_int_equal(run.settings.node.max_live, NODE_LIVE_DEFAULT);
    assert_false(run.settings.node.no_tracking);
    assert_false(run.settings.node.any_port);
    done(&run);
}

static void everything_can_be_said(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(
        read_line(&run, "--interface eth0 --interface=ens* --port 80,443 --port any --prefix "
                        "192.0.2.0/24,2001:db8::/32 --cgroup /sys/fs/cgroup/a --cgroup /b "
                        "--pin-dir /run/x --group 4242 --vxlan-port 4789 --syn-rate 0 "
                        "--node-hops 2 --tracking off --captured-seconds 5 --max-pending 4096 "
                        "--max-live 1000"),
        0);
    assert_int_equal(run.settings.node.interface_count, 2);
    assert_string_equal(run.settings.node.interfaces[1], "ens*");
    assert_true(run.settings.node.any_port);
    assert_int_equal(run.settings.node.port_count, 2);
    assert_int_equal(run.settings.node.prefix_count, 2);
    assert_int_equal(run.settings.node.prefixes[1].length, 32);
    assert_int_equal(run.settings.node.cgroup_count, 2);
    assert_string_equal(run.settings.node.pin_dir, "/run/x");
    assert_int_equal(run.settings.node.group, 4242);
    assert_int_equal(run.settings.node.vxlan_port, 4789);
    assert_int_equal(run.settings.node.syn_rate, 0);
    assert_int_equal(run.settings.node.node_hops, 2);
    assert_true(run.settings.node.no_tracking);
    assert_int_equal(run.settings.node.captured_ms, 5000);
    assert_int_equal(run.settings.node.max_pending, 4096);
    assert_int_equal(run.settings.node.max_live, 1000);
    done(&run);
}

static void each_mode_has_its_word(void **state)
{
    static const struct {
        const char *line;
        enum node_mode mode;
    } ROWS[] = {
        {"--port any --capture auto", NODE_AUTO},
        {"--port any --capture xdp --interface a", NODE_XDP},
        {"--port any --capture xdp-generic --interface a", NODE_XDP_GENERIC},
        {"--port any --capture tcx --interface a", NODE_TCX},
        {"--port any --capture cgroup", NODE_CGROUP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_int_equal(read_line(&run, ROWS[i].line), 0);
        assert_int_equal(run.settings.node.mode, ROWS[i].mode);
        done(&run);
    }
}

static void wrong_command_lines_say_what_to_give(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"", "capture SYNs to which ports? give --port N[,N...] or --port any"},
        {"--interface eth0", "capture SYNs to which ports? give --port N[,N...] or --port any"},
        {"--port any --capture xdp", "--capture xdp needs --interface IFACE"},
        {"--port any --capture xdp-generic", "--capture xdp-generic needs --interface IFACE"},
        {"--port any --capture tcx", "--capture tcx needs --interface IFACE"},
        {"--port any --capture tcx --interface a --cgroup /b",
         "--cgroup goes with --capture auto or cgroup, not with tcx"},
        {"--port any --capture cgroup --interface a",
         "--interface does not go with --capture cgroup"},
        {"--port any --pin-dir /run/a/bpf --socket-dir /run/a",
         "--socket-dir /run/a and --pin-dir /run/a/bpf: one must not be in the other, since the "
         "group "
         "may write to the first and must not touch the second; name two folders beside each "
         "other"},
        {"--port 0", "--port 0: expected a port from 1 to 65535, or any"},
        {"--port 80, --interface a", "--port : expected a port from 1 to 65535, or any"},
        {"--capture bpf", "--capture bpf: expected auto|xdp|xdp-generic|tcx|cgroup"},
        {"--tracking no", "--tracking no: expected auto|off"},
        {"--captured-seconds 0", "--captured-seconds 0: expected a number from 1 to 3600"},
        {"--node-hops 64", "--node-hops 64: expected a number from 0 to 63"},
        {"--max-live 1", "--max-live 1: expected a number from 16 to 16777216"},
        {"--interface a/b",
         "--interface a/b: expected the name of an interface, or a pattern like \"eth*\""},
        {"--group no-such-group", "--group no-such-group: there is no such group"},
        {"--pin-dir x", "--pin-dir x: expected an absolute path"},
        {"--cgroup x", "--cgroup x: expected an absolute path"},
        {"--prefix 10.0.0.1/8", "--prefix 10.0.0.1/8: bits are set behind the prefix length"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_true(read_line(&run, ROWS[i].line) < 0);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

static void what_takes_a_restart_is_named(void **state)
{
    static const struct {
        const char *line, *names;
    } ROWS[] = {
        {"--port 80", ""},
        {"--port 443 --interface eth1 --prefix 192.0.2.0/24 --syn-rate 5 --vxlan-port 4789", ""},
        {"--port 80 --max-live 1000", "--max-live"},
        {"--port 80 --group 5 --pin-dir /run/other --admin [::1]:9000",
         "--pin-dir, --group, --admin"},
        {"--port 80 --capture cgroup --tracking off --max-pending 2048",
         "--capture, --tracking, --max-pending"},
    };
    char names[256];
    struct run running;

    (void)state;
    assert_int_equal(read_line(&running, "--port 80"), 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run wanted;

        assert_int_equal(read_line(&wanted, ROWS[i].line), 0);
        assert_string_equal(
            agent_settings_frozen(&running.options, &wanted.options, names, sizeof(names)),
            ROWS[i].names);
        done(&wanted);
    }
    done(&running);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(little_needs_to_be_said),
        cmocka_unit_test(everything_can_be_said),
        cmocka_unit_test(each_mode_has_its_word),
        cmocka_unit_test(wrong_command_lines_say_what_to_give),
        cmocka_unit_test(what_takes_a_restart_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
