/* SPDX-License-Identifier: Apache-2.0 */
#include "decision_record.h"

#include <assert.h>

#include "addr.h"
#include "line.h"
#include "matcher.h"
#include "num.h"
#include "os.h"
#include "record_keys.h"
#include "trace_parent.h"

static const struct str ABSENT = {NULL, 0};
static const struct endpoint NOWHERE = {.port = 0};

/* --- members ---------------------------------------------------------------------------------- */

struct writer {
    struct line line;
    enum record_key next; /* keys are written in their order, and all of them */
};

static struct line *begin(struct writer *writer, enum record_key key)
{
    const struct record_field *field = &RECORD_FIELDS[key];

    assert(key == writer->next);
    writer->next++;
    memcpy(writer->line.at, field->written, sizeof(field->written));
    writer->line.at += field->length;
    return &writer->line;
}

static void text(struct writer *writer, enum record_key key, struct str value)
{
    line_text(begin(writer, key), value, RECORD_FIELDS[key].max);
}

/* NULL and "" are no word. */
static void word(struct writer *writer, enum record_key key, const char *value)
{
    text(writer, key, value && *value ? str_from(value) : ABSENT);
}

static void number(struct writer *writer, enum record_key key, uint64_t value)
{
    line_number(begin(writer, key), value);
}

static void number_if(struct writer *writer, enum record_key key, bool is_known, uint64_t value)
{
    if (is_known)
        number(writer, key, value);
    else
        text(writer, key, ABSENT);
}

/* --- what was decided ------------------------------------------------------------------------- */

static const char *const VERDICTS[VERDICT_COUNT_] = {
    [VERDICT_DENY] = "deny",
    [VERDICT_ALLOW] = "allow",
};

static const char *const REASONS[DECISION_REASON_COUNT_] = {
    [DECISION_DEFAULT] = "default",
    [DECISION_RULE] = "rule",
    [DECISION_UNKNOWN] = "unknown",
    [DECISION_OVERSIZE] = "oversize",
};

const char *record_verdict_name(const struct decision_record *record)
{
    switch (record->outcome) {
    case RECORD_DECIDED:
        return VERDICTS[record->decision->verdict];
    case RECORD_OVERSIZE:
        return VERDICTS[VERDICT_DENY];
    default:
        return "error";
    }
}

const char *record_reason_name(const struct decision_record *record)
{
    switch (record->outcome) {
    case RECORD_DECIDED:
        return REASONS[record->decision->reason];
    case RECORD_OVERSIZE:
        return REASONS[DECISION_OVERSIZE];
    case RECORD_MALFORMED:
        return "malformed";
    default:
        return "fault";
    }
}

static struct str rule_id(const struct rule *rule)
{
    return rule ? rule->id : ABSENT;
}

static void put_identity(struct writer *writer, const struct decision_record *record)
{
    const struct subject *subject = record->subject;
    struct trace_parent trace = {ABSENT, ABSENT, ABSENT};

    if (subject && subject->trace_parent.ptr)
        (void)trace_parent_parse(subject->trace_parent, &trace);
    line_time(begin(writer, RECORD_TIME), record->time_ns);
    text(writer, RECORD_TRACE_ID, trace.trace_id);
    text(writer, RECORD_SPAN_ID, trace.span_id);
    text(writer, RECORD_TRACE_FLAGS, trace.flags);
    number(writer, RECORD_SCHEMA_, RECORD_SCHEMA);
    text(writer, RECORD_DECISION_ID, record->decision_id);
}

static void put_decision(struct writer *writer, const struct decision_record *record)
{
    const struct policy *policy = record->policy;
    const struct decision *decision = record->decision;

    word(writer, RECORD_VERDICT, record_verdict_name(record));
    word(writer, RECORD_REASON, record_reason_name(record));
    text(writer, RECORD_POLICY, policy ? policy->name : ABSENT);
    word(writer, RECORD_REVISION, policy ? policy->revision : NULL);
    text(writer, RECORD_RULE, decision ? rule_id(decision->rule) : ABSENT);
    word(writer, RECORD_WOULD_BE_VERDICT, decision ? VERDICTS[decision->would_be] : NULL);
    text(writer, RECORD_WOULD_BE_RULE, decision ? rule_id(decision->would_be_rule) : ABSENT);
    number_if(writer, RECORD_UNKNOWN_RULES, decision, decision ? decision->unknown_count : 0);
    number(writer, RECORD_LATENCY, record->latency_ns / 1000);
    line_put(&writer->line, STR("."));
    line_digits(&writer->line, record->latency_ns % 1000, 3);
    number(writer, RECORD_SAMPLE, record->sample);
}

