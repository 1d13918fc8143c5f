/* SPDX-License-Identifier: Apache-2.0 */
/* Real TCP connections, and what the map source says about them.
 *
 * All functions fail the running test when something does not work. */
#ifndef CONN_H
#define CONN_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#include "flow.h"
#include "local_capture.h"
#include "netns.h"
#include "syn_source.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

/* A port that no other test program uses at the same time: the tracker sees the sockets of the
 * whole machine, and those of one tuple in another test would be sockets of one tuple.  The same in
 * all children of this program. */
uint16_t own_port(void);

/* "192.0.2.1" or "2001:db8::1". */
union address address_of(const char *text, uint16_t port);
socklen_t address_length(const union address *address);

/* The text form of both ends; IPv4-mapped becomes IPv4, as Envoy would say it. */
struct flow flow_of(const union address *source, const union address *destination);
struct flow flow_text(const char *source, uint16_t source_port, const char *destination,
                      uint16_t destination_port);

/* A listening socket in the namespace.  "::" listens for both families. */
int listen_in(const struct netns *ns, const char *address, uint16_t port);

/* Connect from the namespace, from `source_port` if it is not 0 (the port may be in use towards
 * another destination).  Blocking, 3 s at most. */
int connect_from(const struct netns *ns, const char *destination, uint16_t port,
                 uint16_t source_port);

/* accept() and the tuple of the new socket, with the local end as the socket sees it. */
int accept_flow(int listener, struct flow *ret_flow);

/* Same for a listener that does not block: -1 when there is no connection. */
int accept_try(int listener, struct flow *ret_flow);

/* End a connection by RST, so that nothing lingers: both sockets reach CLOSE at once. */
void reset(int *fd);

uint16_t local_port(int fd);

/* --- capture in a namespace --- */

struct watch {
    struct local_capture *capture;
    struct syn_source *source;
};

/* Capture on one device and one port, sealed, with redirect port 15006. */
void watch_start(struct watch *ret_watch, const struct netns *ns, const char *device,
                 uint16_t port);

/* Same with everything of the configuration; devices are of the namespace. */
void watch_start_config(struct watch *ret_watch, const struct netns *ns,
                        const struct local_capture_config *config);
void watch_done(struct watch *watch);

struct syn_answer watch_ask(const struct watch *watch, const struct flow *flow);
uint64_t watch_counter(const struct watch *watch, enum capture_counter counter);

/* The state and the reason of an answer; the message has both when they differ. */
#define assert_answer(answer, state_, reason_)                                                     \
    assert_answer_at((answer), (state_), (reason_), __FILE__, __LINE__)
void assert_answer_at(struct syn_answer answer, enum syn_state state, enum syn_reason reason,
                      const char *file, int line);

/* Wait at most 3 s for the answer to come to this state. */
#define assert_becomes(watch, flow, state_, reason_)                                               \
    assert_becomes_at((watch), (flow), (state_), (reason_), __FILE__, __LINE__)
void assert_becomes_at(const struct watch *watch, const struct flow *flow, enum syn_state state,
                       enum syn_reason reason, const char *file, int line);

void sleep_ms(unsigned ms);

#endif
