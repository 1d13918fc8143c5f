/* SPDX-License-Identifier: Apache-2.0 */
/* `fingerprint`: what p0f would say of each SYN in a capture file. */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "cleanup.h"
#include "cli.h"
#include "databases.h"
#include "finding.h"
#include "pcap_source.h"

struct fingerprint_options {
    struct text_list databases;
    unsigned output;
    bool all;
};

static const struct option_spec SPECS[] = {
    OPTION_DATABASES(struct fingerprint_options, databases),
    {.name = "all",
     .kind = OPTION_FLAG,
     .help = "also a line for each packet that p0f would not report, with the reason",
     .offset = offsetof(struct fingerprint_options, all)},
    OPTION_OUTPUT(struct fingerprint_options, output),
};

enum { TIME_TEXT_MAX = 64 };

/* RFC 3339 in UTC with microseconds; "" for a time that no calendar has. */
static void format_time(const struct timespec *time, char buffer[TIME_TEXT_MAX])
{
    char seconds[TIME_TEXT_MAX / 2] = "";
    struct tm tm;

    buffer[0] = '\0';
    if (gmtime_r(&time->tv_sec, &tm) &&
        strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm) > 0)
        (void)snprintf(buffer, TIME_TEXT_MAX, "%s.%06ldZ", seconds, time->tv_nsec / 1000);
}

static void print_json_start(const struct capture_frame *frame)
{
    char time[TIME_TEXT_MAX];

    format_time(&frame->time, time);
    (void)printf("{\"frame\":%" PRIu64 ",", frame->number);
    member_print_string("time", time);
}

static void print_endpoints(const struct capture_frame *frame)
{
    char source[ENDPOINT_TEXT_MAX], destination[ENDPOINT_TEXT_MAX];

    (void)endpoint_format(&frame->flow.source, source);
    (void)endpoint_format(&frame->flow.destination, destination);
    (void)printf(",\"source\":\"%s\",\"destination\":\"%s\"", source, destination);
}

static void print_json(const struct capture_frame *frame, const struct finding *finding)
{
    print_json_start(frame);
    print_endpoints(frame);
    (void)printf(",\"p0f\":\"%s\",", finding->signature);
    finding_print_label(finding);
    (void)printf(",\"kind\":\"%s\",", finding->kind);
    finding_print_os(finding);
    (void)putchar(',');
    finding_print_match(finding);
    (void)putchar(',');
    member_print_string("params", finding->params);
    (void)putchar(',');
    finding_print_distance(finding);
    (void)printf(",\"excess_distance\":%s,", finding->match.excess_distance ? "true" : "false");
    finding_print_link(finding);
    (void)puts(frame->syn.beyond_p0f ? ",\"beyond_p0f\":true}" : "}");
}

/* What is no SYN has no facts. */
static void print_json_other(const struct capture_frame *frame)
{
    print_json_start(frame);
    (void)fputs(",\"source\":null,\"destination\":null,\"p0f\":null,\"label\":null,\"kind\":null,"
                "\"os\":null,\"match\":null,\"params\":null,\"distance\":null,"
                "\"excess_distance\":null,\"mtu\":null,\"link\":null,",
                stdout);
    member_print_string("reason", frame_kind_name(frame->kind));
    (void)puts("}");
}

static void print_text(const struct capture_frame *frame, const struct finding *finding)
{
    char source[ENDPOINT_TEXT_MAX], destination[ENDPOINT_TEXT_MAX];

    (void)endpoint_format(&frame->flow.source, source);
    (void)endpoint_format(&frame->flow.destination, destination);
    (void)printf("%" PRIu64 "  %s > %s  %s  ", frame->number, source, destination,
                 finding->signature);
    finding_print_label_text(finding);
    (void)printf("  params %s", finding->params);
    finding_print_path_text(finding);
    (void)puts(frame->syn.beyond_p0f ? ", beyond p0f" : "");
}

static void print_syn(const struct capture_frame *frame, const struct databases *databases,
                      const struct fingerprint_options *options)
{
    struct finding finding;

    finding_make(&frame->syn, databases, &finding);
    if (options->output == OUTPUT_JSON)
        print_json(frame, &finding);
    else
        print_text(frame, &finding);
}

static void print_frame(const struct capture_frame *frame, const struct databases *databases,
                        const struct fingerprint_options *options)
{
    if (frame->kind == FRAME_SYN)
        print_syn(frame, databases, options);
    else if (options->all && options->output == OUTPUT_JSON)
        print_json_other(frame);
    else if (options->all)
        (void)printf("%" PRIu64 "  -  %s\n", frame->number, frame_kind_name(frame->kind));
}

static int print_frames(struct capture *capture, const struct databases *databases,
                        const struct fingerprint_options *options, struct diag *diag)
{
    struct capture_frame frame;
    int r;

    while ((r = capture_next(capture, &frame, diag)) > 0)
        print_frame(&frame, databases, options);
    return r;
}

static enum exit_status status_of(int r)
{
    return r == -EINVAL ? STATUS_INVALID : STATUS_FAILURE;
}

static enum exit_status run(void *options_, const struct text_list *operands,
                            const struct options_given *given)
{
    const struct fingerprint_options *options = options_;
    CLEANUP(databases_done) struct databases databases = {0};
    CLEANUP(capture_freep) struct capture *capture = NULL;
    struct diag diag = {0};
    enum exit_status status = databases_load(&options->databases, &databases, &diag);
    int r;

    (void)given;
    if (status != STATUS_OK)
        return cli_complain(status, &diag);
    r = capture_open(operands->items[0], &capture, &diag);
    if (r == 0)
        r = print_frames(capture, &databases, options, &diag);
    return r < 0 ? cli_complain(status_of(r), &diag) : STATUS_OK;
}

const struct verb VERB_FINGERPRINT = {
    .name = "fingerprint",
    .summary = "p0f signatures and labels of the SYNs in a capture file",
    .synopsis = "FILE [--database FILE|none]... [--all] [-o text|json]",
    .description =
        "Reads a pcap or pcapng file (- is standard input) of Ethernet, raw IP, Linux cooked or "
        "BSD\n"
        "loopback packets, and prints a line for each SYN that p0f 3.09b would report: the very\n"
        "signature, and with a database the very label.  Besides, it reports SYNs with VLAN tags "
        "and\n"
        "IPv6 extension headers, which p0f does not, and says so.  Each packet is judged alone.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct fingerprint_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
