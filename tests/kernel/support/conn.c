/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "map_source.h"

enum { BACKLOG = 4096, WAIT_MS = 3000, WAIT_STEP_MS = 2 };
enum { FIRST_OWN_PORT = 20001, OWN_PORTS = 40000 };

uint16_t own_port(void)
{
    static uint16_t port;

    if (port == 0)
        port = (uint16_t)(FIRST_OWN_PORT + getpid() % OWN_PORTS);
    return port;
}

union address address_of(const char *text, uint16_t port)
{
    union address address;

    memset(&address, 0, sizeof(address));
    if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        return address;
    }
    assert_int_equal(inet_pton(AF_INET6, text, &address.v6.sin6_addr), 1);
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    return address;
}

socklen_t address_length(const union address *address)
{
    return address->any.sa_family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
}

static struct endpoint endpoint_of(const union address *address)
{
    uint8_t bytes[16];

    if (address->any.sa_family == AF_INET) {
        memcpy(bytes, &address->v4.sin_addr, 4);
        return (struct endpoint){addr_from_v4(bytes), ntohs(address->v4.sin_port)};
    }
    memcpy(bytes, &address->v6.sin6_addr, 16);
    return (struct endpoint){addr_from_v6(bytes), ntohs(address->v6.sin6_port)};
}

struct flow flow_of(const union address *source, const union address *destination)
{
    return (struct flow){endpoint_of(source), endpoint_of(destination)};
}

struct flow flow_text(const char *source, uint16_t source_port, const char *destination,
                      uint16_t destination_port)
{
    union address from = address_of(source, source_port);
    union address to = address_of(destination, destination_port);

    return flow_of(&from, &to);
}

static int new_socket(const struct netns *ns, int family)
{
    struct timeval timeout = {.tv_sec = WAIT_MS / 1000};
    int fd, one = 1;

    netns_enter(ns);
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    netns_leave();
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

int listen_in(const struct netns *ns, const char *address, uint16_t port)
{
    union address local = address_of(address, port);
    int fd = new_socket(ns, local.any.sa_family);

    assert_int_equal(bind(fd, &local.any, address_length(&local)), 0);
    assert_int_equal(listen(fd, BACKLOG), 0);
    return fd;
}

int connect_from(const struct netns *ns, const char *destination, uint16_t port,
                 uint16_t source_port)
{
    union address remote = address_of(destination, port);
    union address local =
        address_of(remote.any.sa_family == AF_INET ? "0.0.0.0" : "::", source_port);
    int fd = new_socket(ns, remote.any.sa_family);

    if (source_port)
        assert_int_equal(bind(fd, &local.any, address_length(&local)), 0);
    if (connect(fd, &remote.any, address_length(&remote)) < 0)
        fail_msg("connect to %s port %u: %s", destination, port, strerror(errno));
    return fd;
}

int accept_flow(int listener, struct flow *ret_flow)
{
    int fd = accept_try(listener, ret_flow);

    if (fd < 0)
        fail_msg("accept: %s", strerror(errno));
    return fd;
}

int accept_try(int listener, struct flow *ret_flow)
{
    union address source, destination;
    socklen_t length = sizeof(source);
    int fd = accept4(listener, &source.any, &length, SOCK_CLOEXEC);

    if (fd < 0)
        return -1;
    length = sizeof(destination);
    assert_int_equal(getsockname(fd, &destination.any, &length), 0);
    *ret_flow = flow_of(&source, &destination);
    return fd;
}

void reset(int *fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    assert_int_equal(close(*fd), 0);
    *fd = -1;
}

uint16_t local_port(int fd)
{
    union address local;
    socklen_t length = sizeof(local);

    assert_int_equal(getsockname(fd, &local.any, &length), 0);
    return ntohs(local.any.sa_family == AF_INET ? local.v4.sin_port : local.v6.sin6_port);
}

static void no_failure(int r, const char *what, const struct diag *diag)
{
    if (r < 0)
        fail_msg("%s: %s", what, diag->text);
}

void watch_start_config(struct watch *ret_watch, const struct netns *ns,
                        const struct local_capture_config *config)
{
    static const uint16_t REDIRECT_PORTS[] = {15006};
    struct diag diag = {0};

    *ret_watch = (struct watch){0};
    netns_enter(ns);
    no_failure(local_capture_start(config, &ret_watch->capture, &diag), "start", &diag);
    netns_leave();
    no_failure(local_capture_seal(ret_watch->capture, &diag), "seal", &diag);
    no_failure(map_source_new(
                   &(struct map_source_config){
                       .maps = local_capture_get_maps(ret_watch->capture),
                       .redirect_ports = REDIRECT_PORTS,
                       .redirect_port_count = 1,
                   },
                   &ret_watch->source, &diag),
               "map source", &diag);
}

void watch_start(struct watch *ret_watch, const struct netns *ns, const char *device, uint16_t port)
{
    watch_start_config(ret_watch, ns,
                       &(struct local_capture_config){
                           .interfaces = &device,
                           .interface_count = 1,
                           .ports = &port,
                           .port_count = 1,
                       });
}

void watch_done(struct watch *watch)
{
    syn_source_freep(&watch->source);
    local_capture_freep(&watch->capture);
}

struct syn_answer watch_ask(const struct watch *watch, const struct flow *flow)
{
    struct syn_answer answer = {0};

    watch->source->lookup(watch->source, flow, &answer);
    return answer;
}

uint64_t watch_counter(const struct watch *watch, enum capture_counter counter)
{
    uint64_t counters[COUNTER_COUNT_];

    assert_int_equal(local_capture_counters(watch->capture, counters), 0);
    return counters[counter];
}

void assert_answer_at(struct syn_answer answer, enum syn_state state, enum syn_reason reason,
                      const char *file, int line)
{
    if (answer.state == state && answer.reason == reason)
        return;
    print_error("got %s %s, expected %s %s\n", syn_state_name(answer.state),
                syn_reason_name(answer.reason), syn_state_name(state), syn_reason_name(reason));
    _fail(file, line);
}

void assert_becomes_at(const struct watch *watch, const struct flow *flow, enum syn_state state,
                       enum syn_reason reason, const char *file, int line)
{
    struct syn_answer answer = watch_ask(watch, flow);

    for (int waited = 0; waited < WAIT_MS; waited += WAIT_STEP_MS) {
        if (answer.state == state && answer.reason == reason)
            return;
        sleep_ms(WAIT_STEP_MS);
        answer = watch_ask(watch, flow);
    }
    assert_answer_at(answer, state, reason, file, line);
}

void sleep_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&time, NULL);
}
