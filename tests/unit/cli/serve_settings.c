/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Reads a command line, split at blanks; the caller frees with done(). */
struct run {
    char *line, *argv[32];
    int argc;
    struct serve_options options;
    struct serve_settings settings;
    struct text_list operands;
    struct options_given given;
    struct diag diag;
};

static int read_line(struct run *run, const char *line)
{
    int r;

    *run = (struct run){.line = strdup(line), .options = SERVE_DEFAULTS};
    for (char *word = strtok(run->line, " "); word; word = strtok(NULL, " "))
        run->argv[run->argc++] = word;
    r = options_parse(&SERVE_OPTIONS, run->argc, run->argv, &run->options, &run->operands,
                      &run->given, &run->diag);
    if (r < 0)
        return r;
    return serve_settings_read(&run->options, &run->settings, &run->diag);
}

static void done(struct run *run)
{
    serve_settings_done(&run->settings);
    options_done(&SERVE_OPTIONS, &run->options);
    free(run->operands.items);
    free(run->line);
}

static void attach_takes_ports_and_prefixes(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(
        read_line(&run, "--policy p --listen unix:/a --attach eth0 --attach eth1 --port 80,443 "
                        "--port 8080 --prefix 192.0.2.0/24,2001:db8::/32"),
        0);
    assert_int_equal(run.settings.ports.count, 3);
    assert_int_equal(run.settings.ports.items[2], 8080);
    assert_false(run.settings.any_port);
    assert_int_equal(run.settings.prefixes.count, 2);
    assert_int_equal(run.settings.prefixes.items[1].length, 32);
    assert_int_equal(run.settings.redirect_ports.count, 1);
    assert_int_equal(run.settings.redirect_ports.items[0], 15006);
    assert_int_equal(run.settings.identity.uid, 65534);
    assert_null(run.settings.pcap_file);
    done(&run);
}

static void any_port_and_other_redirect_ports(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--policy p --listen unix:/a --attach eth0 --port any "
                                     "--redirect-port 1,2"),
                     0);
    assert_true(run.settings.any_port);
    assert_int_equal(run.settings.redirect_ports.count, 2);
    done(&run);
}

static void a_capture_file_is_a_source(void **state)
{
    struct run run;

    (void)state;
    assert_int_equal(read_line(&run, "--policy p --listen unix:/a --source pcap:/tmp/x.pcap"), 0);
    assert_string_equal(run.settings.pcap_file, "/tmp/x.pcap");
    done(&run);
    assert_int_equal(read_line(&run, "--policy p --listen unix:/a --source none"), 0);
    assert_null(run.settings.pcap_file);
    done(&run);
}

static void wrong_command_lines_say_what_to_give(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"--listen unix:/a --source none", "--policy FILE is missing"},
        {"--policy p --source none", "--listen ADDR is missing"},
        {"--policy p --listen unix:/a", "where do SYNs come from? give --attach IFACE, --source "
                                        "pcap:FILE or --source none"},
        {"--policy p --listen unix:/a --source pins", "--source pins: expected pcap:FILE or none"},
        {"--policy p --listen unix:/a --source pcap:-",
         "--source pcap:- is standard input: expected a file"},
        {"--policy p --listen unix:/a --source pcap:",
         "--source pcap: needs a file behind the colon"},
        {"--policy p --listen unix:/a --attach eth0",
         "--attach needs --port N[,N...] or --port any"},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --source none",
         "--attach is a source itself: --source cannot be given too"},
        {"--policy p --listen unix:/a --source none --port 80",
         "--port, --prefix, --max-pending and --max-live belong to --attach"},
        {"--policy p --listen unix:/a --attach eth0 --port 0",
         "--port 0: expected a port from 1 to 65535, or any"},
        {"--policy p --listen unix:/a --attach eth0 --port 80,",
         "--port : expected a port from 1 to 65535, or any"},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --redirect-port any",
         "--redirect-port any: expected a port from 1 to 65535"},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --prefix 10.0.0.1/8",
         "--prefix 10.0.0.1/8: bits are set behind the prefix length"},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --prefix ten",
         "--prefix ten: expected ADDRESS/LENGTH"},
        {"--policy p --listen unix:/a --source none --user root",
         "--user root: the server does not run as root"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_true(read_line(&run, ROWS[i].line) < 0);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attach_takes_ports_and_prefixes),
        cmocka_unit_test(any_port_and_other_redirect_ports),
        cmocka_unit_test(a_capture_file_is_a_source),
        cmocka_unit_test(wrong_command_lines_say_what_to_give),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
