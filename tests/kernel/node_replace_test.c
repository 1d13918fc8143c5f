/* SPDX-License-Identifier: Apache-2.0 */
/* Agents that are killed, restarted, and started with other sizes, while connections come all the
 * time: none of them is ever without its SYN. */
#include <bpf/bpf.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "node_private.h"
#include "packet.h"
#include "stand.h"

enum { REPLACEMENTS = 200, RESTARTS = 10, CONNECTIONS = 300 };

static void assert_none_lost(struct stream *stream)
{
    struct stream_result result = stream_stop(stream);

    print_message("        %u connections\n", result.connections);
    if (result.lost)
        fail_msg("%u of %u lost, first: %s", result.lost, result.connections, result.first_lost);
}

/* Lets so many connections come; a stream that has lost too many does not go on. */
static void wait_for_more(struct stream *stream, unsigned connections)
{
    unsigned end = stream_count(stream) + connections;

    for (int waited = 0; stream_count(stream) < end; waited++) {
        if (waited == 10000)
            assert_none_lost(stream);
        assert_in_range(waited, 0, 10000);
        sleep_ms(1);
    }
}

/* What node_start() does to the programs of an agent before it, without the rest.  Two programs of
 * each hook take turns, since loading them takes longer than replacing them. */
static void replace_programs(struct stand *stand, int *spare, bool trackers)
{
    struct node *node = stand->node;
    int program = node->programs[OBJECT_XDP];
    struct diag diag = {.text = ""};

    netns_enter(&stand->stage.server);
    node->programs[OBJECT_XDP] = *spare;
    *spare = program;
    if (trackers && node_attach_trackers(node, &diag) < 0)
        fail_msg("%s", diag.text);
    node_renew_hooks(node, node->set);
    assert_int_equal(node_pin_all(node), 0);
    netns_leave();
}

static void programs_are_replaced_200_times(void **state)
{
    struct stand stand;
    struct node_config config;
    struct stream *stream;
    struct node_status status;
    struct diag diag = {.text = ""};
    int spare;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    spare = objects_load_hook(OBJECT_XDP, node_get_maps(stand.node), &diag);
    assert_true(spare >= 0);
    stream = stream_start(&stand);
    for (int i = 0; i < REPLACEMENTS; i++) {
        replace_programs(&stand, &spare, i % 10 == 0);
        wait_for_more(stream, 5);
    }
    status = stand_status(&stand);
    assert_int_equal(status.attach_failures + status.repairs, 0);
    assert_none_lost(stream);
    close(spare);
    stand_done(&stand);
}

static void agents_follow_each_other(void **state)
{
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stream = stream_start(&stand);
    for (int i = 0; i < RESTARTS; i++) {
        stand_leave(&stand);
        stand_start(&stand, &config);
        assert_true(stand_status(&stand).took_over);
    }
    assert_none_lost(stream);
    stand_done(&stand);
}

static void be_an_agent(struct stand *stand, const struct node_config *config, int ready)
{
    struct diag diag = {.text = ""};

    if (stand_try_start(stand, config, &diag) < 0)
        _exit(1);
    (void)!write(ready, "r", 1);
    for (;;) {
        sleep_ms(100);
        node_beat(stand->node);
    }
}

