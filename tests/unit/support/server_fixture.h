/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: the server in this process, on a unix and a TCP socket, with a policy that denies
 * paths from /deny on. */
#ifndef SERVER_FIXTURE_H
#define SERVER_FIXTURE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check_wire.h"
#include "fake_source.h"
#include "grpc_client.h"
#include "policy_store.h"
#include "server.h"

static const char SERVER_POLICY[] = "version: 1\n"
                                    "rules:\n"
                                    "  - id: no-entry\n"
                                    "    when: {http.path: {prefix: /deny}}\n"
                                    "    then: deny\n"
                                    "    respond: {status: 429, body: \"%{rule}\\n\"}\n"
                                    "  - id: enrich\n"
                                    "    then: continue\n"
                                    "    request_headers: {set: {x-tcp-p0f: \"%{p0f}\"}}\n"
                                    "default: allow\n"
                                    "on_unknown: skip\n";

struct fixture {
    char folder[64], policy_path[96], socket_path[96], unix_target[112], tcp_target[48];
    struct policy_store *store;
    struct fake_source source;
    struct listener listeners[2];
    struct server *server;
};

static inline int write_policy(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    if (!file)
        return -1;
    (void)fputs(text, file);
    return fclose(file);
}

/* A port that nobody has just now. */
static inline unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)bind(fd, (struct sockaddr *)&address, length);
    (void)getsockname(fd, (struct sockaddr *)&address, &length);
    (void)close(fd);
    return ntohs(address.sin_port);
}

static inline int open_listener(struct listener *listener, const char *spec)
{
    struct diag diag = {0};

    if (listener_open(str_from(spec), listener, &diag) == 0)
        return 0;
    (void)fprintf(stderr, "%s\n", diag.text);
    return -1;
}

static inline int open_listeners(struct fixture *f)
{
    char spec[32];

    (void)snprintf(f->socket_path, sizeof(f->socket_path), "%s/authz.sock", f->folder);
    (void)snprintf(f->unix_target, sizeof(f->unix_target), "unix:%s", f->socket_path);
    if (open_listener(&f->listeners[0], f->unix_target) < 0)
        return -1;
    for (int tries = 0; tries < 10; tries++) {
        (void)snprintf(spec, sizeof(spec), "127.0.0.1:%u", free_port());
        (void)snprintf(f->tcp_target, sizeof(f->tcp_target), "ipv4:%s", spec);
        if (open_listener(&f->listeners[1], spec) == 0)
            return 0;
    }
    return -1;
}

static inline void start(struct fixture *f, unsigned threads, unsigned max_connections)
{
    const struct server_config config = {
        .listeners = f->listeners,
        .listener_count = 2,
        .threads = threads,
        .store = f->store,
        .source = &f->source.base,
        .limits.connections = max_connections,
    };
    struct diag diag = {0};

    assert_int_equal(server_start(&config, &f->server, &diag), 0);
}

static inline void stop(struct fixture *f, unsigned grace_ms)
{
    server_stop(f->server, grace_ms);
    f->server = NULL;
}

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct diag diag = {0};

    *state = f;
    grpc_init(); /* the client's */
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/synauthz-server-test-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->policy_path, sizeof(f->policy_path), "%s/policy.yaml", f->folder);
    f->source = fake_source_with_syn(SYN_STATE_VERIFIED);
    if (write_policy(f->policy_path, SERVER_POLICY) < 0 ||
        policy_store_open(f->policy_path, &f->store, &diag) < 0) {
        (void)fprintf(stderr, "%s\n", diag.text);
        return -1;
    }
    return open_listeners(f);
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    if (f->server)
        server_stop(f->server, 0);
    listener_done(&f->listeners[0]);
    listener_done(&f->listeners[1]);
    policy_store_freep(&f->store);
    (void)unlink(f->socket_path);
    (void)unlink(f->policy_path);
    (void)rmdir(f->folder);
    grpc_shutdown_blocking();
    free(f);
    return 0;
}

static char wire_buffer[1 << 16];

static inline struct str wire_for(const char *path)
{
    const struct check_wire check = {.source = "192.0.2.7",
                                     .source_port = 40000,
                                     .destination = "192.0.2.1",
                                     .destination_port = 443,
                                     .has_http = true,
                                     .method = "GET",
                                     .path = path};

    return check_wire_write(&check, wire_buffer, sizeof(wire_buffer));
}

static inline void run_once(const char *target, struct client_call *call)
{
    struct grpc_client client;

    grpc_client_open(&client, target);
    client_run(&client, call);
    grpc_client_close(&client);
}

static inline struct server_counts counts_of(const struct fixture *f)
{
    struct server_counts counts;

    server_get_counts(f->server, &counts);
    return counts;
}

static inline uint64_t checks_of(const struct fixture *f, enum check_outcome outcome)
{
    const struct server_counts counts = counts_of(f);

    return check_counts_of(&counts.checks, outcome);
}

static inline void assert_allow(const struct client_call *call)
{
    check_response *response;

    assert_int_equal(call->status, GRPC_STATUS_OK);
    response = check_response_read(client_reply(call));
    assert_non_null(response);
    assert_non_null(response->status);
    assert_int_equal(response->status->code, 0);
    assert_string_equal(check_header_value(response->ok_response->headers,
                                           response->ok_response->n_headers, "x-tcp-p0f"),
                        FAKE_SIGNATURE);
    check_response_freep(&response);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
