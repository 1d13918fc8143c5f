/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "cleanup.h"
#include "str.h"

enum {
    TICK_MS = 250,              /* while there are connections, how often their age is looked at */
    CONNECTION_BYTES = 8 << 10, /* for the head of a request */
    /* Those that are asked to go leave a moment later. */
    GUESTS_MAX = 2 * ADMIN_CONNECTIONS_MAX
};

/* A connection that libmicrohttpd holds. */
struct guest {
    int fd; /* -1: free */
    bool is_going;
    uint64_t number; /* in the order of their coming */
    int64_t since_ms;
};

struct admin {
    struct admin_pages pages;
    int listen_fd, stop_fd;
    struct MHD_Daemon *daemon;
    struct guest guests[GUESTS_MAX];
    unsigned guest_count, going_count;
    uint64_t guests_ever;
    bool is_resting; /* there are no descriptors */
    pthread_t thread;
};

/* --- pages ------------------------------------------------------------------------------------ */

static const char METRICS_TYPE[] = "text/plain; version=0.0.4; charset=utf-8";
static const char JSON_TYPE[] = "application/json";
static const char TEXT_TYPE[] = "text/plain; charset=utf-8";

struct answer {
    unsigned status;
    const char *type;
    char *text; /* on the heap; NULL: no memory */
    size_t length;
};

static struct answer answer_text(unsigned status, const char *text)
{
    return (struct answer){status, TEXT_TYPE, str_dup(str_from(text)), strlen(text)};
}

static struct answer render_metrics(struct admin *admin)
{
    struct metric_page page = {0};

    admin->pages.metrics(admin->pages.context, &page);
    if (page.failed)
        return answer_text(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    return (struct answer){MHD_HTTP_OK, METRICS_TYPE, page.text, page.length};
}

static struct answer render_config(struct admin *admin)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    if (out) {
        admin->pages.config(admin->pages.context, out);
        (void)fputc('\n', out);
    }
    if (!out || fclose(out) != 0) {
        free(text);
        return answer_text(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
    }
    return (struct answer){MHD_HTTP_OK, JSON_TYPE, text, length};
}

static struct answer render_probe(struct admin *admin, bool (*probe)(void *, char *))
{
    char why[ADMIN_WHY_MAX] = "", line[ADMIN_WHY_MAX + 1];

