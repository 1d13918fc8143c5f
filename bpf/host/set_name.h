/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the folders that hold a set of maps: v<layout>, and v<layout>-<n> once sizes changed (a
 * BPF file system has no names with dots). */
#ifndef SET_NAME_H
#define SET_NAME_H

#include <stdbool.h>

enum { SET_NAME_MAX = 32 };

struct set_name {
    unsigned layout, number; /* number 0: v<layout> */
};

/* Of which no other text exists ("v2", not "v02" or "v2-0").  False when it is none. */
bool set_name_parse(const char *text, struct set_name *ret_name);
void set_name_format(struct set_name name, char ret_text[SET_NAME_MAX]);

/* As qsort() wants it: by layout, then by number. */
int set_name_compare(struct set_name a, struct set_name b);

#endif
