/* SPDX-License-Identifier: Apache-2.0 */
#include "config_file.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "agent_settings.h"
#include "cleanup.h"
#include "file.h"
#include "serve_settings.h"

/* --- wrong files ------------------------------------------------------------------------------ */

#define V "version: 1\n"

static const struct {
    const char *text, *message;
} WRONG[] = {
    /* the file */
    {"", "1:1: found nothing, expected a mapping"},
    {"# nothing\n", "1:1: found nothing, expected a mapping"},
    {"text\n", "1:1: found \"text\", expected a mapping: version, agent, serve, options"},
    {"- version: 1\n", "1:1: found a sequence, expected a mapping: version, agent, serve, options"},
    {"agent:\n  port: 80\n", "1:1: a configuration file needs the line \"version: 1\""},
    {"agent: {prot: 80}\n", "1:1: a configuration file needs the line \"version: 1\""},
    {"version: 2\n", "1:10: found \"2\", expected 1"},
    {"version: 1.0\nagent: {}\n", "1:10: found \"1.0\", expected 1"},
    {"version:\n", "1:9: found nothing, expected 1"},
    {"agent:\n  port: 80\nversion: [1]\n", "3:10: found a sequence, expected 1"},

    /* keys */
    {V "agnet: {}\n", "2:1: unknown key in a configuration file: \"agnet\"; did you mean "
                      "\"agent\"?"},
    {V "pin_dir: /run/x\n", "2:1: unknown key in a configuration file: \"pin_dir\"; did you mean "
                            "\"pin-dir\"?"},
    {V "Agent: {}\n", "2:1: unknown key in a configuration file: \"Agent\"; did you mean "
                      "\"agent\"?"},
    {V "something-else: 1\n",
     "2:1: unknown key in a configuration file: \"something-else\"; expected version, agent, "
     "serve, or an option that they have"},
    {V "config: /etc/other.yaml\n", "2:1: \"config\" is for the command line only"},
    {V "agent:\n  config: /etc/other.yaml\n", "3:3: \"config\" is for the command line only"},
    {V "agent:\n  max_pending: 4096\n",
     "3:3: unknown key in agent: \"max_pending\"; did you mean \"max-pending\"?"},
    {V "agent:\n  interfaces: [eth0]\n",
     "3:3: unknown key in agent: \"interfaces\"; did you mean \"interface\"?"},
    {V "agent:\n  policy: /etc/policy.yaml\n",
     "3:3: unknown key in agent: \"policy\"; it is an option of serve"},
    {V "serve:\n  cgroup: /sys/fs/cgroup\n",
     "3:3: unknown key in serve: \"cgroup\"; it is an option of agent"},
    {V "agent:\n  frobnicate: 1\n",
     "3:3: unknown key in agent: \"frobnicate\"; `synauthz agent --help` lists all"},
    {V "serve: {polciy: p}\n", "2:9: unknown key in serve: \"polciy\"; did you mean \"policy\"?"},
    {V "version: 1\n", "2:1: found key \"version\" a second time, the first is in line 1"},
    {V "agent: {}\nserve: {}\nagent: {}\n",
     "4:1: found key \"agent\" a second time, the first is in line 2"},
    {V "agent:\n  port: 80\n  syn-rate: 5\n  port: 443\n",
     "5:3: found key \"port\" a second time, the first is in line 3"},
    {V "agent:\n  --port: 80\n", "3:3: unknown key in agent: \"--port\"; did you mean \"port\"?"},

    /* kinds */
    {V "agent:\n", "2:7: found nothing, expected a mapping: options and their values"},
    {V "agent: eth0\n", "2:8: found \"eth0\", expected a mapping: options and their values"},
    {V "agent: [eth0]\n", "2:8: found a sequence, expected a mapping: options and their values"},
    {V "agent:\n  pin-dir: [/run/x]\n", "3:12: found a sequence, expected DIR"},
    {V "agent:\n  pin-dir: {path: /run/x}\n", "3:12: found a mapping, expected DIR"},
    {V "agent:\n  pin-dir:\n", "3:11: found nothing, expected DIR"},
    {V "agent:\n  pin-dir: \"\"\n", "3:12: found \"\", expected DIR"},
    {V "agent:\n  interface: {name: eth0}\n", "3:14: found a mapping, expected IFACE"},
    {V "agent:\n  interface: [eth0, [eth1]]\n", "3:21: found a sequence, expected IFACE"},
    {V "agent:\n  interface:\n    - eth0\n    -\n", "5:6: found nothing, expected IFACE"},
    {V "agent:\n  interface: [eth0, \"\"]\n", "3:21: found \"\", expected IFACE"},
    {V "agent:\n  max-live: [5]\n", "3:13: found a sequence, expected N"},
    {V "agent:\n  capture: [xdp]\n",
     "3:12: found a sequence, expected auto|xdp|xdp-generic|tcx|cgroup"},

    /* values: those of the command line, with a place */
    {V "agent:\n  port: 70000\n", "3:9: port 70000: expected a port from 1 to 65535, or any"},
    {V "agent:\n  port: 80,443,0\n", "3:16: port 0: expected a port from 1 to 65535, or any"},
    {V "agent:\n  port: \"80,443,http\"\n",
     "3:17: port http: expected a port from 1 to 65535, or any"},
    {V "agent:\n  port: '80,'\n", "3:13: port : expected a port from 1 to 65535, or any"},
    {V "agent:\n  port: [80, 443, 70000]\n",
     "3:19: port 70000: expected a port from 1 to 65535, or any"},
    {V "agent:\n  port:\n    - 80\n    - 443,all\n",
     "5:11: port all: expected a port from 1 to 65535, or any"},
    {V "agent:\n  prefix: 10.0.0.1/8\n",
     "3:11: prefix 10.0.0.1/8: bits are set behind the prefix length"},
    {V "agent:\n  prefix: [192.0.2.0/24, ten]\n", "3:26: prefix ten: expected ADDRESS/LENGTH"},
    {V "agent:\n  capture: ebpf\n", "3:12: capture ebpf: expected auto|xdp|xdp-generic|tcx|cgroup"},
    {V "agent:\n  tracking: false\n", "3:13: tracking false: expected auto|off"},
    {V "agent:\n  max-pending: 1k\n",
     "3:16: max-pending 1k: expected a number from 1024 to 16777216"},
    {V "agent:\n  max-pending: 0\n",
     "3:16: max-pending 0: expected a number from 1024 to 16777216"},
    {V "agent:\n  max-live: -5\n", "3:13: max-live -5: expected a number from 16 to 16777216"},
    {V "agent:\n  syn-rate: 1_000\n", "3:13: syn-rate 1_000: expected a number from 0 to 65535"},
    {V "agent:\n  vxlan-port: 65536\n",
     "3:15: vxlan-port 65536: expected a number from 0 to 65535"},
    {V "agent:\n  pin-dir: run/x\n", "3:12: pin-dir run/x: expected an absolute path"},
    {V "agent:\n  cgroup: kubepods\n", "3:11: cgroup kubepods: expected an absolute path"},
    {V "agent:\n  group: no-such-group\n", "3:10: group no-such-group: there is no such group"},
    {V "agent:\n  interface: eth0/1\n",
     "3:14: interface eth0/1: expected the name of an interface, or a pattern like \"eth*\""},
    {V "agent:\n  interface: eth0 eth1\n",
     "3:14: interface eth0 eth1: expected the name of an interface, or a pattern like \"eth*\""},

    /* the sections of other verbs, and what is for all */
    {V "serve:\n  user: root\n", "3:9: user root: the server does not run as root"},
    {V "serve:\n  threads: many\n", "3:12: threads many: expected a number from 1 to 64"},
    {V "serve:\n  redirect-port: [any]\n",
     "3:19: redirect-port any: expected a port from 1 to 65535"},
    {V "port: [80, 0]\n", "2:12: port 0: expected a port from 1 to 65535, or any"},
    {V "user: no-such-user\n", "2:7: user no-such-user: there is no such user"},

    /* YAML */
    {V "agent: {port: 80\n", "3:1: not valid YAML: did not find expected ',' or '}' while parsing "
                             "a flow mapping that begins in line 2"},
    {V "agent:\n\tport: 80\n", "3:1: found a tab, expected spaces: YAML is indented with spaces "
                               "only"},
    {V "agent:\n  interface: *eth\n",
     "3:14: found *eth, but an unquoted '*' begins a YAML alias: put the whole text in quotes "
     "(\"...\")"},
    {V "agent:\n  port: !!int 80\n",
     "3:9: found a tag ('!'), expected a value without one: put text in quotes (\"...\")"},
};

