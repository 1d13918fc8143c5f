/* SPDX-License-Identifier: Apache-2.0 */
#include "record_keys.h"

#include <assert.h>

enum {
    MAX_ID = 128,   /* names that an operator gave */
    MAX_NAME = 256, /* names that a client or a certificate gave */
    MAX_PATH = 1024,
    MAX_QUERY = 512,
    MAX_WORD = 64, /* ours, or a word of HTTP */
};

/* Behind what is written before it: a brace or a comma, and the quotes. */
#define FIRST(name) "{\"" name "\":", sizeof("{\"" name "\":") - 1
#define NEXT(name)  ",\"" name "\":", sizeof(",\"" name "\":") - 1

const struct record_field RECORD_FIELDS[] = {
    [RECORD_TIME] = {FIRST("time"), RECORD_TEXT, MAX_WORD},
    [RECORD_TRACE_ID] = {NEXT("trace_id"), RECORD_TEXT, MAX_WORD},
    [RECORD_SPAN_ID] = {NEXT("span_id"), RECORD_TEXT, MAX_WORD},
    [RECORD_TRACE_FLAGS] = {NEXT("trace_flags"), RECORD_TEXT, MAX_WORD},
    [RECORD_SCHEMA_] = {NEXT("synauthz.schema"), RECORD_NUMBER, 0},
    [RECORD_DECISION_ID] = {NEXT("synauthz.decision_id"), RECORD_TEXT, MAX_WORD},
    [RECORD_VERDICT] = {NEXT("synauthz.verdict"), RECORD_TEXT, MAX_WORD},
    [RECORD_REASON] = {NEXT("synauthz.reason"), RECORD_TEXT, MAX_WORD},
    [RECORD_POLICY] = {NEXT("synauthz.policy"), RECORD_TEXT, MAX_ID},
    [RECORD_REVISION] = {NEXT("synauthz.revision"), RECORD_TEXT, MAX_WORD},
    [RECORD_RULE] = {NEXT("synauthz.rule"), RECORD_TEXT, MAX_ID},
    [RECORD_WOULD_BE_VERDICT] = {NEXT("synauthz.would_be.verdict"), RECORD_TEXT, MAX_WORD},
    [RECORD_WOULD_BE_RULE] = {NEXT("synauthz.would_be.rule"), RECORD_TEXT, MAX_ID},
    [RECORD_UNKNOWN_RULES] = {NEXT("synauthz.unknown_rules"), RECORD_NUMBER, 0},
    [RECORD_LATENCY] = {NEXT("synauthz.latency_us"), RECORD_NUMBER, 0},
    [RECORD_SAMPLE] = {NEXT("synauthz.sample"), RECORD_NUMBER, 0},
    [RECORD_STATE] = {NEXT("synauthz.fingerprint.state"), RECORD_TEXT, MAX_WORD},
    [RECORD_STATE_REASON] = {NEXT("synauthz.fingerprint.reason"), RECORD_TEXT, MAX_WORD},
    [RECORD_P0F] = {NEXT("synauthz.p0f"), RECORD_TEXT, MAX_NAME},
    [RECORD_LABEL] = {NEXT("synauthz.label"), RECORD_TEXT, MAX_NAME},
    [RECORD_OS_NAME] = {NEXT("synauthz.os.name"), RECORD_TEXT, MAX_ID},
    [RECORD_OS_FLAVOR] = {NEXT("synauthz.os.flavor"), RECORD_TEXT, MAX_ID},
    [RECORD_OS_FAMILY] = {NEXT("synauthz.os.family"), RECORD_TEXT, MAX_WORD},
    [RECORD_OS_MATCH] = {NEXT("synauthz.os.match"), RECORD_TEXT, MAX_WORD},
    [RECORD_DISTANCE] = {NEXT("synauthz.distance"), RECORD_NUMBER, 0},
    [RECORD_PEER] = {NEXT("synauthz.peer"), RECORD_TEXT, MAX_WORD},
    [RECORD_CLIENT_ADDRESS] = {NEXT("client.address"), RECORD_TEXT, MAX_WORD},
    [RECORD_CLIENT_PORT] = {NEXT("client.port"), RECORD_NUMBER, 0},
    [RECORD_LOCAL_ADDRESS] = {NEXT("network.local.address"), RECORD_TEXT, MAX_WORD},
    [RECORD_LOCAL_PORT] = {NEXT("network.local.port"), RECORD_NUMBER, 0},
    [RECORD_PEER_HEADER] = {NEXT("synauthz.peer_header"), RECORD_TEXT, MAX_WORD},
    [RECORD_DIRECT_ADDRESS] = {NEXT("network.peer.address"), RECORD_TEXT, MAX_WORD},
    [RECORD_DIRECT_PORT] = {NEXT("network.peer.port"), RECORD_NUMBER, 0},
    [RECORD_PRINCIPAL] = {NEXT("synauthz.source.principal"), RECORD_TEXT, MAX_NAME},
    [RECORD_SNI] = {NEXT("tls.client.server_name"), RECORD_TEXT, MAX_NAME},
    [RECORD_JA3] = {NEXT("tls.client.ja3"), RECORD_TEXT, MAX_ID},
    [RECORD_JA4] = {NEXT("synauthz.tls.ja4"), RECORD_TEXT, MAX_ID},
    [RECORD_METHOD] = {NEXT("http.request.method"), RECORD_TEXT, MAX_WORD},
    [RECORD_SCHEME] = {NEXT("url.scheme"), RECORD_TEXT, MAX_WORD},
    [RECORD_HOST] = {NEXT("server.address"), RECORD_TEXT, MAX_NAME},
    [RECORD_PORT] = {NEXT("server.port"), RECORD_NUMBER, 0},
    [RECORD_PATH] = {NEXT("url.path"), RECORD_TEXT, MAX_PATH},
    [RECORD_QUERY] = {NEXT("url.query"), RECORD_TEXT, MAX_QUERY},
    [RECORD_PROTOCOL] = {NEXT("network.protocol.version"), RECORD_TEXT, MAX_WORD},
    [RECORD_REQUEST_ID] = {NEXT("synauthz.request_id"), RECORD_TEXT, MAX_ID},
    [RECORD_CUT] = {NEXT("synauthz.cut"), RECORD_BOOL, 0},
};
static_assert(sizeof(RECORD_FIELDS) / sizeof(RECORD_FIELDS[0]) == RECORD_KEY_COUNT_,
              "a row for each key");

struct str record_key_name(enum record_key key)
{
    const struct record_field *field = &RECORD_FIELDS[key];

    return (struct str){field->written + 2, field->length - 4U};
}