    if (probe(admin->pages.context, why))
        return answer_text(MHD_HTTP_OK, "ok\n");
    (void)snprintf(line, sizeof(line), "%s\n", why);
    return answer_text(MHD_HTTP_SERVICE_UNAVAILABLE, line);
}

static struct answer render_livez(struct admin *admin)
{
    return render_probe(admin, admin->pages.is_live);
}

static struct answer render_readyz(struct admin *admin)
{
    return render_probe(admin, admin->pages.is_ready);
}

static const struct {
    const char *path;
    struct answer (*render)(struct admin *admin);
} PAGES[] = {{"/metrics", render_metrics},
             {"/config", render_config},
             {"/livez", render_livez},
             {"/readyz", render_readyz}};
#define THE_PAGES "there are /metrics, /config, /livez and /readyz\n"

static struct answer render(struct admin *admin, const char *path)
{
    for (size_t i = 0; i < sizeof(PAGES) / sizeof(PAGES[0]); i++)
        if (strcmp(path, PAGES[i].path) == 0)
            return PAGES[i].render(admin);
    return answer_text(MHD_HTTP_NOT_FOUND, THE_PAGES);
}

/* --- requests --------------------------------------------------------------------------------- */

static bool has_body(struct MHD_Connection *connection)
{
    const char *length =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return (length && strcmp(length, "0") != 0) ||
           MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
                                       MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static struct answer answer_request(struct admin *admin, struct MHD_Connection *connection,
                                    const char *path, const char *method)
{
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(MHD_HTTP_METHOD_NOT_ALLOWED, "there are GET and HEAD\n");
    if (has_body(connection))
        return answer_text(MHD_HTTP_CONTENT_TOO_LARGE, "a request has no body here\n");
    return render(admin, path);
}

static bool add_headers(struct MHD_Response *response, const struct answer *answer)
{
    return MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->type) &&
           MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") &&
           MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close") &&
           (answer->status != MHD_HTTP_METHOD_NOT_ALLOWED ||
            MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD"));
}

/* MHD_NO, after which the connection is closed, where there is no memory for an answer. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, const struct answer *answer)
{
    enum MHD_Result sent = MHD_NO;
    struct MHD_Response *response;

    if (!answer->text)
        return MHD_NO;
    response = MHD_create_response_from_buffer(answer->length, answer->text, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(answer->text);
        return MHD_NO;
    }
    if (add_headers(response, answer))
        sent = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return sent;
}

/* Called once for each request, with its head: an answer that is queued then makes libmicrohttpd
 * read nothing more. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **request)
{
    struct answer answer = answer_request(context, connection, url, method);

    (void)version;
    (void)upload_data;
    (void)upload_size;
    (void)request;
    return send_answer(connection, &answer);
}

/* --- connections ------------------------------------------------------------------------------ */

static int64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* libmicrohttpd sees the end of the stream, and closes. */
static void end_guest(struct admin *admin, struct guest *guest)
{
    (void)shutdown(guest->fd, SHUT_RDWR);
    guest->is_going = true;
    admin->going_count++;
}

static bool is_here(const struct guest *guest)
{
    return guest->fd >= 0 && !guest->is_going;
}

static void end_oldest_guest(struct admin *admin)
{
    struct guest *oldest = NULL;

    for (struct guest *guest = admin->guests; guest < admin->guests + GUESTS_MAX; guest++)
        if (is_here(guest) && (!oldest || guest->number < oldest->number))
            oldest = guest;
    if (oldest)
        end_guest(admin, oldest);
}

static void end_overdue_guests(struct admin *admin)
{
    const int64_t now = now_ms();

    for (struct guest *guest = admin->guests; guest < admin->guests + GUESTS_MAX; guest++)
        if (is_here(guest) && now - guest->since_ms >= ADMIN_CONNECTION_MS)
            end_guest(admin, guest);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct admin *admin = context;
    struct guest *guest = admin->guests;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        while (guest->fd >= 0) /* libmicrohttpd has the same limit: one is free */
            guest++;
        *guest = (struct guest){
            .fd =
                MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            .number = admin->guests_ever++,
            .since_ms = now_ms(),
        };
        *socket_context = guest;
        admin->guest_count++;
        return;
    }
    guest = *socket_context;
    admin->guest_count--;
    admin->going_count -= guest->is_going;
    guest->fd = -1;
}

/* Our own accept(): that of libmicrohttpd 0.9.75 has room for the addresses of IP alone, and copies
 * as many bytes as a longer one has, which is what a client of a unix socket may choose. Returns
 * false when there is none, or no descriptor for it. */
static bool accept_guest(struct admin *admin)
{
    const struct sockaddr nameless = {.sa_family = AF_UNIX};
    int fd = accept4(admin->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        admin->is_resting = errno != EAGAIN;
        return false;
    }
    (void)MHD_add_connection(admin->daemon, fd, &nameless, sizeof(nameless)); /* else closes it */
    if (admin->guest_count - admin->going_count > ADMIN_CONNECTIONS_MAX)
        end_oldest_guest(admin);
    return true;
}

static void accept_guests(struct admin *admin)
{
    admin->is_resting = false;
    while (admin->guest_count < GUESTS_MAX && accept_guest(admin))
        ;
}

/* --- the thread ------------------------------------------------------------------------------- */

static int wait_ms(const struct admin *admin)
{
    MHD_UNSIGNED_LONG_LONG wanted;

    if (MHD_get_timeout(admin->daemon, &wanted) == MHD_YES && wanted < TICK_MS)
        return (int)wanted;
    return admin->guest_count > 0 || admin->is_resting ? TICK_MS : -1;
}

static void *run(void *context)
{
    struct admin *admin = context;
    struct pollfd polls[] = {
        {.fd = admin->stop_fd, .events = POLLIN},
        {.fd = MHD_get_daemon_info(admin->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
         .events = POLLIN},
        {.fd = admin->listen_fd},
    };

    (void)pthread_setname_np(pthread_self(), "admin");
    while (!polls[0].revents) {
        const bool has_room = admin->guest_count < GUESTS_MAX && !admin->is_resting;

        polls[2].events = has_room ? POLLIN : 0;
        (void)poll(polls, sizeof(polls) / sizeof(polls[0]), wait_ms(admin));
        end_overdue_guests(admin);
        (void)MHD_run(admin->daemon);
        accept_guests(admin);
    }
    return NULL;
}

static int start_thread(struct admin *admin)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&admin->thread, NULL, run, admin);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -r;
}

static int start_daemon(struct admin *admin)
{
    admin->daemon =
        MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, admin,
                         MHD_OPTION_CONNECTION_LIMIT, (unsigned)GUESTS_MAX,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
                         MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
                         MHD_OPTION_NOTIFY_CONNECTION, on_connection, admin, MHD_OPTION_END);
    return admin->daemon ? 0 : -EIO;
}

static void admin_freep(struct admin **admin)
{
    if (!*admin)
        return;
    if ((*admin)->daemon)
        MHD_stop_daemon((*admin)->daemon);
    closep(&(*admin)->stop_fd);
    closep(&(*admin)->listen_fd);
    freep(admin);
}

static int start(int fd, const struct admin_pages *pages, struct admin **ret_admin)
{
    CLEANUP(closep) int listen_fd = fd;
    CLEANUP(admin_freep) struct admin *admin = calloc(1, sizeof(*admin));
    int r;

    if (!admin)
        return -ENOMEM;
    admin->pages = *pages;
    for (unsigned i = 0; i < GUESTS_MAX; i++)
        admin->guests[i].fd = -1;
    admin->listen_fd = take_fd(&listen_fd);
    admin->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (admin->stop_fd < 0)
        return -errno;
    r = start_daemon(admin);
    if (r < 0)
        return r;
    r = start_thread(admin);
    if (r < 0)
        return r;
    *ret_admin = TAKE_PTR(admin);
    return 0;
}

int admin_start(int fd, const struct admin_pages *pages, struct admin **ret_admin,
                struct diag *diag)
{
    int r = start(fd, pages, ret_admin);

    return r < 0 ? diag_set(diag, r, "cannot start the admin server: %s", strerror(-r)) : 0;
}

void admin_stopp(struct admin **admin)
{
    if (!*admin)
        return;
    (void)eventfd_write((*admin)->stop_fd, 1);
    (void)pthread_join((*admin)->thread, NULL);
    admin_freep(admin);
}
