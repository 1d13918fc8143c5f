/* SPDX-License-Identifier: Apache-2.0 */
/* `doctor`: can this host capture, how would it, what would that see, and what is in the way. */
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "cli.h"
#include "doctor.h"
#include "shared_options.h"

struct doctor_options {
    const char *pin_dir;
    struct text_list interfaces;
    unsigned output;
};

static const struct option_spec SPECS[] = {
    {.name = "interface",
     .kind = OPTION_LIST,
     .value = "IFACE",
     .help = "a device to look at, a name or a shell pattern; may be repeated\n"
             "(default: all that are up, but for loopback)",
     .offset = offsetof(struct doctor_options, interfaces)},
    OPTION_PIN_DIR(struct doctor_options, pin_dir, .help = "where the agent pins"),
    OPTION_OUTPUT(struct doctor_options, output),
};

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    const struct doctor_options *wanted = options;
    const struct probe_config config = {.pin_dir = wanted->pin_dir,
                                        .interfaces = wanted->interfaces.items,
                                        .interface_count = wanted->interfaces.count};
    CLEANUP(freep) struct doctor *doctor = malloc(sizeof(*doctor));

    (void)operands;
    (void)given;
    if (!doctor)
        return cli_complain(STATUS_FAILURE, &(struct diag){.text = "out of memory"});
    doctor_examine(&config, doctor);
    if (wanted->output == OUTPUT_JSON)
        doctor_print_json(doctor, stdout);
    else
        doctor_print_text(doctor, stdout);
    return strcmp(doctor->capture, "none") == 0 ? STATUS_NEGATIVE : STATUS_OK;
}

const struct verb VERB_DOCTOR = {
    .name = "doctor",
    .summary = "say what this host can capture, and what is in the way",
    .synopsis = "[--interface IFACE...] [--pin-dir DIR] [-o text|json]",
    .description =
        "Finds out by trying: loads the programs into the smallest maps and attaches them to a\n"
        "loopback device made for that; the host's devices, control groups and pins are only\n"
        "looked at.  Anybody may run it; what cannot be known without privileges is said to be\n"
        "unknown.  Exit status 0 when capture is possible, 4 when not.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct doctor_options),
    .run = run,
};