/* In a child: its end is the agent's.  `wait`: until it has started. */
static pid_t fork_agent(struct stand *stand, const struct node_config *config, bool wait)
{
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        be_an_agent(stand, config, ready[1]);
    close(ready[1]);
    if (wait)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void kill_agent(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void an_agent_that_is_killed_is_not_missed(void **state)
{
    struct stand stand;
    struct node_config config;
    struct stream *stream;
    pid_t pid;

    (void)state;
    config = stand_begin(&stand);
    pid = fork_agent(&stand, &config, true);
    stand_start_source(&stand);
    stream = stream_start(&stand);
    kill_agent(pid);
    wait_for_more(stream, CONNECTIONS);
    pid = fork_agent(&stand, &config, true);
    wait_for_more(stream, CONNECTIONS);
    kill_agent(pid);
    stand_start(&stand, &config);
    assert_true(stand_status(&stand).took_over);
    wait_for_more(stream, CONNECTIONS);
    assert_none_lost(stream);
    stand_done(&stand);
}

/* Wherever it was on its way from one set of maps to another: the next one cleans up or goes on. */
static void an_agent_that_is_killed_half_way_loses_nothing(void **state)
{
    static const unsigned AFTER_MS[] = {30, 150, 250, 350, 450, 550, 700, 900, 1400, 2200};
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stream = stream_start(&stand);
    stand_leave(&stand);
    for (unsigned i = 0; i < sizeof(AFTER_MS) / sizeof(AFTER_MS[0]); i++) {
        pid_t pid;

        config.max_live = 4096 + i % 3;
        config.max_pending = i % 2 ? 4096 : 8192;
        pid = fork_agent(&stand, &config, false);
        sleep_ms(AFTER_MS[i]);
        kill_agent(pid);
        wait_for_more(stream, 20);
    }
    config = stand_config(&stand);
    stand_start(&stand, &config);
    assert_int_equal(access(stand_path(&stand, PINS_UNFINISHED), F_OK), -1);
    wait_for_more(stream, CONNECTIONS);
    assert_none_lost(stream);
    stand_done(&stand);
}

static void wait_until_there(const struct stand *stand, const char *set)
{
    for (int waited = 0; access(stand_path(stand, set), F_OK) < 0; waited++) {
        assert_in_range(waited, 0, 60000);
        sleep_ms(1);
    }
}

/* Between publishing a set and giving hooks its programs it waits for readers, if live connections
 * were carried over: there the first is killed, and there the second. */
static void two_that_are_killed_before_hooks_are_renewed_lose_nothing(void **state)
{
    static const char *const SETS[] = {"v2-1", "v2-2"};
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stream = stream_start(&stand);
    stand_leave(&stand);
    for (unsigned i = 0; i < sizeof(SETS) / sizeof(SETS[0]); i++) {
        pid_t pid;

        config.max_live = 5001 + i;
        config.max_pending = 5001 + i;
        pid = fork_agent(&stand, &config, false);
        wait_until_there(&stand, SETS[i]);
        kill_agent(pid);
        wait_for_more(stream, CONNECTIONS);
    }
    assert_int_equal(access(stand_path(&stand, "v2"), F_OK), -1); /* the first was finished first */
    assert_int_equal(access(stand_path(&stand, "v2-1"), F_OK), 0);
    stand_start(&stand, &config);
    assert_string_equal(stand_status(&stand).set, "v2-2");
    assert_int_equal(access(stand_path(&stand, "v2-1"), F_OK), -1);
    wait_for_more(stream, CONNECTIONS);
    assert_none_lost(stream);
    stand_done(&stand);
}

/* A handshake that began two sets of maps before it ends, with one SYN. */
static void a_handshake_over_two_changes_has_its_syn(void **state)
{
    static const struct {
        uint32_t pending, live;
    } ROWS[][2] = {
        {{4096, 0}, {8192, 0}},    /* its SYN is copied */
        {{4096, 0}, {4096, 5000}}, /* is where the set before looked besides */
        {{0, 5000}, {4096, 5000}}, /* is in what the set before had first */
    };
    const struct segment syn = {.source = "10.77.7.7",
                                .destination = "10.77.0.2",
                                .source_port = 40000,
                                .destination_port = own_port(),
                                .seq = 77,
                                .flags = FLAG_SYN,
                                .mss = 1400};

    (void)state;
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct stand stand;
        struct node_config config;
        struct flow flow;
        uint32_t syn_ack;
        int listener, raw, accepted;

        config = stand_begin(&stand);
        raw_announce(&stand.stage.server, syn.source);
        raw = raw_open(&stand.stage.client, "far");
        listener = stand_listen(&stand);
        stand_start(&stand, &config);
        raw_send(raw, &syn);
        syn_ack = raw_wait_syn_ack(raw, syn.source, syn.source_port);
        for (int change = 0; change < 2; change++) {
            stand_leave(&stand);
            config.max_pending = ROWS[i][change].pending;
            config.max_live = ROWS[i][change].live;
            stand_start(&stand, &config);
        }
        assert_string_equal(stand_status(&stand).set, "v2-2");
        raw_finish(raw, &syn, syn_ack);
        accepted = accept_flow(listener, &flow);
        stand_wait_for(&stand, &flow, SYN_STATE_VERIFIED);
        close(accepted);
        close(listener);
        close(raw);
        stand_done(&stand);
    }
}

/* Another agent, with another configuration. */
static void restart(struct stand *stand, const struct node_config *config)
{
    stand_leave(stand);
    stand_start(stand, config);
}

static struct stream *start_with_stream(struct stand *stand, const struct node_config *config)
{
    stand_start(stand, config);
    return stream_start(stand);
}

/* Handshakes that began before are found in the maps before. */
static void another_number_of_pending_syns(void **state)
{
    static const uint32_t SIZES[] = {4096, 8192, 2048};
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stream = start_with_stream(&stand, &config);
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        char set[16];

        config.max_pending = SIZES[i];
        restart(&stand, &config);
        (void)snprintf(set, sizeof(set), "v2-%zu", i + 1);
        assert_string_equal(stand_status(&stand).set, set);
        assert_int_equal(access(stand_path(&stand, "v2"), F_OK), -1);
        wait_for_more(stream, CONNECTIONS);
    }
    assert_none_lost(stream);
    stand_done(&stand);
}

