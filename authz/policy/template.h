/* SPDX-License-Identifier: Apache-2.0 */
/* Text with facts in it: "%{p0f}", "%{os.name|unknown}", "%{header:NAME}",
 * "%{metadata:NAMESPACE:key:key}", "100%%".
 *
 * Compiled at policy load.  A template whose fact has no value and no default is absent as a whole.
 * The result may hold any bytes that a request can hold: whoever sends it makes it valid for its
 * place. */
#ifndef TEMPLATE_H
#define TEMPLATE_H

#include "arena.h"
#include "diag.h"
#include "subject.h"

struct header_table;
struct template;

/* What templates know besides the facts of the subject; ptr NULL: absent. */
struct template_names {
    struct str rule; /* the one that decided, wherever the template stands */
    struct str policy;
    struct str revision;
    struct str decision_id;
};

/* Compile.  `place` is where `text` begins, for messages; headers that are shown get their slots in
 * `headers`.  Returns 0, or a negative errno with a message (unknown fact with the nearest known
 * one, "%" without "{" or "%", missing "}"). */
int template_compile(struct str text, struct place place, struct header_table *headers,
                     struct template **ret_template, struct diag *diag);
void template_freep(struct template **template);

/* The first of its facts that only a database of the policy gives a value; NULL: none. */
const char *template_needs_database(const struct template *template);

enum template_result {
    TEMPLATE_TEXT = 0,
    TEMPLATE_ABSENT,    /* a fact has no value and no default */
    TEMPLATE_EXHAUSTED, /* the arena is full */
};

/* A template without facts costs nothing: the text is borrowed from it. */
enum template_result template_render(const struct template *template, const struct subject *subject,
                                     const struct template_names *names, struct arena *arena,
                                     struct str *ret_text);

#endif
