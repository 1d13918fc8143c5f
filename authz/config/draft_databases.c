/* SPDX-License-Identifier: Apache-2.0 */
/* The databases of a policy: the value of `databases`. */
#include "draft.h"

#include <errno.h>
#include <stdlib.h>

#include "cleanup.h"
#include "file.h"
#include "fp_db.h"
#include "policy.h"

enum { DATABASE_BYTES_MAX = 64 << 20 };

/* A relative path is relative to the policy's file.  Owned by the caller; NULL without memory. */
static char *path_of(const struct draft *draft, struct str name)
{
    const char *policy = draft->policy->file, *slash = strrchr(policy, '/');
    size_t folder = slash && name.ptr[0] != '/' ? (size_t)(slash - policy) + 1 : 0;
    char *path = malloc(folder + name.len + 1);

    if (!path)
        return NULL;
    memcpy(path, policy, folder);
    memcpy(path + folder, name.ptr, name.len);
    path[folder + name.len] = '\0';
    return path;
}

/* What is wrong inside a database has a place there; what is wrong with the file has that of its
 * name in the policy. */
static int say(struct draft *draft, const struct node *node, const struct diag *inner, int error)
{
    if (error == -ENOMEM)
        return draft_no_memory(draft);
    if (!inner->place.line)
        return diag_set_at(draft->diag, -EINVAL, node->place, "database \"%" PRIstr "\": %s",
                           STR_ARG(node->text), inner->text);
    diag_set_file(draft->diag, inner->file);
    return diag_set_at(draft->diag, -EINVAL, inner->place, "%s", inner->text);
}

static int load(struct draft *draft, const struct node *node)
{
    struct policy *policy = draft->policy;
    CLEANUP(freep) char *path = path_of(draft, node->text), *text = NULL;
    struct diag inner = {0};
    size_t size = 0;
    int r;

    if (!path)
        return draft_no_memory(draft);
    diag_set_file(&inner, path);
    r = file_read(path, DATABASE_BYTES_MAX, &text, &size, &inner);
    if (r == 0)
        r = fp_db_parse((struct str){text, size}, path, &policy->databases[policy->database_count],
                        &inner);
    if (r < 0)
        return say(draft, node, &inner, r);
    digest_sha256_hex(&(struct str){text, size}, 1, draft->digests[policy->database_count++]);
    return 0;
}

static int read_database(struct draft *draft, const struct node *node)
{
    int r = draft_expect_text(draft, node, "the path of a file in p0f.fp format");

    if (r < 0)
        return r;
    if (str_eq(node->text, STR("builtin")))
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found \"builtin\", but this program has no database of its own yet; "
                           "name a file in p0f.fp format, like /etc/p0f/p0f.fp");
    return load(draft, node);
}

int draft_read_databases(struct draft *draft, const struct node *node)
{
    struct policy *policy = draft->policy;
    int r = draft_expect(draft, node, NODE_SEQUENCE, "a sequence of files in p0f.fp format");

    if (r < 0)
        return r;
    if (node->count > DRAFT_DATABASES_MAX)
        return diag_set_at(draft->diag, -EINVAL, node->place,
                           "found %zu databases, expected at most %d", node->count,
                           DRAFT_DATABASES_MAX);
    policy->databases = calloc(node->count + 1, sizeof(*policy->databases));
    if (!policy->databases)
        return draft_no_memory(draft);
    for (const struct node *item = node->first; item && r == 0; item = item->next)
        r = read_database(draft, item);
    return r;
}
