/* SPDX-License-Identifier: Apache-2.0 */
#include "agent_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "agent_settings.h"
#include "oplog.h"

void agent_log_start(const struct node_config *config, const struct node_status *status)
{
    oplog_info("--capture %s, pinned in %s/%s%s", AGENT_CAPTURE_MODES[config->mode],
               config->pin_dir, status->set, status->took_over ? ", taken over" : "");
    oplog_info("maps for %u pending and %u live: %" PRIu64 " bytes", config->max_pending,
               config->max_live, status->map_bytes);
    if (status->tracked)
        oplog_info("SYNs are verified by the kernel's sockets");
    else
        oplog_info("SYNs are `captured`, not verified: %s", status->why_untracked);
}

/* --- hooks ------------------------------------------------------------------------------------ */

static const struct node_hook *find_hook(const struct node_hook *hooks, size_t count,
                                         const struct node_hook *like)
{
    for (size_t i = 0; i < count; i++)
        if (hooks[i].kind == like->kind && strcmp(hooks[i].target, like->target) == 0)
            return &hooks[i];
    return NULL;
}

/* Where nothing is attached, `why` says what is in the way, and in most cases what stands in for
 * it; what makes the node not ready is said with that. */
static void say_new_hooks(const struct agent_log *log, const struct node_status *status)
{
    for (size_t i = 0; i < status->hook_count; i++) {
        const struct node_hook *hook = &status->hooks[i];
        const struct node_hook *before = find_hook(log->hooks, log->hook_count, hook);

        if (hook->attached && !(before && before->attached))
            oplog_info("capturing on %s with %s: %s", hook->target, NODE_HOOK_NAMES[hook->kind],
                       hook->why);
        else if (!hook->attached && !before && status->ready)
            oplog_info("not capturing on %s: %s", hook->target, hook->why);
    }
}

/* Those that are not asked for any more.  When a device goes, the node says so. */
static void say_lost_hooks(const struct agent_log *log, const struct node_status *status)
{
    if (status->device_losses != log->device_losses)
        return;
    for (size_t i = 0; i < log->hook_count; i++)
        if (log->hooks[i].attached && !find_hook(status->hooks, status->hook_count, &log->hooks[i]))
            oplog_info("not capturing on %s with %s any more", log->hooks[i].target,
                       NODE_HOOK_NAMES[log->hooks[i].kind]);
}

/* Without memory the old ones stay, and lines may come twice. */
static void keep_hooks(struct agent_log *log, const struct node_status *status)
{
    struct node_hook *hooks = reallocarray(log->hooks, status->hook_count + 1, sizeof(*hooks));

    if (!hooks)
        return;
    if (status->hook_count)
        memcpy(hooks, status->hooks, status->hook_count * sizeof(*hooks));
    log->hooks = hooks;
    log->hook_count = status->hook_count;
    log->device_losses = status->device_losses;
}

static size_t count_attached(const struct node_status *status)
{
    size_t count = 0;

    for (size_t i = 0; i < status->hook_count; i++)
        count += status->hooks[i].attached;
    return count;
}

/* --- readiness -------------------------------------------------------------------------------- */

static void say_readiness(const struct agent_log *log, const struct node_status *status)
{
    size_t attached = count_attached(status);

    if (status->ready && !log->has_been_ready)
        oplog_info("ready, %zu hook%s attached", attached, attached == 1 ? "" : "s");
    else if (status->ready && !log->is_ready)
        oplog_info("ready again");
    else if (!status->ready && !log->has_been_ready && !log->has_said_why_not)
        oplog_info("waiting: %s", status->why);
    else if (!status->ready && log->is_ready && !status->unpinned) /* the node has said that */
        oplog_error("capture is not complete: %s", status->why);
}

bool agent_log_report(struct agent_log *log, const struct node_status *status)
{
    bool is_first = status->ready && !log->has_been_ready;

    say_new_hooks(log, status);
    say_lost_hooks(log, status);
    keep_hooks(log, status);
    say_readiness(log, status);
    log->has_been_ready = log->has_been_ready || status->ready;
    log->is_ready = status->ready;
    log->has_said_why_not = !status->ready;
    return is_first;
}

void agent_log_done(struct agent_log *log)
{
    free(log->hooks);
    *log = (struct agent_log){0};
}