/* --- what it was about ------------------------------------------------------------------------ */

static void put_fingerprint(struct writer *writer, const struct subject *subject)
{
    const struct match *match = subject->match;
    const struct fp_label *label = match ? match->label : NULL;
    const int distance = subject_distance(subject);

    word(writer, RECORD_STATE, syn_state_name(subject->syn_state));
    word(writer, RECORD_STATE_REASON, syn_reason_name(subject->syn_reason));
    text(writer, RECORD_P0F, subject->p0f);
    text(writer, RECORD_LABEL, subject->label);
    word(writer, RECORD_OS_NAME, label ? label->name : NULL);
    word(writer, RECORD_OS_FLAVOR, label ? label->flavor : NULL);
    word(writer, RECORD_OS_FAMILY, match ? os_family_name(os_family_of(label)) : NULL);
    word(writer, RECORD_OS_MATCH, match ? match_kind_name(match->kind) : NULL);
    number_if(writer, RECORD_DISTANCE, distance >= 0, (uint64_t)distance);
}

static void put_address(struct writer *writer, enum record_key key, const struct endpoint *endpoint)
{
    char address[ADDR_TEXT_MAX];
    const size_t length = addr_format(&endpoint->addr, address);

    text(writer, key, length ? (struct str){address, length} : ABSENT);
    number_if(writer, key + 1, length > 0, endpoint->port);
}

static void put_connection(struct writer *writer, const struct subject *subject)
{
    static const char *const PEERS[] = {
        [PEER_NONE] = "none", [PEER_TCP] = "tcp",           [PEER_HTTP3] = "http3",
        [PEER_PIPE] = "pipe", [PEER_INTERNAL] = "internal", [PEER_PROXIED] = "proxied",
    };

    word(writer, RECORD_PEER, PEERS[subject->peer]);
    put_address(writer, RECORD_CLIENT_ADDRESS, &subject->source);
    put_address(writer, RECORD_LOCAL_ADDRESS, &subject->destination);
    word(writer, RECORD_PEER_HEADER,
         subject->peer_header == PEER_HEADER_UNNAMED ? NULL
                                                     : peer_header_name(subject->peer_header));
    put_address(writer, RECORD_DIRECT_ADDRESS,
                subject->peer_header == PEER_HEADER_USED ? &subject->direct.source : &NOWHERE);
    text(writer, RECORD_PRINCIPAL, subject->source_principal);
    text(writer, RECORD_SNI, subject->sni);
    text(writer, RECORD_JA3, subject->ja3);
    text(writer, RECORD_JA4, subject->ja4);
}

/* The port behind the last colon, when it is written as a port is: so that both together are what
 * the client sent.  Returns the length of what stands before the colon. */
static size_t split_host(struct str host, uint16_t *ret_port)
{
    size_t colon = host.len;

    while (colon > 0 && char_is_digit(host.ptr[colon - 1]))
        colon--;
    if (colon == 0 || colon == host.len || host.ptr[colon - 1] != ':' || host.ptr[colon] == '0' ||
        num_parse_port(str_from_offset(host, colon), ret_port) < 0)
        return host.len;
    colon--;
    /* a bare IPv6 address ends with digits, too */
    if (colon > 0 && host.ptr[colon - 1] != ']' &&
        str_find_char((struct str){host.ptr, colon}, ':') >= 0)
        return host.len;
    return colon;
}

