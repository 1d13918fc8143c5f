/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_settings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "command_line.h"

/* The caller frees with done(). */
struct run {
    struct command_line line;
    struct serve_options options;
    struct serve_settings settings;
    struct diag diag;
};

static int read_line(struct run *run, const char *line)
{
    int r;

    *run = (struct run){0};
    r = command_line_parse(&run->line, line, &SERVE_OPTIONS, &run->options, &run->diag);
    return r < 0 ? r : serve_settings_read(&run->options, &run->settings, &run->diag);
}

static void done(struct run *run)
{
    serve_settings_done(&run->settings);
    command_line_done(&run->line, &SERVE_OPTIONS, &run->options);
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

static void without_a_word_the_source_is_an_agents_pins(void **state)
{
    static const struct {
        const char *line;
        enum serve_source source;
    } ROWS[] = {
        {"--policy p --listen unix:/a", SERVE_PINS},
        {"--policy p --listen unix:/a --source pins --require-capture", SERVE_PINS},
        {"--policy p --listen unix:/a --attach eth0 --port 80", SERVE_ATTACH},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --require-capture", SERVE_ATTACH},
        {"--policy p --listen unix:/a --source none", SERVE_NONE},
        {"--policy p --listen unix:/a --source pcap:x", SERVE_PCAP},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_int_equal(read_line(&run, ROWS[i].line), 0);
        assert_int_equal(run.settings.source, ROWS[i].source);
        assert_string_equal(run.options.pin_dir, "/run/synauthz/bpf");
        done(&run);
    }
}

static void wrong_values_are_refused_with_their_option(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"--source pip", "--source pip: expected pins, pcap:FILE or none"},
        {"--source pcap:", "--source pcap:: expected a file behind the colon"},
        {"--source pcap:-", "--source pcap:-: `-` is standard input: expected a file"},
        {"--listen /run/x",
         "--listen /run/x: expected unix:/path, unix:@name, IP:PORT or [IP6]:PORT"},
        {"--admin unix:/x,mode=8", "--admin unix:/x,mode=8: expected an octal mode like mode=0660"},
        {"--pin-dir bpf", "--pin-dir bpf: expected an absolute path"},
        {"--on-fault allow", "--on-fault allow: expected error|policy"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct run run;

        assert_int_equal(read_line(&run, ROWS[i].line), -EINVAL);
        assert_string_equal(run.diag.text, ROWS[i].message);
        done(&run);
    }
}

/* --- with a configuration file ---------------------------------------------------------------- */

struct config_run {
    char path[64];
    struct serve_options command_line;
    struct options_given given;
    struct serve_orders orders;
    struct diag diag;
};

static void write_config(const struct config_run *run, const char *text)
{
    FILE *file = fopen(run->path, "w");

    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void begin(struct config_run *run)
{
    int fd;

    *run = (struct config_run){.path = "/tmp/synauthz-serve-config-XXXXXX"};
    assert_int_equal(options_set_defaults(&SERVE_OPTIONS, &run->command_line), 0);
    fd = mkstemp(run->path);
    assert_true(fd >= 0);
    (void)close(fd);
    run->command_line.config = run->path;
}

static void end(struct config_run *run)
{
    serve_orders_done(&run->orders);
    options_done(&SERVE_OPTIONS, &run->command_line);
    (void)unlink(run->path);
}

static enum exit_status read_config(struct config_run *run, const char *text)
{
    write_config(run, text);
    diag_clear(&run->diag);
    return serve_orders_read(&run->command_line, &run->given, &run->orders, &run->diag);
}

static void a_file_says_what_the_command_line_does_not(void **state)
{
    struct config_run run;

    (void)state;
    begin(&run);
    assert_int_equal(read_config(&run, "version: 1\n"
                                       "pin-dir: /run/elsewhere\n"
                                       "serve:\n"
                                       "  policy: /p\n"
                                       "  listen: [\"unix:/a\", \"127.0.0.1:80\"]\n"
                                       "  admin: 127.0.0.1:9102\n"
                                       "  on-fault: policy\n"
                                       "  require-capture: true\n"),
                     STATUS_OK);
    assert_string_equal(run.orders.options.policy, "/p");
    assert_int_equal(run.orders.options.listen.count, 2);
    assert_string_equal(run.orders.options.pin_dir, "/run/elsewhere");
    assert_string_equal(run.orders.options.admin, "127.0.0.1:9102");
    assert_int_equal(run.orders.options.on_fault, 1);
    assert_true(run.orders.options.require_capture);
    assert_int_equal(run.orders.settings.source, SERVE_PINS);
    end(&run);
}

static void a_wrong_file_is_an_invalid_configuration(void **state)
{
    static const struct {
        const char *text, *message;
    } ROWS[] = {
        {"version: 1\nserve:\n  polcy: x\n", "policy"},
        {"version: 1\nserve:\n  listen: nonsense\n", "unix:/path"},
        {"version: 1\nserve:\n  config: other\n", "config"},
        {"version: 1\n", "--policy FILE is missing"},
    };
    struct config_run run;

    (void)state;
    begin(&run);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        assert_int_equal(read_config(&run, ROWS[i].text), STATUS_INVALID);
        assert_non_null(strstr(run.diag.text, ROWS[i].message));
        serve_orders_done(&run.orders);
    }
    end(&run);
}

