/* SPDX-License-Identifier: Apache-2.0 */
#include "stand.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include "pin_source.h"

enum { WAIT_MS = 3000, STEP_MS = 5 };

void stand_make(struct stand *ret_stand)
{
    *ret_stand = (struct stand){.top = "/tmp/synauthz-stand-XXXXXX"};
    assert_int_equal(unshare(CLONE_NEWNS), 0);
    assert_int_equal(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
    assert_int_equal(mount("none", "/tmp", "tmpfs", 0, "mode=1777"), 0); /* goes with the test */
    assert_non_null(mkdtemp(ret_stand->top));
    (void)snprintf(ret_stand->folder, sizeof(ret_stand->folder), "%s/bpf", ret_stand->top);
    stage_make(&ret_stand->stage);
}

/* Not by node_cleanup(), which gives readers notice first. */
void stand_done(struct stand *stand)
{
    syn_source_freep(&stand->source);
    if (stand->node)
        stand_leave(stand);
    while (umount2(stand->folder, MNT_DETACH) == 0)
        ;
    (void)rmdir(stand->folder);
    assert_int_equal(rmdir(stand->top), 0);
    assert_int_equal(umount("/tmp"), 0);
    stage_done(&stand->stage);
}

struct node_config stand_config(const struct stand *stand)
{
    static const char *const NEAR[] = {"near"};
    static uint16_t ports[1];

    ports[0] = own_port();
    return (struct node_config){
        .pin_dir = stand->folder,
        .group = STAND_GROUP,
        .interfaces = NEAR,
        .interface_count = 1,
        .ports = ports,
        .port_count = 1,
        .captured_ms = 60000,
        .mode = NODE_XDP,
    };
}

struct node_config stand_begin(struct stand *ret_stand)
{
    stand_make(ret_stand);
    return stand_config(ret_stand);
}

int stand_listen(const struct stand *stand)
{
    return listen_in(&stand->stage.server, "10.77.0.2", own_port());
}

int stand_try_start(struct stand *stand, const struct node_config *config, struct diag *diag)
{
    int r;

    netns_enter(&stand->stage.server);
    r = node_start(config, &stand->node, diag);
    netns_leave();
    return r;
}

static void wait_until_fresh(const struct stand *stand)
{
    struct pin_source_status status;

    for (int waited = 0; waited < WAIT_MS; waited += STEP_MS) {
        pin_source_get_status(stand->source, &status);
        if (status.state == PIN_SOURCE_FRESH)
            return;
        sleep_ms(STEP_MS);
    }
    fail_msg("the source is not fresh: %s", status.why);
}

void stand_start_source(struct stand *stand)
{
    const struct pin_source_config config = {.pin_dir = stand->folder};
    struct diag diag = {.text = ""};

    if (!stand->source && pin_source_open(&config, &stand->source, &diag) < 0)
        fail_msg("%s", diag.text);
    wait_until_fresh(stand);
}

void stand_start_quietly(struct stand *stand, const struct node_config *config)
{
    struct diag diag = {.text = ""};

    if (stand_try_start(stand, config, &diag) < 0)
        fail_msg("%s", diag.text);
}

void stand_start(struct stand *stand, const struct node_config *config)
{
    stand_start_quietly(stand, config);
    stand_start_source(stand);
}

void stand_beat(struct stand *stand)
{
    netns_enter(&stand->stage.server);
    node_beat(stand->node);
    netns_leave();
}

void stand_reconcile(struct stand *stand)
{
    netns_enter(&stand->stage.server);
    node_drain_events(stand->node);
    node_reconcile(stand->node);
    netns_leave();
}

void stand_leave(struct stand *stand)
{
    netns_enter(&stand->stage.server);
    node_leave(stand->node);
    netns_leave();
    stand->node = NULL;
}

struct node_status stand_status(struct stand *stand)
{
    struct node_status status;

    node_get_status(stand->node, &status);
    return status;
}

struct node_hook stand_hook(struct stand *stand, const char *target)
{
    struct node_status status = stand_status(stand);

    for (size_t i = 0; i < status.hook_count; i++)
        if (strcmp(status.hooks[i].target, target) == 0)
            return status.hooks[i];
    fail_msg("%s is not among the hooks", target);
    return (struct node_hook){.kind = NODE_HOOK_COUNT_};
}

int stand_cleanup(const struct stand *stand, unsigned *ret_removed, struct diag *diag)
{
    int r;

    netns_enter(&stand->stage.server);
    r = node_cleanup(stand->folder, ret_removed, diag);
    netns_leave();
    return r;
}

const char *stand_path(const struct stand *stand, const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof(path), "%s/%s", stand->folder, name);
    return path;
}

struct syn_answer stand_ask(const struct stand *stand, const struct flow *flow)
{
    struct syn_answer answer = {.state = SYN_STATE_UNAVAILABLE};

    stand->source->lookup(stand->source, flow, &answer);
    return answer;
}

struct pair stand_connect(const struct stand *stand, int listener)
{
    struct pair pair;

    pair.client = connect_from(&stand->stage.client, "10.77.0.2", own_port(), 0);
    pair.server = accept_flow(listener, &pair.flow);
    return pair;
}

void pair_done(struct pair *pair)
{
    reset(&pair->server);
    (void)close(pair->client);
}

void stand_wait_for(const struct stand *stand, const struct flow *flow, enum syn_state state)
{
    struct syn_answer answer = stand_ask(stand, flow);

    for (int waited = 0; waited < WAIT_MS && answer.state != state; waited += STEP_MS) {
        sleep_ms(STEP_MS);
        answer = stand_ask(stand, flow);
    }
    assert_string_equal(syn_state_name(answer.state), syn_state_name(state));
}
