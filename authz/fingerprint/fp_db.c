/* SPDX-License-Identifier: Apache-2.0 */
#include "fp_db.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "cleanup.h"
#include "file.h"
#include "fit.h"
#include "fp_build.h"

enum { FILE_SIZE_MAX = 64 << 20 };

struct fp_block {
    struct fp_block *next;
    max_align_t memory[];
};

void *fp_build_alloc(struct fp_db *db, size_t size)
{
    struct fp_block *block = calloc(1, sizeof(*block) + size);

    if (!block)
        return NULL;
    block->next = db->blocks;
    db->blocks = block;
    return block->memory;
}

char *fp_build_copy(struct fp_db *db, struct str text)
{
    char *copy = fp_build_alloc(db, text.len + 1);

    if (copy && text.len)
        memcpy(copy, text.ptr, text.len);
    return copy;
}

/* Index of the first link whose MTU is not smaller. */
static size_t find_link(const struct fp_db *db, unsigned mtu)
{
    size_t from = 0, to = db->link_count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (db->links[middle].mtu < mtu)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

int fp_build_link(struct fp_db *db, uint16_t mtu, const char *name)
{
    size_t at = find_link(db, mtu);
    struct fp_link *links;

    if (at < db->link_count && db->links[at].mtu == mtu)
        return 0;
    links = reallocarray(db->links, db->link_count + 1, sizeof(links[0]));
    if (!links)
        return -ENOMEM;
    memmove(links + at + 1, links + at, (db->link_count - at) * sizeof(links[0]));
    links[at] = (struct fp_link){mtu, name};
    db->links = links;
    db->link_count++;
    return 0;
}

int fp_build_signature(struct layout_index *index, const struct fp_entry *entry,
                       unsigned *ret_earlier_line)
{
    const struct fp_entry *const *earlier = NULL;
    struct fit_subject subject;
    size_t count =
        layout_index_find(index, entry->pattern.layout, entry->pattern.layout_length, &earlier);

    fit_subject_from_pattern(&entry->pattern, &subject);
    for (size_t i = 0; i < count; i++)
        if (!earlier[i]->label->generic &&
            fit_pattern(&earlier[i]->pattern, &subject) == FIT_EXACT) {
            *ret_earlier_line = earlier[i]->line;
            return -EEXIST;
        }
    return layout_index_add(index, entry);
}

size_t fp_db_candidates(const struct fp_db *db, const uint8_t *layout, size_t layout_length,
                        const struct fp_entry *const **ret_entries)
{
    return layout_index_find(&db->request, layout, layout_length, ret_entries);
}

const char *fp_db_link(const struct fp_db *db, unsigned mtu)
{
    size_t at = find_link(db, mtu);

    return at < db->link_count && db->links[at].mtu == mtu ? db->links[at].name : NULL;
}

unsigned fp_db_tolerated(const struct fp_db *db, unsigned *ret_first_line)
{
    if (db->tolerated)
        *ret_first_line = db->first_tolerated_line;
    return db->tolerated;
}

void fp_db_freep(struct fp_db **db)
{
    struct fp_db *doomed = *db;

    *db = NULL;
    if (!doomed)
        return;
    layout_index_done(&doomed->request);
    free(doomed->links);
    while (doomed->blocks) {
        struct fp_block *block = doomed->blocks;

        doomed->blocks = block->next;
        free(block);
    }
    free(doomed);
}

int fp_db_load(const char *path, struct fp_db **ret_db, struct diag *diag)
{
    CLEANUP(freep) char *text = NULL;
    size_t size = 0;
    int r;

    diag_set_file(diag, path);
    r = file_read(path, FILE_SIZE_MAX, &text, &size, diag);
    if (r < 0)
        return r;
    return fp_db_parse((struct str){text, size}, path, ret_db, diag);
}
