/* SPDX-License-Identifier: Apache-2.0 */
#include "fact.h"

#include <assert.h>
#include <stdio.h>

#include "context.h"
#include "fact_key.h"
#include "header_table.h"
#include "matcher.h"
#include "os.h"
#include "signature.h"

/* --- readers */

static const void *field(const struct fact *fact, const struct subject *subject)
{
    return (const char *)subject + fact->offset;
}

/* Text of the request: what is not there is absent. */
static enum fact_case read_request(const struct fact *fact, const struct subject *subject,
                                   const struct fact_key *key, struct fact_value *ret_value)
{
    const struct str *text = field(fact, subject);

    (void)key;
    if (!text->ptr)
        return FACT_ABSENT;
    ret_value->text = *text;
    return FACT_PRESENT;
}

static enum fact_case read_header(const struct fact *fact, const struct subject *subject,
                                  const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    if (!subject->headers || !subject->headers[key->slot].ptr)
        return FACT_ABSENT;
    ret_value->text = subject->headers[key->slot];
    return FACT_PRESENT;
}

/* Of a header that Envoy sets always, to "-" when there was no TLS ClientHello: without the header
 * nothing was observed, and with several values somebody else had a hand in it. */
static enum fact_case read_tls(const struct fact *fact, const struct subject *subject,
                               const struct fact_key *key, struct fact_value *ret_value)
{
    const struct str *text = field(fact, subject);

    (void)key;
    if (!text->ptr || str_find_char(*text, ',') >= 0)
        return FACT_UNOBSERVABLE;
    if (text->len == 0 || str_eq(*text, STR("-")))
        return FACT_ABSENT;
    ret_value->text = *text;
    return FACT_PRESENT;
}

static enum fact_case read_extension(const struct fact *fact, const struct subject *subject,
                                     const struct fact_key *key, struct fact_value *ret_value)
{
    struct str text = subject_extension(subject, key->names[0]);

    (void)fact;
    if (!text.ptr)
        return FACT_ABSENT;
    ret_value->text = text;
    return FACT_PRESENT;
}

static enum fact_case read_peer_label(const struct fact *fact, const struct subject *subject,
                                      const struct fact_key *key, struct fact_value *ret_value)
{
    const struct str *peer = field(fact, subject);

    return context_label(*peer, key->names[0], ret_value);
}

static enum fact_case read_metadata(const struct fact *fact, const struct subject *subject,
                                    const struct fact_key *key, struct fact_value *ret_value)
{
    const struct str *metadata = field(fact, subject);

    return context_metadata(*metadata, key->names, key->count, ret_value);
}

static enum fact_case read_address(const struct fact *fact, const struct subject *subject,
                                   const struct fact_key *key, struct fact_value *ret_value)
{
    const struct endpoint *endpoint = field(fact, subject);

    (void)key;
    if (endpoint->addr.family == 0)
        return FACT_ABSENT;
    ret_value->address = &endpoint->addr;
    return FACT_PRESENT;
}

static enum fact_case read_port(const struct fact *fact, const struct subject *subject,
                                const struct fact_key *key, struct fact_value *ret_value)
{
    const struct endpoint *endpoint = field(fact, subject);

    (void)key;
    if (endpoint->addr.family == 0)
        return FACT_ABSENT;
    ret_value->number = endpoint->port;
    return FACT_PRESENT;
}

static enum fact_case read_p0f(const struct fact *fact, const struct subject *subject,
                               const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->p0f.ptr)
        return FACT_UNOBSERVABLE;
    ret_value->text = subject->p0f;
    return FACT_PRESENT;
}

static enum fact_case read_signature(const struct fact *fact, const struct subject *subject,
                                     const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->signature)
        return FACT_UNOBSERVABLE;
    ret_value->signature = subject->signature;
    return FACT_PRESENT;
}

/* A matched label knows the initial TTL better than the guess from the packet alone, unless it says
 * that the TTL is random. */
static enum fact_case read_distance(const struct fact *fact, const struct subject *subject,
                                    const struct fact_key *key, struct fact_value *ret_value)
{
    const struct signature *signature = subject->signature;
    int hops = subject_distance(subject);

    (void)fact;
    (void)key;
    if (!signature)
        return FACT_UNOBSERVABLE;
    if (hops < 0)
        hops = syn_distance_to_node(signature->syn, signature->distance);
    ret_value->number = (uint64_t)hops;
    return FACT_PRESENT;
}

static enum fact_case read_label(const struct fact *fact, const struct subject *subject,
                                 const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->match)
        return FACT_UNOBSERVABLE;
    if (!subject->label.ptr)
        return FACT_ABSENT;
    ret_value->text = subject->label;
    return FACT_PRESENT;
}

