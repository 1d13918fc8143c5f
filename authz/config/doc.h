/* SPDX-License-Identifier: Apache-2.0 */
/* A YAML document as a tree of nodes that know where they stand.
 *
 * The only user of libyaml.  Stricter than YAML: one document; no tags, anchors or aliases; keys
 * are text and unique in their mapping; no NUL and no control characters; bounded in size, depth
 * and number of nodes.  Text that YAML reads otherwise than its author meant ("%{p0f}", "*:64:...",
 * ">= 1400", "a: b" without quotes) is answered with "quote it".
 *
 * All scalars are text: what "1" or "true" means is for the reader of the key to say. */
#ifndef DOC_H
#define DOC_H

#include <stdbool.h>
#include <stddef.h>

#include "diag.h"
#include "str.h"

enum {
    DOC_BYTES_MAX = 8 << 20,
    DOC_DEPTH_MAX = 32,
    DOC_NODES_MAX = 1 << 19,
};

enum node_kind { NODE_SCALAR = 0, NODE_SEQUENCE, NODE_MAPPING };

struct node {
    enum node_kind kind;
    struct place place;

    /* In a mapping each node is a value and has its key; ptr NULL elsewhere. */
    struct str key;
    struct place key_place;

    /* Children in the order of the file: values of a mapping, items of a sequence. */
    struct node *first;
    struct node *next; /* the next child of the same parent */
    size_t count;

    /* Of a scalar. */
    struct str text;
    bool plain;        /* written without quotes and not as a block ("|", ">") */
    size_t verbatim;   /* so many bytes of `text` stand in the file as they are */
    unsigned opening;  /* bytes between `place` and the first of them: 1 for a quote */
    bool before_comma; /* plain, and a comma ended it: [a,b] */
};

struct doc;

/* Returns 0, or a negative errno with a message: -EINVAL for what the text is, -ENOMEM.  `text` is
 * borrowed until return. The file's name in messages is what diag_set_file() said. */
int doc_parse(struct str text, struct doc **ret_doc, struct diag *diag);
void doc_freep(struct doc **doc);

const struct node *doc_root(const struct doc *doc);

/* Of a mapping: the value under `key`, or NULL. */
const struct node *node_find(const struct node *mapping, struct str key);

/* Is it a value that was left out ("key:")? */
bool node_is_empty(const struct node *node);

/* Where byte `offset` of a scalar's text stands in the file.  Behind an escape sequence or a folded
 * line that is not known any more: then it is where the scalar begins. */
struct place node_place_at(const struct node *node, size_t offset);

/* What was found, for messages: "a mapping", "a sequence", "nothing", "\"text\"" (cut when long).
 */
enum { NODE_FOUND_MAX = 64 };
const char *node_found(const struct node *node, char buffer[NODE_FOUND_MAX]);

#endif
