/* SPDX-License-Identifier: Apache-2.0 */
/* `fingerprint`: what p0f would say of each SYN in a capture file. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "cli.h"
#include "json.h"
#include "matcher.h"
#include "os.h"
#include "pcap_source.h"

struct fingerprint_options {
    struct text_list databases;
    unsigned output;
    bool all;
};

static const struct option_spec SPECS[] = {
    {.name = "database",
     .kind = OPTION_LIST,
     .value = "FILE|none",
     .help = "a database in p0f.fp format; may be repeated: the first that knows a SYN names it "
             "(default none)",
     .offset = offsetof(struct fingerprint_options, databases)},
    {.name = "all",
     .kind = OPTION_FLAG,
     .help = "also a line for each packet that p0f would not report, with the reason",
     .offset = offsetof(struct fingerprint_options, all)},
    OPTION_OUTPUT(struct fingerprint_options, output),
};

struct databases {
    struct fp_db **items;
    size_t count;
};

static void databases_done(struct databases *databases)
{
    for (size_t i = 0; i < databases->count; i++)
        fp_db_freep(&databases->items[i]);
    free(databases->items);
}

/* What is printed of one SYN. */
struct finding {
    const struct capture_frame *frame;
    struct match match;
    const char *kind; /* p0f's key of the label: "os" or "app" */
    char signature[SIGNATURE_TEXT_MAX];
    char params[MATCH_PARAMS_MAX];
    char source[ENDPOINT_TEXT_MAX], destination[ENDPOINT_TEXT_MAX];
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

static void find(const struct capture_frame *frame, const struct databases *databases,
                 struct finding *ret_finding)
{
    const struct match *match = &ret_finding->match;
    struct signature signature;

