/* SPDX-License-Identifier: Apache-2.0 */
/* Maps of a test's own, without programs, and entries that it writes into them itself. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include <stdbool.h>
#include <stdint.h>

#include "pinned.h"
#include "record.h"
#include "syn_source.h"

#define CLIENT "192.0.2.9"
#define SERVER "192.0.2.1"

enum { SOURCE_PORT = 40000, SERVER_PORT = 443, LISTENER_PORT = 15006, COOKIE = 1000 };
enum { HOST_NETNS = 1, POD_NETNS = 2, CAPTURED_MS = 60000 };

/* Maps of the test's own, and a source that reads them. */
struct scene {
    struct pinned_set set;
    struct syn_source *source;
};

struct syn_source *open_source(const struct capture_maps *maps);
void set_config(const struct scene *scene, struct capture_config config);

/* Captures SERVER_PORT only. */
void scene_make(struct scene *ret_scene, bool tracked);
void scene_done(struct scene *scene);

struct endpoint endpoint_of(const char *address, uint16_t port);

/* From CLIENT:SOURCE_PORT. */
struct flow flow_to(const char *address, uint16_t port);
struct tuple_key key_to(const char *address, uint16_t port);

/* A sound entry: the socket's end is `address`:`port`, on the wire it was SERVER:SERVER_PORT. */
struct live_entry live_to(const char *address, uint16_t port);
struct alias_entry alias_to(const struct live_entry *live);

/* Seen just now, at SERVER:`port` on the wire. */
struct captured_entry captured_at(uint16_t port);

void put_live(const struct scene *scene, const struct live_entry *entry);
void put_alias(const struct scene *scene, const struct alias_entry *entry);
void put_captured(const struct scene *scene, const struct captured_entry *entry);

struct syn_answer ask(const struct scene *scene, const char *address, uint16_t port);

#define assert_answer(answer, state_, reason_)                                                     \
    do {                                                                                           \
        const struct syn_answer answer_ = (answer);                                                \
        assert_string_equal(syn_state_name(answer_.state), syn_state_name(state_));                \
        assert_string_equal(syn_reason_name(answer_.reason), syn_reason_name(reason_));            \
    } while (0)

#endif