/* A text of the label: `offset` is in struct fp_label. */
static enum fact_case read_label_part(const struct fact *fact, const struct subject *subject,
                                      const struct fact_key *key, struct fact_value *ret_value)
{
    const struct match *match = subject->match;
    const char *text;

    (void)key;
    if (!match)
        return FACT_UNOBSERVABLE;
    if (!match->label)
        return FACT_ABSENT;
    memcpy(&text, (const char *)match->label + fact->offset, sizeof(text));
    if (!text[0])
        return FACT_ABSENT;
    ret_value->text = str_from(text);
    return FACT_PRESENT;
}

static enum fact_case read_os_family(const struct fact *fact, const struct subject *subject,
                                     const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->match)
        return FACT_UNOBSERVABLE;
    ret_value->number = os_family_of(subject->match->label);
    return FACT_PRESENT;
}

static enum fact_case read_os_match(const struct fact *fact, const struct subject *subject,
                                    const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->match)
        return FACT_UNOBSERVABLE;
    ret_value->number = subject->match->kind;
    return FACT_PRESENT;
}

static enum fact_case read_mtu(const struct fact *fact, const struct subject *subject,
                               const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->match)
        return FACT_UNOBSERVABLE;
    if (!subject->match->mtu)
        return FACT_ABSENT;
    ret_value->number = (uint64_t)subject->match->mtu;
    return FACT_PRESENT;
}

static enum fact_case read_link(const struct fact *fact, const struct subject *subject,
                                const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (!subject->match)
        return FACT_UNOBSERVABLE;
    if (!subject->match->link)
        return FACT_ABSENT;
    ret_value->text = str_from(subject->match->link);
    return FACT_PRESENT;
}

static enum fact_case read_state(const struct fact *fact, const struct subject *subject,
                                 const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    ret_value->number = subject->syn_state;
    return FACT_PRESENT;
}

static enum fact_case read_reason(const struct fact *fact, const struct subject *subject,
                                  const struct fact_key *key, struct fact_value *ret_value)
{
    (void)fact;
    (void)key;
    if (subject->syn_reason == SYN_REASON_NONE)
        return FACT_ABSENT;
    ret_value->number = subject->syn_reason;
    return FACT_PRESENT;
}

static const char *state_word(unsigned index)
{
    return syn_state_name((enum syn_state)index);
}

static const char *reason_word(unsigned index)
{
    return syn_reason_name((enum syn_reason)index);
}

static const char *family_word(unsigned index)
{
    return os_family_name((enum os_family)index);
}

static const char *match_word(unsigned index)
{
    return match_kind_name((enum match_kind)index);
}

/* --- the table */

#define OF(member) .offset = offsetof(struct subject, member)
#define OF_LABEL(member)                                                                           \
    .offset = offsetof(struct fp_label, member), .may_be_unobservable = true,                      \
    .needs_database = true, .read = read_label_part

enum { MTU_MAX = UINT16_MAX + 60 }; /* the largest MSS, with the headers of IPv6 and TCP */

