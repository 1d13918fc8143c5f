/* SPDX-License-Identifier: Apache-2.0 */
/* `lookup`: what a server would be told about a connection. */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "map_source.h"
#include "map_walk.h"
#include "pin_reader.h"
#include "shared_options.h"
#include "sighting.h"

struct lookup_options {
    const char *pin_dir;
    struct text_list redirect_ports, databases;
    unsigned output;
};

static const struct option_spec SPECS[] = {
    OPTION_PIN_DIR(struct lookup_options, pin_dir, .help = "where the agent has pinned"),
    OPTION_REDIRECT_PORT(struct lookup_options, redirect_ports),
    OPTION_DATABASES(struct lookup_options, databases),
    OPTION_OUTPUT(struct lookup_options, output),
};

/* What was asked, what it is read from, and whether a SYN was found. */
struct query {
    const struct lookup_options *options;
    struct endpoint source, destination;
    bool has_destination;
    struct databases databases;
    struct port_list redirect_ports;
    struct capture_maps maps;
    struct syn_source *syns;
    size_t printed;
    bool found;
};

static void query_done(struct query *query)
{
    syn_source_freep(&query->syns);
    capture_maps_close(&query->maps);
    free(query->redirect_ports.items);
    databases_done(&query->databases);
}

static int parse_endpoint(const char *text, struct endpoint *ret_endpoint, struct diag *diag)
{
    if (endpoint_parse(str_from(text), ret_endpoint) < 0)
        return diag_set(diag, -EINVAL, "%s: expected ADDRESS:PORT or [ADDRESS6]:PORT", text);
    return 0;
}

static int parse_operands(const struct text_list *operands, struct query *query, struct diag *diag)
{
    int r = parse_endpoint(operands->items[0], &query->source, diag);

    query->has_destination = operands->count > 1;
    if (r == 0 && query->has_destination)
        r = parse_endpoint(operands->items[1], &query->destination, diag);
    if (r == 0 && query->has_destination &&
        query->source.addr.family != query->destination.addr.family)
        r = diag_set(diag, -EINVAL, "%s and %s are not of one IP version", operands->items[0],
                     operands->items[1]);
    return r;
}

static int read_ports(struct query *query)
{
    return port_list_append(&query->redirect_ports, &query->options->redirect_ports, NULL);
}

static int open_maps(struct query *query, struct diag *diag)
{
    int r = pin_reader_open(query->options->pin_dir, &query->maps, diag);

    if (r < 0)
        return r;
    return map_source_new(
        &(struct map_source_config){
            .maps = &query->maps,
            .redirect_ports = query->redirect_ports.items,
            .redirect_port_count = query->redirect_ports.count,
        },
        &query->syns, diag);
}

static void print(struct query *query, const struct endpoint *destination,
                  const struct syn_answer *answer)
{
    sighting_print(&query->source, destination, answer, &query->databases,
                   (enum output_format)query->options->output);
    query->printed++;
    query->found |= syn_state_has_syn(answer->state);
}

static void look_up(struct query *query)
{
    const struct flow flow = {.source = query->source, .destination = query->destination};
    struct syn_answer answer;

    query->syns->lookup(query->syns, &flow, &answer);
    print(query, &query->destination, &answer);
}

/* A connection that has ended since the walk came by is none any more. */
static int on_flow(const struct flow *flow, void *context)
{
    struct query *query = context;
    struct syn_answer answer;

    query->syns->lookup(query->syns, flow, &answer);
    if (answer.state != SYN_STATE_MISSING || answer.reason == SYN_REASON_NO_SYN)
        print(query, &flow->destination, &answer);
    return 0;
}

static int look_up_all(struct query *query, struct diag *diag)
{
    const struct syn_answer none = {.state = SYN_STATE_MISSING, .reason = SYN_REASON_NOT_SEEN};
    int r = map_walk_source(&query->maps, &query->source, on_flow, query);

    if (r < 0)
        return diag_set(diag, r, "cannot go through the connections: %s", strerror(-r));
    if (!query->printed)
        print(query, NULL, &none);
    return 0;
}

/* What cannot be read is an answer, too, and the same that a server gives; why is for people. */
static enum exit_status answer_unavailable(struct query *query, const struct diag *diag)
{
    const struct syn_answer fault = {.state = SYN_STATE_UNAVAILABLE,
                                     .reason = SYN_REASON_MAP_ERROR};

    print(query, query->has_destination ? &query->destination : NULL, &fault);
    return cli_complain(STATUS_NEGATIVE, diag);
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    CLEANUP(query_done) struct query query = {.options = options};
    struct diag diag = {0};
    enum exit_status status;

    (void)given;
    capture_maps_init(&query.maps);
    if (parse_operands(operands, &query, &diag) < 0)
        return cli_complain(STATUS_USAGE, &diag);
    status = databases_load(&query.options->databases, &query.databases, &diag);
    if (status != STATUS_OK)
        return cli_complain(status, &diag);
    if (read_ports(&query) < 0)
        return cli_complain(STATUS_FAILURE, &diag);
    if (open_maps(&query, &diag) < 0)
        return answer_unavailable(&query, &diag);
    if (query.has_destination)
        look_up(&query);
    else if (look_up_all(&query, &diag) < 0)
        return cli_complain(STATUS_FAILURE, &diag);
    return query.found ? STATUS_OK : STATUS_NEGATIVE;
}

const struct verb VERB_LOOKUP = {
    .name = "lookup",
    .summary = "the SYN of a live connection, as a server would find it",
    .synopsis = "SRC_IP:PORT [DST_IP:PORT] [--pin-dir DIR] [--database FILE|none]... "
                "[-o text|json]",
    .description =
        "Reads the maps of an agent, as `serve` does: the source is the client's end of the\n"
        "connection, the destination is what Envoy says it is (behind a redirection the original\n"
        "one).  Without a destination it prints a line for each connection that this client has,\n"
        "by the ends of its sockets.\n"
        "\n"
        "Needs no privilege but membership in the group of the pins.  Ends with status 4 when no\n"
        "SYN was found; the line says why.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct lookup_options),
    .operands_min = 1,
    .operands_max = 2,
    .run = run,
};