    ret_finding->frame = frame;
    signature_from_syn(&frame->syn, &signature);
    matcher_match_first((const struct fp_db *const *)databases->items, databases->count, &signature,
                        &ret_finding->match);
    ret_finding->kind =
        match->label && (match->sendsyn || fp_label_is_app(match->label)) ? "app" : "os";
    (void)signature_format(&signature, ret_finding->signature);
    (void)matcher_params(match, &signature, ret_finding->params);
    (void)endpoint_format(&frame->flow.source, ret_finding->source);
    (void)endpoint_format(&frame->flow.destination, ret_finding->destination);
}

static void print_label(const struct fp_label *label)
{
    json_print_text(stdout, str_from(label->name));
    if (label->flavor[0]) {
        (void)putchar(' ');
        json_print_text(stdout, str_from(label->flavor));
    }
}

/* A value: a string, or null where there is none. */
static void print_string(const char *key, const char *value)
{
    (void)printf("\"%s\":", key);
    if (value && value[0])
        json_print_string(stdout, str_from(value));
    else
        (void)fputs("null", stdout);
}

static void print_number(const char *key, bool known, int value)
{
    if (known)
        (void)printf("\"%s\":%d", key, value);
    else
        (void)printf("\"%s\":null", key);
}

static void print_json_start(const struct capture_frame *frame)
{
    char time[TIME_TEXT_MAX];

    format_time(&frame->time, time);
    (void)printf("{\"frame\":%" PRIu64 ",", frame->number);
    print_string("time", time);
}

static void print_json_os(const struct fp_label *label)
{
    (void)fputs(",\"os\":{", stdout);
    print_string("class", label ? label->class_name : NULL);
    (void)putchar(',');
    print_string("name", label ? label->name : NULL);
    (void)putchar(',');
    print_string("flavor", label ? label->flavor : NULL);
    (void)putchar(',');
    print_string("family", os_family_name(os_family_of(label)));
    (void)putchar('}');
}

static void print_json_match(const struct finding *finding)
{
    const struct match *match = &finding->match;

    (void)putchar(',');
    print_string("match", match_kind_name(match->kind));
    (void)putchar(',');
    print_string("params", finding->params);
    (void)putchar(',');
    print_number("distance", !match->random_ttl, match->distance);
    (void)printf(",\"excess_distance\":%s,", match->excess_distance ? "true" : "false");
    print_number("mtu", match->mtu != 0, match->mtu);
    (void)putchar(',');
    print_string("link", match->link);
}

static void print_json(const struct finding *finding)
{
    const struct fp_label *label = finding->match.label;

    print_json_start(finding->frame);
    (void)printf(",\"source\":\"%s\",\"destination\":\"%s\",\"p0f\":\"%s\",\"label\":",
                 finding->source, finding->destination, finding->signature);
    if (label) {
        (void)putchar('"');
        print_label(label);
        (void)putchar('"');
    } else {
        (void)fputs("null", stdout);
    }
    (void)printf(",\"kind\":\"%s\"", finding->kind);
    print_json_os(label);
    print_json_match(finding);
    (void)puts(finding->frame->syn.beyond_p0f ? ",\"beyond_p0f\":true}" : "}");
}

/* What is no SYN has no facts. */
static void print_json_other(const struct capture_frame *frame)
{
    print_json_start(frame);
    (void)fputs(",\"source\":null,\"destination\":null,\"p0f\":null,\"label\":null,\"kind\":null,"
                "\"os\":null,\"match\":null,\"params\":null,\"distance\":null,"
                "\"excess_distance\":null,\"mtu\":null,\"link\":null,",
                stdout);
    print_string("reason", frame_kind_name(frame->kind));
    (void)puts("}");
}

static void print_text(const struct finding *finding)
{
    const struct match *match = &finding->match;

    (void)printf("%" PRIu64 "  %s > %s  %s  ", finding->frame->number, finding->source,
                 finding->destination, finding->signature);
    if (match->label)
        print_label(match->label);
    else
        (void)fputs("???", stdout);
    (void)printf("  params %s", finding->params);
    if (!match->random_ttl)
        (void)printf(", distance %d", match->distance);
    if (match->mtu)
        (void)printf(", MTU %d", match->mtu);
    if (match->link) {
        (void)fputs(" (", stdout);
        json_print_text(stdout, str_from(match->link));
        (void)putchar(')');
    }
    (void)puts(finding->frame->syn.beyond_p0f ? ", beyond p0f" : "");
}

static void print_frame(const struct capture_frame *frame, const struct databases *databases,
                        const struct fingerprint_options *options)
{
    struct finding finding;

    if (frame->kind == FRAME_SYN) {
        find(frame, databases, &finding);
        if (options->output == OUTPUT_JSON)
            print_json(&finding);
        else
            print_text(&finding);
    } else if (options->all && options->output == OUTPUT_JSON) {
        print_json_other(frame);
    } else if (options->all) {
        (void)printf("%" PRIu64 "  -  %s\n", frame->number, frame_kind_name(frame->kind));
    }
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

static void warn_tolerated(const char *path, const struct fp_db *db)
{
    unsigned first, count = fp_db_tolerated(db, &first);

    if (count)
        (void)fprintf(
            stderr,
            "synauthz: %s:%u: warning: blanks or a carriage return at the end of the line "
            "(%u such lines); p0f itself may refuse this file\n",
            path, first, count);
}

static int load_databases(const struct text_list *paths, struct databases *ret_databases,
                          struct diag *diag)
{
    if (paths->count == 0 || (paths->count == 1 && strcmp(paths->items[0], "none") == 0))
        return 0;
    ret_databases->items = calloc(paths->count, sizeof(ret_databases->items[0]));
    if (!ret_databases->items)
        return -ENOMEM;
    for (size_t i = 0; i < paths->count; i++) {
        int r = fp_db_load(paths->items[i], &ret_databases->items[i], diag);

        if (r < 0)
            return r;
        ret_databases->count++;
        warn_tolerated(paths->items[i], ret_databases->items[i]);
    }
    return 0;
}

static bool is_none_among_others(const struct text_list *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (paths->count > 1 && strcmp(paths->items[i], "none") == 0)
            return true;
    return false;
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
    int r;

    (void)given;
    if (is_none_among_others(&options->databases)) {
        (void)diag_set(&diag, -EINVAL, "--database none goes with no other --database");
        return cli_complain(STATUS_USAGE, &diag);
    }
    r = load_databases(&options->databases, &databases, &diag);
    if (r == 0)
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
