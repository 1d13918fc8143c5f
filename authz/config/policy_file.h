/* SPDX-License-Identifier: Apache-2.0 */
/* From a policy file (YAML) to a compiled policy.
 *
 * Strict: an unknown or repeated key, a tag, an alias, a wrong type, an impossible value is an
 * error that names file, line and column, what was found, what was expected, and the nearest known
 * word. */
#ifndef POLICY_FILE_H
#define POLICY_FILE_H

#include "diag.h"
#include "str.h"

struct policy;

/* Returns 0 and a policy with one reference, or a negative errno with a message. */
int policy_file_load(const char *path, struct policy **ret_policy, struct diag *diag);

/* Same from memory; `name` stands for the file in messages. */
int policy_file_parse(struct str text, const char *name, struct policy **ret_policy,
                      struct diag *diag);

#endif
