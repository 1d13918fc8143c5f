/* SPDX-License-Identifier: Apache-2.0 */
/* `watch`: connections as they are established, a line for each. */
#include "cli.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>

#include "cleanup.h"
#include "pin_reader.h"
#include "sighting.h"
#include "signals.h"
#include "shared_options.h"
#include "watcher.h"

enum { BATCH = 4096 };

struct watch_options {
    const char *pin_dir;
    struct text_list databases;
    uint64_t count;
    unsigned output;
};

static const struct option_spec SPECS[] = {
    OPTION_PIN_DIR(struct watch_options, pin_dir, .help = "where the agent has pinned"),
    {.name = "count",
     .kind = OPTION_NUMBER,
     .value = "N",
     .min = 1,
     .max = UINT64_MAX,
     .offset = offsetof(struct watch_options, count),
     .help = "end after so many connections (default: when interrupted)"},
    OPTION_DATABASES(struct watch_options, databases),
    OPTION_OUTPUT(struct watch_options, output),
};

struct watch {
    const struct watch_options *options;
    struct databases databases;
    struct watcher *watcher;
    int signal_fd;
    uint64_t printed;
};

static void watch_done(struct watch *watch)
{
    watcher_freep(&watch->watcher);
    closep(&watch->signal_fd);
    databases_done(&watch->databases);
}

static void on_connection(const struct flow *flow, const struct syn_answer *answer, void *context)
{
    struct watch *watch = context;

    sighting_print(&flow->source, &flow->destination, answer, &watch->databases,
                   (enum output_format)watch->options->output);
    watch->printed++;
}

/* How many lines may still come, of one step. */
static unsigned room(const struct watch *watch)
{
    uint64_t left = watch->options->count - watch->printed;

    return watch->options->count && left < BATCH ? (unsigned)left : BATCH;
}

/* Returns true when it is time to end: by signal, by number, or because nobody reads on. */
static bool is_over(const struct watch *watch, const struct pollfd *signals)
{
    return signals->revents != 0 || (watch->options->count && !room(watch)) || ferror(stdout);
}

/* An agent that is being replaced leaves a gap without a set; that is said once, and waited out. */
static enum exit_status watch_on(struct watch *watch)
{
    bool said = false;

    for (;;) {
        struct pollfd fds[] = {{.fd = watch->signal_fd, .events = POLLIN},
                               {.fd = watcher_fd(watch->watcher), .events = POLLIN}};
        struct diag diag = {0};
        int r;

        if (poll(fds, 2, WATCHER_STEP_MS) < 0 && errno != EINTR)
            return STATUS_FAILURE;
        r = watcher_step(watch->watcher, room(watch), &diag);
        if (r < 0 && !said)
            (void)cli_complain(STATUS_OK, &diag);
        said = r < 0;
        (void)fflush(stdout);
        if (is_over(watch, &fds[0]))
            return STATUS_OK;
    }
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    CLEANUP(watch_done) struct watch watch = {.options = options, .signal_fd = -1};
    struct diag diag = {0};
    enum exit_status status = databases_load(&watch.options->databases, &watch.databases, &diag);

    (void)operands;
    (void)given;
    if (status != STATUS_OK)
        return cli_complain(status, &diag);
    if (signals_collect(&watch.signal_fd, &diag) < 0 ||
        watcher_open(watch.options->pin_dir, on_connection, &watch, &watch.watcher, &diag) < 0)
        return cli_complain(STATUS_FAILURE, &diag);
    (void)fprintf(stderr, "synauthz: watching %s\n", watch.options->pin_dir);
    return watch_on(&watch);
}

const struct verb VERB_WATCH = {
    .name = "watch",
    .summary = "connections as they are established, with their fingerprints",
    .synopsis = "[--pin-dir DIR] [--count N] [--database FILE|none]... [-o text|json]",
    .description =
        "Prints a line for each connection that is established on a captured port, as `lookup`\n"
        "would have shown it at that moment; on a host whose sockets cannot be followed, for each\n"
        "SYN.  Goes on until it is interrupted, also over a restart of the agent.\n"
        "\n"
        "Takes what the agent has: run it as root.  There is one watcher at a time, and the\n"
        "kernel side writes events only while there is one.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct watch_options),
    .run = run,
};
