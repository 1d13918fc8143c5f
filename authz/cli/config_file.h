/* SPDX-License-Identifier: Apache-2.0 */
/* `--config FILE`: the options of a verb, written down.
 *
 *     version: 1
 *     pin-dir: /run/synauthz/bpf     # for every verb that has the option
 *     agent:
 *       interface: [eth0]
 *       port: [443, 8443]
 *     serve:
 *       policy: /etc/synauthz/policy.yaml
 *       listen: ["unix:/run/synauthz/authz.sock,mode=0660,group=envoy"]
 *
 * Keys are the options' names; there is one table for both (options.h).  A list takes a sequence or
 * a single value, a flag true or false.  What the command line says wins, then what the verb's own
 * section says, then the top level; lists as a whole.  Strict, as policies are: unknown and
 * repeated keys and bad values are errors with file, line and column, also in the sections of the
 * other verbs. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "options.h"

struct config_file;

/* Which sections there are (config_sections.c); ends with a NULL name. */
struct config_section {
    const char *name;
    const struct option_table *options;
};
extern const struct config_section CONFIG_SECTIONS[];

/* Reads and checks the whole file and fills in `target` (of the section's options struct) where the
 * command line (`given`, see options_parse()) has said nothing.  Texts and lists that come from the
 * file are borrowed from `ret_file`: options_done() is for what options_parse() has filled in, so
 * `target` is a copy of that.
 *
 * Returns 0, or a negative errno with a message; then `target` may be half filled in. */
int config_file_read(const char *path, const char *section, const struct options_given *given,
                     void *target, struct config_file **ret_file, struct diag *diag);

/* Same from memory; `name` stands for the file in messages. */
int config_file_parse(struct str text, const char *name, const char *section,
                      const struct options_given *given, void *target,
                      struct config_file **ret_file, struct diag *diag);

/* The file's name, as it was given, and the line in it that says the option `index` of the section;
 * 0 where it is silent, or the command line says otherwise. */
const char *config_file_name(const struct config_file *file);
unsigned config_file_line(const struct config_file *file, size_t index);

void config_file_freep(struct config_file **file);

#endif