static void another_number_of_live_connections(void **state)
{
    static const uint32_t SIZES[] = {4096, 70000, 1024};
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stream = start_with_stream(&stand, &config);
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        struct node_status status;

        config.max_live = SIZES[i];
        restart(&stand, &config);
        status = stand_status(&stand);
        assert_in_range(status.carried, STREAM_LASTING, SIZES[i]);
        assert_int_equal(status.not_carried, 0);
        wait_for_more(stream, CONNECTIONS);
    }
    assert_none_lost(stream);
    stand_done(&stand);
}

/* Entries whose connections end while they are copied do not stay. */
static void what_ends_meanwhile_is_not_carried(void **state)
{
    struct stand stand;
    struct node_config config;
    struct stream *stream;
    struct tuple_key key;

    (void)state;
    config = stand_begin(&stand);
    stream = start_with_stream(&stand, &config);
    for (int i = 0; i < 3; i++) {
        config.max_live = 4096 + (uint32_t)i;
        restart(&stand, &config);
    }
    assert_none_lost(stream);
    for (int waited = 0;
         bpf_map_get_next_key(node_get_maps(stand.node)->fd[MAP_LIVE], NULL, &key) == 0; waited++) {
        assert_in_range(waited, 0, 1000);
        sleep_ms(1);
    }
    stand_done(&stand);
}

/* A smaller map than there are connections: what has no room is counted. */
static void what_has_no_room_is_counted(void **state)
{
    enum { OPEN = 40, ROOM = 8 };
    struct stand stand;
    struct node_config config;
    struct pair pairs[OPEN];
    struct node_status status;
    int listener;

    (void)state;
    config = stand_begin(&stand);
    listener = stand_listen(&stand);
    stand_start(&stand, &config);
    for (int i = 0; i < OPEN; i++)
        pairs[i] = stand_connect(&stand, listener);
    config.max_live = ROOM;
    restart(&stand, &config);
    status = stand_status(&stand);
    assert_int_equal(status.carried + status.not_carried, OPEN);
    assert_in_range(status.not_carried, 1, OPEN - ROOM);
    for (int i = 0; i < OPEN; i++)
        pair_done(&pairs[i]);
    close(listener);
    stand_done(&stand);
}

/* The maps before are let go once their handshakes must have ended. */
static void the_pending_syns_before_are_forgotten_in_the_end(void **state)
{
    struct stand stand;
    struct node_config config;
    struct stream *stream;

    (void)state;
    config = stand_begin(&stand);
    stand_start(&stand, &config);
    stand_leave(&stand);
    config.max_pending = 4096;
    stream = start_with_stream(&stand, &config);
    assert_int_equal(access(stand_path(&stand, "v2-1/pending_before"), F_OK), 0);
    stand_beat(&stand);
    assert_int_equal(access(stand_path(&stand, "v2-1/pending_before"), F_OK), 0);
    stand.node->before_until_ns = 1; /* as if a minute had passed */
    stand_beat(&stand);
    assert_int_equal(access(stand_path(&stand, "v2-1/pending_before"), F_OK), -1);
    wait_for_more(stream, CONNECTIONS);
    assert_none_lost(stream);
    stand_done(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(programs_are_replaced_200_times),
        cmocka_unit_test(agents_follow_each_other),
        cmocka_unit_test(an_agent_that_is_killed_is_not_missed),

        cmocka_unit_test(an_agent_that_is_killed_half_way_loses_nothing),
        cmocka_unit_test(two_that_are_killed_before_hooks_are_renewed_lose_nothing),
        cmocka_unit_test(a_handshake_over_two_changes_has_its_syn),
        cmocka_unit_test(another_number_of_pending_syns),
        cmocka_unit_test(another_number_of_live_connections),
        cmocka_unit_test(what_ends_meanwhile_is_not_carried),
        cmocka_unit_test(what_has_no_room_is_counted),
        cmocka_unit_test(the_pending_syns_before_are_forgotten_in_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
