/* SPDX-License-Identifier: Apache-2.0 */
/* What `doctor` says: the findings of probe.h, what follows from them (choose.h), and what that
 * sees (coverage.h). */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdio.h>

#include "coverage.h"
#include "probe.h"

enum { DOCTOR_WHY_MAX = 640 };

/* A hook that `agent --capture auto` would attach, or why it cannot be said or had. */
struct doctor_choice {
    const char *hook; /* by NODE_HOOK_NAMES; NULL: none, or not known */
    char why[DOCTOR_WHY_MAX];
};

struct doctor {
    struct probe_report report;
    const char *capture; /* "tracked", "untracked" or "none" */
    char why[DOCTOR_WHY_MAX];

    enum probe_answer tracking;
    char tracking_why[DOCTOR_WHY_MAX];
    struct doctor_choice cgroups;
    struct doctor_choice devices[PROBE_DEVICES_MAX];

    bool coverage_known;
    struct coverage_choice coverage;
};

/* Looks at the host and concludes.  Large: for the heap. */
void doctor_examine(const struct probe_config *config, struct doctor *ret_doctor);

/* Conclude from the report alone. */
void doctor_conclude(struct doctor *doctor);

void doctor_print_text(const struct doctor *doctor, FILE *out);
void doctor_print_json(const struct doctor *doctor, FILE *out);

#endif
