/* SPDX-License-Identifier: Apache-2.0 */
#include "sighting.h"

#include <inttypes.h>
#include <time.h>

#include "finding.h"

enum { NS_PER_MS = 1000000 };

/* On the clock of the records. */
static uint64_t age_ms(const struct syn *syn)
{
    struct timespec now = {0};
    uint64_t now_ns;

    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* cannot fail: the kernel has it since 2.6.39 */
    now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return now_ns > syn->seen_ns ? (now_ns - syn->seen_ns) / NS_PER_MS : 0;
}

static const char *format_endpoint(const struct endpoint *endpoint, char buffer[ENDPOINT_TEXT_MAX])
{
    if (!endpoint)
        return NULL;
    (void)endpoint_format(endpoint, buffer);
    return buffer;
}

/* `finding` NULL: no SYN. */
static void print_json(const char *source, const char *destination, const struct syn_answer *answer,
                       const struct finding *finding)
{
    const struct syn *syn = finding ? finding->syn : NULL;

    (void)putchar('{');
    member_print_string("source", source);
    (void)putchar(',');
    member_print_string("destination", destination);
    (void)putchar(',');
    member_print_string("state", syn_state_name(answer->state));
    (void)putchar(',');
    member_print_string("reason", syn_reason_name(answer->reason));
    (void)putchar(',');
    member_print_string("p0f", finding ? finding->signature : NULL);
    (void)putchar(',');
    finding_print_label(finding);
    (void)putchar(',');
    finding_print_os(finding);
    (void)putchar(',');
    finding_print_match(finding);
    (void)putchar(',');
    finding_print_distance(finding);
    (void)putchar(',');
    finding_print_link(finding);
    (void)putchar(',');
    member_print_string("hook", syn ? syn_hook_name(syn->hook) : NULL);
    (void)putchar(',');
    member_print_number("age_ms", syn != NULL, syn ? (long long)age_ms(syn) : 0);
    (void)putchar(',');
    member_print_number("isn", syn != NULL, syn ? (long long)syn->isn : 0);
    (void)puts("}");
}

static void print_text(const char *source, const char *destination, const struct syn_answer *answer,
                       const struct finding *finding)
{
    const char *reason = syn_reason_name(answer->reason);

    (void)printf("%s > %s  %s", source, destination ? destination : "?",
                 syn_state_name(answer->state));
    if (reason[0])
        (void)printf(" (%s)", reason);
    if (finding) {
        const char *hook = syn_hook_name(finding->syn->hook);

        (void)printf("  %s  ", finding->signature);
        finding_print_label_text(finding);
        if (finding->match.label)
            (void)printf(" (%s)", match_kind_name(finding->match.kind));
        finding_print_path_text(finding);
        (void)printf(", by %s %" PRIu64 " ms ago", hook ? hook : "?", age_ms(finding->syn));
    }
    (void)putchar('\n');
}

void sighting_print(const struct endpoint *source, const struct endpoint *destination,
                    const struct syn_answer *answer, const struct databases *databases,
                    enum output_format format)
{
    char source_text[ENDPOINT_TEXT_MAX], destination_text[ENDPOINT_TEXT_MAX];
    const char *from = format_endpoint(source, source_text);
    const char *to = format_endpoint(destination, destination_text);
    const struct finding *known = NULL;
    struct finding finding;

    if (syn_state_has_syn(answer->state)) {
        finding_make(&answer->syn, databases, &finding);
        known = &finding;
    }
    if (format == OUTPUT_JSON)
        print_json(from, to, answer, known);
    else
        print_text(from, to, answer, known);
}