static void what_takes_a_restart_is_named(void **state)
{
#define BEGIN "version: 1\nserve:\n"
    static const struct {
        const char *text, *names;
    } ROWS[] = {
        {BEGIN "  policy: /p\n  listen: unix:/a\n", ""},
        {BEGIN "  policy: /other\n  log: /l\n  listen: unix:/a\n", ""},
        {BEGIN "  policy: /p\n  listen: [unix:/a, \"127.0.0.1:1,tls\"]\n  tls-cert: /c\n"
               "  tls-key: /k\n  tls-client-ca: /a\n  tls-client-san: [a.test, b.test]\n",
         "--listen"}, /* certificates follow by themselves */
        {BEGIN "  policy: /p\n  listen: [unix:/a, unix:/b]\n  threads: 2\n", "--listen, --threads"},
        {BEGIN "  policy: /p\n  listen: unix:/a\n  on-fault: policy\n  require-capture: true\n",
         "--require-capture, --on-fault"},
    };
#undef BEGIN
    struct config_run run, later;
    char names[128];

    (void)state;
    begin(&run);
    assert_int_equal(read_config(&run, ROWS[0].text), STATUS_OK);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        begin(&later);
        assert_int_equal(read_config(&later, ROWS[i].text), STATUS_OK);
        assert_string_equal(serve_orders_frozen(&run.orders, &later.orders, names, sizeof(names)),
                            ROWS[i].names);
        end(&later);
    }
    end(&run);
}

static void wrong_command_lines_say_what_to_give(void **state)
{
    static const struct {
        const char *line, *message;
    } ROWS[] = {
        {"--listen unix:/a --source none", "--policy FILE is missing"},
        {"--policy p --source none", "--listen ADDR is missing"},
        {"--policy p --listen unix:/a --source none --decision-log-sample-deny 2",
         "the options --decision-log-... need --decision-log, which says where to"},
        {"--policy p --listen unix:/a --source none --decision-log - --decision-log-only deny "
         "--decision-log-sample-allow 10",
         "--decision-log-sample-allow is for Checks that --decision-log-only deny leaves out"},
        {"--policy p --listen unix:/a --attach eth0",
         "--attach needs --port N[,N...] or --port any"},
        {"--policy p --listen unix:/a --attach eth0 --port 80 --source none",
         "--attach is a source itself: --source cannot be given too"},
        {"--policy p --listen unix:/a --source none --port 80",
         "--port, --prefix, --max-pending and --max-live belong to --attach; with an agent they "
         "are the agent's"},
        {"--policy p --listen unix:/a --max-live 1024",
         "--port, --prefix, --max-pending and --max-live belong to --attach; with an agent they "
         "are the agent's"},
        {"--policy p --listen unix:/a --source none --require-capture",
         "--require-capture: with --source none there is none"},
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
        cmocka_unit_test(without_a_word_the_source_is_an_agents_pins),
        cmocka_unit_test(wrong_values_are_refused_with_their_option),
        cmocka_unit_test(a_file_says_what_the_command_line_does_not),
        cmocka_unit_test(a_wrong_file_is_an_invalid_configuration),
        cmocka_unit_test(what_takes_a_restart_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
