/* SPDX-License-Identifier: Apache-2.0 */
#include "databases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void warn_tolerated(const char *path, const struct fp_db *db)
{
    unsigned first, count = fp_db_tolerated(db, &first);

    if (count)
        (void)fprintf(
            stderr,
            "synauthz: %s:%u: warning: blanks or a carriage return at the end of the line "
            "(%u such lines); p0f itself may refuse this file\n",
            path, first, count);
}

static bool has_none(const struct text_list *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (strcmp(paths->items[i], "none") == 0)
            return true;
    return false;
}

static int load_all(const struct text_list *paths, struct databases *databases, struct diag *diag)
{
    databases->items = calloc(paths->count, sizeof(databases->items[0]));
    if (!databases->items)
        return -ENOMEM;
    for (size_t i = 0; i < paths->count; i++) {
        int r = fp_db_load(paths->items[i], &databases->items[i], diag);

        if (r < 0)
            return r;
        databases->count++;
        warn_tolerated(paths->items[i], databases->items[i]);
    }
    return 0;
}

enum exit_status databases_load(const struct text_list *paths, struct databases *ret_databases,
                                struct diag *diag)
{
    int r;

    *ret_databases = (struct databases){0};
    if (has_none(paths) && paths->count > 1) {
        (void)diag_set(diag, -EINVAL, "--database none goes with no other --database");
        return STATUS_USAGE;
    }
    if (has_none(paths) || paths->count == 0)
        return STATUS_OK;
    r = load_all(paths, ret_databases, diag);
    if (r == 0)
        return STATUS_OK;
    return r == -EINVAL ? STATUS_INVALID : STATUS_FAILURE;
}

void databases_done(struct databases *databases)
{
    for (size_t i = 0; i < databases->count; i++)
        fp_db_freep(&databases->items[i]);
    free(databases->items);
    *databases = (struct databases){0};
}
