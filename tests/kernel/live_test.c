/* SPDX-License-Identifier: Apache-2.0 */
/* Real connections: what the maps say about each, from accept() to close. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn.h"

enum { PORT = 8080 };

static void connection_is_verified_from_accept_to_close(void **state)
{
    struct stage stage;
    struct watch watch;
    struct flow flow;
    struct syn_answer answer;
    int listener, client, server;

    (void)state;
    stage_make(&stage);
    watch_start(&watch, &stage.server, "near", PORT);
    listener = listen_in(&stage.server, "10.77.0.2", PORT);
    client = connect_from(&stage.client, "10.77.0.2", PORT, 0);
    server = accept_flow(listener, &flow);

    answer = watch_ask(&watch, &flow);
    assert_answer(answer, SYN_STATE_VERIFIED, SYN_REASON_NONE);
    assert_int_equal(answer.syn.ip_version, 4);
    assert_int_equal(answer.syn.ttl, 64);
    assert_int_equal(answer.syn.mss, 1460);

    reset(&server);
    assert_becomes(&watch, &flow, SYN_STATE_MISSING, SYN_REASON_NOT_SEEN);
    close(client);
    close(listener);
    watch_done(&watch);
    stage_done(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_is_verified_from_accept_to_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
