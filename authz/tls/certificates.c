/* SPDX-License-Identifier: Apache-2.0 */
#include "certificates.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "cleanup.h"

enum { FILE_COUNT = 3 };

/* What a file is known by; all zero when it is not there. */
struct file_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct stamps {
    struct file_stamp of[FILE_COUNT];
};

struct certificates {
    pthread_mutex_t lock; /* of `live` */
    struct credentials *live;
    struct credential_files files; /* those that were last read, or tried; owned */
    struct stamps tried, seen;
};

/* --- files ------------------------------------------------------------------------------------ */

static struct file_stamp stamp_of(const char *path)
{
    struct stat st;

    if (!path || stat(path, &st) < 0)
        return (struct file_stamp){0};
    return (struct file_stamp){st.st_dev, st.st_ino, st.st_size, st.st_ctim};
}

static struct stamps stamps_of(const struct credential_files *files)
{
    return (struct stamps){
        .of = {stamp_of(files->certificate), stamp_of(files->key), stamp_of(files->trusted)},
    };
}

static bool stamps_differ(const struct stamps *a, const struct stamps *b)
{
    for (unsigned i = 0; i < FILE_COUNT; i++) {
        const struct file_stamp *left = &a->of[i], *right = &b->of[i];

        if (left->device != right->device || left->inode != right->inode ||
            left->size != right->size || left->changed.tv_sec != right->changed.tv_sec ||
            left->changed.tv_nsec != right->changed.tv_nsec)
            return true;
    }
    return false;
}

/* --- a copy of their names -------------------------------------------------------------------- */

static void files_done(struct credential_files *files)
{
    for (size_t i = 0; i < files->client_name_count; i++)
        freep(&files->client_names[i]);
    freep(&files->client_names);
    freep(&files->certificate);
    freep(&files->key);
    freep(&files->trusted);
}

/* NULL stays NULL.  Returns false without memory. */
static bool copy_text(const char *text, const char **ret_copy)
{
    *ret_copy = text ? str_dup(str_from(text)) : NULL;
    return !text || *ret_copy;
}

static int copy_names(const struct credential_files *files, struct credential_files *copy)
{
    if (files->client_name_count == 0)
        return 0;
    copy->client_names = calloc(files->client_name_count, sizeof(*copy->client_names));
    if (!copy->client_names)
        return -ENOMEM;
    for (; copy->client_name_count < files->client_name_count; copy->client_name_count++)
        if (!copy_text(files->client_names[copy->client_name_count],
                       &copy->client_names[copy->client_name_count]))
            return -ENOMEM;
    return 0;
}

static int copy_files(const struct credential_files *files, struct credential_files *ret_copy)
{
    CLEANUP(files_done) struct credential_files copy = {.role = TLS_SERVER};

    if (!copy_text(files->certificate, &copy.certificate) || !copy_text(files->key, &copy.key) ||
        !copy_text(files->trusted, &copy.trusted) || copy_names(files, &copy) < 0)
        return -ENOMEM;
    *ret_copy = copy;
    copy = (struct credential_files){.role = TLS_SERVER};
    return 0;
}

/* --- the live ones ---------------------------------------------------------------------------- */

static void replace(struct certificates *certificates, struct credentials *fresh)
{
    struct credentials *old;

    (void)pthread_mutex_lock(&certificates->lock);
    old = certificates->live;
    certificates->live = fresh;
    (void)pthread_mutex_unlock(&certificates->lock);
    credentials_freep(&old);
}

static struct credentials *take_reference(struct certificates *certificates)
{
    struct credentials *live;

    (void)pthread_mutex_lock(&certificates->lock);
    live = credentials_ref(certificates->live);
    (void)pthread_mutex_unlock(&certificates->lock);
    return live;
}

/* The stamps are those from before the reading: what changes meanwhile is read once more. */
int certificates_read_again(struct certificates *certificates, struct diag *diag)
{
    struct credentials *fresh = NULL;
    int r;

    certificates->tried = certificates->seen = stamps_of(&certificates->files);
    r = credentials_read(&certificates->files, &fresh, diag);
    if (r == 0)
        replace(certificates, fresh);
    return r;
}

int certificates_move(struct certificates *certificates, const struct credential_files *files,
                      struct diag *diag)
{
    struct credential_files copy;
    int r = copy_files(files, &copy);

    if (r < 0)
        return r;
    files_done(&certificates->files);
    certificates->files = copy;
    return certificates_read_again(certificates, diag);
}

int certificates_open(const struct credential_files *files, struct certificates **ret_certificates,
                      struct diag *diag)
{
    CLEANUP(certificates_freep)
    struct certificates *certificates = calloc(1, sizeof(*certificates));
    int r;

    if (!certificates)
        return -ENOMEM;
    (void)pthread_mutex_init(&certificates->lock, NULL);
    r = certificates_move(certificates, files, diag);
    if (r < 0)
        return r;
    *ret_certificates = TAKE_PTR(certificates);
    return 0;
}

void certificates_freep(struct certificates **slot)
{
    struct certificates *certificates = TAKE_PTR(*slot);

    if (!certificates)
        return;
    credentials_freep(&certificates->live);
    files_done(&certificates->files);
    (void)pthread_mutex_destroy(&certificates->lock);
    free(certificates);
}

bool certificates_have_changed(struct certificates *certificates)
{
    const struct stamps now = stamps_of(&certificates->files);
    const bool has_settled = !stamps_differ(&now, &certificates->seen);

    certificates->seen = now;
    return has_settled && stamps_differ(&now, &certificates->tried);
}

struct ssl_st *certificates_begin_session(struct certificates *certificates, int fd)
{
    struct credentials *live = take_reference(certificates);
    struct ssl_st *session = credentials_begin_session(live, fd);

    credentials_freep(&live);
    return session;
}

time_t certificates_expiry(struct certificates *certificates)
{
    struct credentials *live = take_reference(certificates);
    const time_t expiry = credentials_expiry(live);

    credentials_freep(&live);
    return expiry;
}