/* No list of the agent's has a default: there is nothing to free. */
static struct agent_options agent_defaults(void)
{
    struct agent_options options = {0};

    assert_int_equal(options_set_defaults(&AGENT_OPTIONS, &options), 0);
    return options;
}

static int parse(const char *text, const struct options_given *given, struct agent_options *target,
                 struct config_file **ret_file, struct diag *diag)
{
    return config_file_parse(str_from(text), "x.yaml", "agent", given, target, ret_file, diag);
}

static void each_wrong_file_gets_its_one_message(void **state)
{
    const struct options_given none = {0};
    unsigned wrong = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        struct agent_options target = agent_defaults();
        struct config_file *file = NULL;
        struct diag diag = {0};
        char message[1024], wanted[1024];

        (void)snprintf(wanted, sizeof(wanted), "x.yaml:%s", WRONG[i].message);
        if (parse(WRONG[i].text, &none, &target, &file, &diag) >= 0)
            fail_msg("accepted: %s", WRONG[i].text);
        diag_format(&diag, message, sizeof(message));
        assert_null(file);
        if (strcmp(message, wanted) != 0) {
            print_error("got    %s\nwanted %s\n", message, wanted);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* --- good ones -------------------------------------------------------------------------------- */

static const char GOOD[] = "version: 1\n"
                           "pin-dir: /run/everybody\n"
                           "max-live: 500\n"
                           "agent:\n"
                           "  interface: [eth0, \"eth1*\"]\n"
                           "  port: 80,443\n"
                           "  prefix:\n"
                           "    - 192.0.2.0/24,2001:db8::/32\n"
                           "    - 198.51.100.0/24\n"
                           "  capture: tcx\n"
                           "  max-live: 600\n"
                           "  syn-rate: 0\n"
                           "serve:\n"
                           "  policy: /etc/synauthz/policy.yaml\n"
                           "  threads: 4\n";

static void what_a_file_says_arrives(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    const struct options_given none = {0};
    struct agent_options target = agent_defaults();
    struct diag diag = {0};

    (void)state;
    assert_int_equal(parse(GOOD, &none, &target, &file, &diag), 0);
    assert_int_equal(target.interfaces.count, 2);
    assert_string_equal(target.interfaces.items[1], "eth1*");
    assert_int_equal(target.ports.count, 1);
    assert_string_equal(target.ports.items[0], "80,443");
    assert_int_equal(target.prefixes.count, 2);
    assert_int_equal(target.capture, NODE_TCX);
    assert_int_equal(target.syn_rate, 0);
    assert_int_equal(target.captured_seconds, agent_defaults().captured_seconds);
    assert_string_equal(diag.file, ""); /* later messages are not about the file */
}

static void the_own_section_is_nearer_than_the_top_level(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL, *other = NULL;
    const struct options_given none = {0};
    struct agent_options agent = agent_defaults();
    struct serve_options serve = {0};
    struct diag diag = {0};

    (void)state;
    assert_int_equal(parse(GOOD, &none, &agent, &file, &diag), 0);
    assert_string_equal(agent.pin_dir, "/run/everybody");
    assert_int_equal(agent.max_live, 600);
    assert_int_equal(
        config_file_parse(str_from(GOOD), "x.yaml", "serve", &none, &serve, &other, &diag), 0);
    assert_int_equal(serve.max_live, 500);
    assert_int_equal(serve.threads, 4);
    assert_string_equal(serve.policy, "/etc/synauthz/policy.yaml");
}

static void the_command_line_wins_lists_as_a_whole(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    char *argv[] = {(char[]){"--port"},    (char[]){"8080"}, (char[]){"--pin-dir=/run/mine"},
                    (char[]){"--capture"}, (char[]){"auto"}, (char[]){"--syn-rate"},
                    (char[]){"77"}};
    struct agent_options given_options = {0}, target;
    struct text_list operands = {0};
    struct options_given given;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(options_parse(&AGENT_OPTIONS, sizeof(argv) / sizeof(argv[0]), argv,
                                   &given_options, &operands, &given, &diag),
                     0);
    target = given_options;
    assert_int_equal(parse(GOOD, &given, &target, &file, &diag), 0);
    assert_int_equal(target.ports.count, 1);
    assert_string_equal(target.ports.items[0], "8080");
    assert_string_equal(target.pin_dir, "/run/mine");
    assert_int_equal(target.capture, NODE_AUTO);
    assert_int_equal(target.syn_rate, 77);
    assert_int_equal(target.interfaces.count, 2); /* of the file */
    assert_int_equal(target.max_live, 600);
    options_done(&AGENT_OPTIONS, &given_options);
}

static void an_empty_list_is_a_list(void **state)
{
    CLEANUP(config_file_freep) struct config_file *file = NULL;
    const struct options_given none = {0};
    struct agent_options target = agent_defaults();
    struct diag diag = {0};

    (void)state;
    assert_int_equal(parse(V "agent: {port: [], interface: eth0}\n", &none, &target, &file, &diag),
                     0);
    assert_int_equal(target.ports.count, 0);
    assert_int_equal(target.interfaces.count, 1);
}

/* Every beginning of a good file is refused with a place, or is a good file. */
static void a_file_cut_anywhere_is_refused_with_a_place(void **state)
{
    const struct options_given none = {0};

    (void)state;
    for (size_t length = 0; length < sizeof(GOOD); length++) {
        CLEANUP(config_file_freep) struct config_file *file = NULL;
        struct agent_options target = agent_defaults();
        struct diag diag = {0};

        if (config_file_parse((struct str){GOOD, length}, "cut", "agent", &none, &target, &file,
                              &diag) < 0)
            assert_true(diag.text[0] && diag.place.line > 0 && diag.place.column > 0);
    }
}

static void assert_loads(const char *name, struct str text)
{
    static const char *const SECTIONS[] = {"agent", "serve"};
    const struct options_given none = {0};

    for (size_t i = 0; i < 2; i++) {
        CLEANUP(config_file_freep) struct config_file *file = NULL;
        union {
            struct agent_options agent;
            struct serve_options serve;
        } target = {0};
        struct diag diag = {0};

        if (config_file_parse(text, name, SECTIONS[i], &none, &target, &file, &diag) < 0)
            fail_msg("%s:%u:%u: %s", name, diag.place.line, diag.place.column, diag.text);
    }
}

static void each_file_that_is_shipped_loads(void **state)
{
    static const char *const PATHS[] = {TEST_DATA "/../../deploy/kubernetes/base/synauthz.yaml",
                                        TEST_DATA
                                        "/../../deploy/kubernetes/node-device/synauthz.yaml"};

    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        CLEANUP(freep) char *bytes = NULL;
        struct diag diag = {0};
        size_t size = 0;

        assert_int_equal(file_read(PATHS[i], 1 << 20, &bytes, &size, &diag), 0);
        assert_loads(PATHS[i], (struct str){bytes, size});
    }
}

/* Returns how many examples the guide has. */
static int load_examples(const char *name)
{
    static const char OPEN[] = "```yaml\n", CLOSE[] = "```";
    CLEANUP(freep) char *bytes = NULL, *guide = NULL;
    char path[512];
    struct diag diag = {0};
    size_t size = 0;
    int examples = 0;

    (void)snprintf(path, sizeof(path), TEST_DATA "/../../docs/%s", name);
    assert_int_equal(file_read(path, 1 << 20, &bytes, &size, &diag), 0);
    guide = str_dup((struct str){bytes, size});
    assert_non_null(guide);
    for (char *at = guide; (at = strstr(at, OPEN)); examples++) {
        char *end = strstr(at += strlen(OPEN), CLOSE);

        assert_non_null(end);
        assert_loads(name, (struct str){at, (size_t)(end - at)});
        at = end;
    }
    return examples;
}

static void each_example_of_the_guides_loads(void **state)
{
    (void)state;
    assert_true(load_examples("node.md") >= 1);
    assert_true(load_examples("settings.md") >= 1);
}

static void files_that_cannot_be_read_say_why(void **state)
{
    static const struct {
        const char *path;
        int error;
        const char *message;
    } ROWS[] = {
        {TEST_DATA "/no.yaml", -ENOENT, "cannot read the file: No such file or directory"},
        {TEST_DATA, -EISDIR, "is a directory, not a file"},
        {"/dev/null", -ENXIO, "is a device, not a file"},
    };
    const struct options_given none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct agent_options target = agent_defaults();
        struct config_file *file = NULL;
        struct diag diag = {0};

        assert_int_equal(config_file_read(ROWS[i].path, "agent", &none, &target, &file, &diag),
                         ROWS[i].error);
        assert_string_equal(diag.text, ROWS[i].message);
        assert_string_equal(diag.file, ROWS[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_file_gets_its_one_message),
        cmocka_unit_test(what_a_file_says_arrives),
        cmocka_unit_test(the_own_section_is_nearer_than_the_top_level),
        cmocka_unit_test(the_command_line_wins_lists_as_a_whole),
        cmocka_unit_test(an_empty_list_is_a_list),
        cmocka_unit_test(a_file_cut_anywhere_is_refused_with_a_place),
        cmocka_unit_test(each_file_that_is_shipped_loads),
        cmocka_unit_test(each_example_of_the_guides_loads),
        cmocka_unit_test(files_that_cannot_be_read_say_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
