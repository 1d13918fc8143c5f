/* SPDX-License-Identifier: Apache-2.0 */
/* `cleanup`: what agents have left attached and pinned goes. */
#include "cli.h"

#include "node.h"
#include "shared_options.h"

struct cleanup_options {
    const char *pin_dir;
};

static const struct option_spec SPECS[] = {
    OPTION_PIN_DIR(struct cleanup_options, pin_dir, .help = "where the agent has pinned"),
};

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    const struct cleanup_options *cleanup = options;
    struct diag diag = {0};
    unsigned removed = 0;

    (void)operands;
    (void)given;
    if (node_cleanup(cleanup->pin_dir, &removed, &diag) < 0)
        return cli_complain(STATUS_FAILURE, &diag);
    if (removed)
        (void)printf("%s: %u pins removed, nothing is captured any more\n", cleanup->pin_dir,
                     removed);
    else
        (void)printf("%s: nothing there\n", cleanup->pin_dir);
    return STATUS_OK;
}

const struct verb VERB_CLEANUP = {
    .name = "cleanup",
    .summary = "detach and remove everything that an agent has left running",
    .synopsis = "[--pin-dir DIR]",
    .description =
        "An agent that ends leaves capture running, so that nothing is lost until the next one\n"
        "starts.  This ends it: every hook is detached, every pin removed, and the bpffs that the\n"
        "agent had mounted is unmounted.  Running it where nothing is left does nothing.  What "
        "other\n"
        "programs have pinned there stays, and is named.\n"
        "\n"
        "Refuses while an agent runs.  Needs root; of its capabilities SYS_ADMIN to unmount (else\n"
        "an empty bpffs stays), NET_ADMIN to remove clsact hooks, BPF before Linux 5.19.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct cleanup_options),
    .run = run,
};