static void put_host(struct writer *writer, struct str host)
{
    uint16_t port = 0;
    const size_t length = host.ptr ? split_host(host, &port) : 0;

    text(writer, RECORD_HOST, (struct str){host.ptr, length});
    number_if(writer, RECORD_PORT, length < host.len, port);
}

static void put_query_names(struct line *line, struct str query, size_t max)
{
    struct str parameter;
    const char *const end = line->at + max;
    bool is_first = true;

    while (str_next_field(&query, '&', &parameter)) {
        const size_t room = (size_t)(end - line->at);

        if (room < sizeof("&" REDACTED)) {
            line->cut = true;
            return;
        }
        if (!is_first)
            line_put(line, STR("&"));
        is_first = false;
        (void)line_escape(line, redact_parameter(parameter), room - sizeof("&" REDACTED));
        line_put(line, STR(REDACTED));
    }
}

static void put_query(struct writer *writer, struct str query, enum query_shown shown)
{
    if (!query.ptr || shown == QUERY_FULL) {
        text(writer, RECORD_QUERY, query);
    } else if (shown == QUERY_HIDDEN) {
        text(writer, RECORD_QUERY, STR(REDACTED));
    } else {
        struct line *line = begin(writer, RECORD_QUERY);

        line_put(line, STR("\""));
        put_query_names(line, query, RECORD_FIELDS[RECORD_QUERY].max);
        line_put(line, STR("\""));
    }
}

/* "1.1" of "HTTP/1.1"; what is no HTTP as it came. */
static struct str version_of(struct str protocol)
{
    return str_has_prefix(protocol, STR("HTTP/")) ? str_from_offset(protocol, 5) : protocol;
}

static void put_request(struct writer *writer, const struct subject *subject,
                        enum query_shown query)
{
    text(writer, RECORD_METHOD, subject->method);
    text(writer, RECORD_SCHEME, subject->scheme);
    put_host(writer, subject->host);
    text(writer, RECORD_PATH, subject->path);
    put_query(writer, subject->query, query);
    text(writer, RECORD_PROTOCOL, version_of(subject->protocol));
    text(writer, RECORD_REQUEST_ID, subject->request_id);
}

/* --- headers that were asked for -------------------------------------------------------------- */

static struct str header_value(const struct decision_record *record, struct str name)
{
    int slot;

    if (!record->policy || !record->subject || !record->subject->headers)
        return ABSENT;
    slot = header_table_match(record->policy->headers, name).read_slot;
    return slot == HEADER_NONE ? ABSENT : record->subject->headers[slot];
}

static void put_header(struct line *line, struct str name, struct str value)
{
    line_put(line, STR(",\"" RECORD_HEADER_PREFIX));
    (void)line_escape(line, name, RECORD_HEADER_NAME_MAX);
    line_put(line, STR("\":"));
    if (!value.ptr) {
        line_put(line, STR("null"));
        return;
    }
    line_put(line, STR("["));
    line_text(line, redact_hides_header(name) ? STR(REDACTED) : value, RECORD_HEADER_VALUE_MAX);
    line_put(line, STR("]"));
}

/* --- the line --------------------------------------------------------------------------------- */

static void put_subject(struct writer *writer, const struct subject *subject,
                        enum query_shown query)
{
    if (!subject) {
        while (writer->next < RECORD_CUT)
            text(writer, writer->next, ABSENT);
        return;
    }
    put_fingerprint(writer, subject);
    put_connection(writer, subject);
    put_request(writer, subject, query);
}

size_t decision_record_write(const struct decision_record *record,
                             const struct record_settings *settings, char line[RECORD_LINE_MAX])
{
    struct writer writer = {.line = {.at = line}};

    put_identity(&writer, record);
    put_decision(&writer, record);
    put_subject(&writer, record->subject, settings->query);
    for (size_t i = 0; i < settings->header_count; i++)
        put_header(&writer.line, settings->headers[i], header_value(record, settings->headers[i]));
    line_put(begin(&writer, RECORD_CUT), writer.line.cut ? STR("true") : STR("false"));
    line_put(&writer.line, STR("}\n"));
    assert(writer.line.at - line <= RECORD_LINE_MAX);
    return (size_t)(writer.line.at - line);
}
