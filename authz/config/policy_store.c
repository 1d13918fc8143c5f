/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "cleanup.h"
#include "policy.h"
#include "policy_file.h"
#include "rule_series.h"

struct policy_store {
    char *path;
    const struct str *headers; /* read for others than the policy; borrowed */
    size_t header_count;
    struct rule_series series;
    pthread_mutex_t lock; /* of `policy`, and of changes of `generation` */
    struct policy *policy;
    atomic_uint_fast64_t generation; /* counts the replacements, from 1 */
};

static int add_headers(struct policy *policy, const struct str *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int slot = header_table_add_read(policy->headers, names[i]);

        if (slot < 0)
            return slot;
    }
    return 0;
}

/* A policy as it goes live. */
static int load(struct policy_store *store, struct policy **ret_policy, struct diag *diag)
{
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    int r = policy_file_load(store->path, &policy, diag);

    if (r < 0)
        return r;
    r = add_headers(policy, store->headers, store->header_count);
    if (r < 0)
        return diag_set(diag, r, "out of memory");
    rule_series_number(&store->series, policy);
    *ret_policy = TAKE_PTR(policy);
    return 0;
}

int policy_store_open(const char *path, struct policy_store **ret_store, struct diag *diag)
{
    CLEANUP(policy_store_freep) struct policy_store *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return diag_set(diag, -ENOMEM, "out of memory");
    (void)pthread_mutex_init(&store->lock, NULL); /* cannot fail with default attributes */
    rule_series_init(&store->series);
    atomic_init(&store->generation, 1);
    store->path = str_dup(str_from(path));
    if (!store->path)
        return diag_set(diag, -ENOMEM, "out of memory");
    r = load(store, &store->policy, diag);
    if (r < 0)
        return r;
    *ret_store = TAKE_PTR(store);
    return 0;
}

void policy_store_freep(struct policy_store **slot)
{
    struct policy_store *store = *slot;

    *slot = NULL;
    if (!store)
        return;
    policy_unref(store->policy);
    rule_series_done(&store->series);
    (void)pthread_mutex_destroy(&store->lock);
    free(store->path);
    free(store);
}

int policy_store_read_headers(struct policy_store *store, const struct str *names, size_t count)
{
    store->headers = names;
    store->header_count = count;
    return add_headers(store->policy, names, count);
}

struct rule_series *policy_store_series(struct policy_store *store)
{
    return &store->series;
}

int policy_store_reload(struct policy_store *store, struct diag *diag)
{
    struct policy *loaded, *replaced;
    int r = load(store, &loaded, diag);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&store->lock);
    replaced = store->policy;
    store->policy = loaded;
    atomic_fetch_add_explicit(&store->generation, 1, memory_order_release);
    (void)pthread_mutex_unlock(&store->lock);
    policy_unref(replaced);
    return 0;
}

int policy_store_move(struct policy_store *store, const char *path, struct diag *diag)
{
    CLEANUP(freep) char *other = str_dup(str_from(path));
    char *before = store->path;
    int r;

    if (!other)
        return diag_set(diag, -ENOMEM, "out of memory");
    store->path = other;
    r = policy_store_reload(store, diag);
    if (r < 0) {
        store->path = before;
        return r;
    }
    other = before; /* freed */
    return 0;
}

static void reader_refresh(struct policy_reader *reader, struct policy_store *store)
{
    struct policy *outdated = reader->policy;

    (void)pthread_mutex_lock(&store->lock);
    reader->policy = policy_ref(store->policy);
    reader->generation = atomic_load_explicit(&store->generation, memory_order_relaxed);
    (void)pthread_mutex_unlock(&store->lock);
    policy_unref(outdated);
}

const struct policy *policy_reader_get(struct policy_reader *reader, struct policy_store *store)
{
    if (reader->generation != atomic_load_explicit(&store->generation, memory_order_acquire))
        reader_refresh(reader, store);
    return reader->policy;
}

void policy_reader_done(struct policy_reader *reader)
{
    policy_unref(reader->policy);
    *reader = (struct policy_reader){0};
}