static const struct fact FACTS[] = {
    {"p0f", FACT_TEXT, .may_be_unobservable = true, .holds_commas = true, .read = read_p0f},
    {"signature", FACT_SIGNATURE, .may_be_unobservable = true, .holds_commas = true,
     .read = read_signature},
    {"tcp.distance", FACT_NUMBER, .number_max = UINT8_MAX, .may_be_unobservable = true,
     .read = read_distance},
    {"tcp.mtu", FACT_NUMBER, .number_max = MTU_MAX, .may_be_unobservable = true, .read = read_mtu},
    {"tcp.link", FACT_TEXT, .may_be_unobservable = true, .needs_database = true, .read = read_link},
    {"label", FACT_TEXT, .may_be_unobservable = true, .needs_database = true, .read = read_label},
    {"os.class", FACT_TEXT, OF_LABEL(class_name)},
    {"os.family", FACT_WORD, .word = family_word, .word_end = OS_COUNT_,
     .may_be_unobservable = true, .needs_database = true, .read = read_os_family},
    {"os.name", FACT_TEXT, OF_LABEL(name)},
    {"os.flavor", FACT_TEXT, OF_LABEL(flavor)},
    {"os.match", FACT_WORD, .word = match_word, .word_end = MATCH_COUNT_,
     .may_be_unobservable = true, .needs_database = true, .read = read_os_match},
    {"fingerprint.state", FACT_WORD, .word = state_word, .word_end = SYN_STATE_COUNT_,
     .read = read_state},
    {"fingerprint.reason", FACT_WORD, .word = reason_word, .word_first = SYN_REASON_NONE + 1,
     .word_end = SYN_REASON_COUNT_, .read = read_reason},
    {"source.address", FACT_ADDRESS, OF(source), .read = read_address},
    {"source.port", FACT_NUMBER, OF(source), .number_max = UINT16_MAX, .read = read_port},
    {"destination.address", FACT_ADDRESS, OF(destination), .read = read_address},
    {"destination.port", FACT_NUMBER, OF(destination), .number_max = UINT16_MAX, .read = read_port},
    {"source.principal", FACT_TEXT, OF(source_principal), .read = read_request},
    {"source.service", FACT_TEXT, OF(source_service), .read = read_request},
    {"destination.principal", FACT_TEXT, OF(destination_principal), .read = read_request},
    {"destination.service", FACT_TEXT, OF(destination_service), .read = read_request},
    {"destination.label", FACT_TEXT, OF(destination_peer), .key = FACT_KEY_NAME,
     .read = read_peer_label},
    {"tls.sni", FACT_TEXT, OF(sni), .ignores_case = true, .read = read_request},
    {"tls.ja3", FACT_TEXT, OF(ja3), .known_header = 1 + KNOWN_JA3, .may_be_unobservable = true,
     .read = read_tls},
    {"tls.ja4", FACT_TEXT, OF(ja4), .known_header = 1 + KNOWN_JA4, .may_be_unobservable = true,
     .read = read_tls},
    {"http.method", FACT_TEXT, OF(method), .read = read_request},
    {"http.path", FACT_TEXT, OF(path), .read = read_request},
    {"http.query", FACT_TEXT, OF(query), .read = read_request},
    {"http.host", FACT_TEXT, OF(host), .ignores_case = true, .read = read_request},
    {"http.scheme", FACT_TEXT, OF(scheme), .ignores_case = true, .read = read_request},
    {"http.protocol", FACT_TEXT, OF(protocol), .read = read_request},
    {"header", FACT_TEXT, .key = FACT_KEY_HEADER, .read = read_header},
    {"extension", FACT_TEXT, .key = FACT_KEY_NAME, .read = read_extension},
    {"metadata", FACT_TEXT, OF(metadata), .key = FACT_KEY_PATH, .may_be_unobservable = true,
     .read = read_metadata},
    {"route_metadata", FACT_TEXT, OF(route_metadata), .key = FACT_KEY_PATH,
     .may_be_unobservable = true, .read = read_metadata},
};

enum { FACT_COUNT = sizeof(FACTS) / sizeof(FACTS[0]) };
static_assert((int)FACT_COUNT <= (int)FACT_NAMES_MAX, "fact_names() has room for all");
static_assert((int)FACT_SCRATCH_MAX <= (int)FACT_TEXT_MAX, "a number does");
static_assert((int)ADDR_TEXT_MAX <= (int)FACT_TEXT_MAX, "an address fits");

const struct fact *fact_find(struct str name)
{
    for (size_t i = 0; i < FACT_COUNT; i++)
        if (str_eq(name, str_from(FACTS[i].name)))
            return &FACTS[i];
    return NULL;
}

bool fact_is_showable(const struct fact *fact)
{
    return fact->type != FACT_SIGNATURE;
}

size_t fact_names(bool showable_only, const char *names[FACT_NAMES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < FACT_COUNT; i++)
        if (!showable_only || fact_is_showable(&FACTS[i]))
            names[count++] = FACTS[i].name;
    return count;
}

size_t fact_groups(bool showable_only, char groups[FACT_NAMES_MAX][FACT_GROUP_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < FACT_COUNT; i++) {
        const char *name = FACTS[i].name, *dot = strchr(name, '.');
        char group[FACT_GROUP_MAX];
        size_t k = 0;

        if (showable_only && !fact_is_showable(&FACTS[i]))
            continue;
        (void)snprintf(group, sizeof(group), "%.*s%s", dot ? (int)(dot - name + 1) : FACT_GROUP_MAX,
                       name, dot ? "*" : "");
        while (k < count && strcmp(groups[k], group) != 0)
            k++;
        if (k == count)
            memcpy(groups[count++], group, sizeof(group));
    }
    return count;
}

struct str fact_show(const struct fact *fact, const struct fact_value *value,
                     char buffer[FACT_TEXT_MAX])
{
    switch (fact->type) {
    case FACT_TEXT:
        if (value->text.ptr != value->scratch)
            return value->text;
        memcpy(buffer, value->scratch, value->text.len);
        return (struct str){buffer, value->text.len};
    case FACT_WORD:
        return str_from(fact->word((unsigned)value->number));
    case FACT_NUMBER:
        return (struct str){buffer, (size_t)snprintf(buffer, FACT_TEXT_MAX, "%llu",
                                                     (unsigned long long)value->number)};
    case FACT_ADDRESS:
        return (struct str){buffer, addr_format(value->address, buffer)};
    case FACT_SIGNATURE:
    case FACT_TYPE_COUNT_:
        break;
    }
    assert(!"a fact that no template can show");
    return (struct str){NULL, 0};
}
