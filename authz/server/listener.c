/* SPDX-License-Identifier: Apache-2.0 */
#include "listener.h"

#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "addr.h"
#include "cleanup.h"
#include "num.h"

enum { MODE_UNSET = -1, MODE_PRIVATE = 0600, MODE_GROUP = 0660 };

/* A path is bound as "PATH.xxxxxxxx" first. */
enum { SUFFIX_LENGTH = 1 + 8, UNIX_NAME_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 };

struct unix_spec {
    struct str path;
    int mode;    /* MODE_UNSET: not given */
    gid_t group; /* (gid_t)-1: not given */
};

/* --- what both families share ----------------------------------------------------------------- */

static int fail(struct diag *diag, int error, const char *what)
{
    return diag_set(diag, error, "%s: %s", what, strerror(-error));
}

static int open_socket(int family, int *ret_fd, struct diag *diag)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return fail(diag, -errno, "no socket");
    *ret_fd = fd;
    return 0;
}

static int start_listening(int fd, struct diag *diag)
{
    if (listen(fd, SOMAXCONN) < 0)
        return fail(diag, -errno, "cannot listen");
    return 0;
}

/* --- TCP -------------------------------------------------------------------------------------- */

union tcp_address {
    struct sockaddr generic;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t tcp_address_from(const struct endpoint *endpoint, union tcp_address *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (endpoint->addr.family == 4) {
        ret_address->v4.sin_family = AF_INET;
        ret_address->v4.sin_port = htons(endpoint->port);
        memcpy(&ret_address->v4.sin_addr, endpoint->addr.bytes + 12, 4);
        return sizeof(ret_address->v4);
    }
    ret_address->v6.sin6_family = AF_INET6;
    ret_address->v6.sin6_port = htons(endpoint->port);
    memcpy(&ret_address->v6.sin6_addr, endpoint->addr.bytes, 16);
    return sizeof(ret_address->v6);
}

static int parse_tcp(struct str spec, struct endpoint *ret_endpoint, struct diag *diag)
{
    struct str rest = spec, address, option;

    if (!str_next_field(&rest, ',', &address) || endpoint_parse(address, ret_endpoint) < 0)
        return diag_set(diag, -EINVAL, "expected unix:/path, unix:@name, IP:PORT or [IP6]:PORT");
    if (str_next_field(&rest, ',', &option) && (rest.ptr || !str_eq(option, STR("tls"))))
        return diag_set(diag, -EINVAL, "behind the port there may be `,tls` and nothing else");
    return 0;
}

static int open_tcp(struct str spec, struct listener *ret_listener, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    struct endpoint endpoint;
    union tcp_address address;
    socklen_t length;
    const int one = 1;
    int r = parse_tcp(spec, &endpoint, diag);

    if (r < 0)
        return r;
    length = tcp_address_from(&endpoint, &address);
    r = open_socket(address.generic.sa_family, &fd, diag);
    if (r < 0)
        return r;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
        return fail(diag, -errno, "cannot set SO_REUSEADDR");
    if (bind(fd, &address.generic, length) < 0)
        return fail(diag, -errno, "cannot bind");
    r = start_listening(fd, diag);
    if (r < 0)
        return r;
    *ret_listener =
        (struct listener){.fd = take_fd(&fd), .is_tcp = true, .is_tls = listener_spec_is_tls(spec)};
    return 0;
}

/* --- unix: the options behind the path -------------------------------------------------------- */

static int parse_mode(struct str text, int *ret_mode)
{
    int mode = 0;

    if (text.len < 3 || text.len > 4 || (text.len == 4 && text.ptr[0] != '0'))
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '7')
            return -EINVAL;
        mode = mode * 8 + (text.ptr[i] - '0');
    }
    *ret_mode = mode;
    return 0;
}

static int parse_group(struct str text, gid_t *ret_group)
{
    CLEANUP(freep) char *name = NULL;
    CLEANUP(freep) char *buffer = NULL;
    enum { BUFFER_SIZE = 1 << 16 };
    struct group group, *found = NULL;
    uint64_t gid;

    if (num_parse_u64(text, 0, UINT32_MAX - 1, &gid) == 0) {
        *ret_group = (gid_t)gid;
        return 0;
    }
    name = str_dup(text);
    buffer = malloc(BUFFER_SIZE);
    if (!name || !buffer)
        return -ENOMEM;
    if (getgrnam_r(name, &group, buffer, BUFFER_SIZE, &found) != 0 || !found)
        return -ENOENT;
    *ret_group = group.gr_gid;
    return 0;
}

static int parse_option(struct str option, struct unix_spec *parsed, struct diag *diag)
{
    if (str_has_prefix(option, STR("mode="))) {
        if (parse_mode(str_from_offset(option, 5), &parsed->mode) < 0)
            return diag_set(diag, -EINVAL, "expected an octal mode like mode=0660");
        return 0;
    }
    if (str_has_prefix(option, STR("group="))) {
        if (parse_group(str_from_offset(option, 6), &parsed->group) < 0)
            return diag_set(diag, -EINVAL, "there is no group `%" PRIstr "`",
                            STR_ARG(str_from_offset(option, 6)));
        return 0;
    }
    return diag_set(diag, -EINVAL,
                    "unknown option `%" PRIstr "`, there are mode= and group=", STR_ARG(option));
}

static int parse_unix(struct str spec, struct unix_spec *ret_parsed, struct diag *diag)
{
    struct unix_spec parsed = {.mode = MODE_UNSET, .group = (gid_t)-1};
    struct str rest = str_from_offset(spec, STR("unix:").len), option;
    bool more = str_next_field(&rest, ',', &parsed.path);
    size_t limit = UNIX_NAME_MAX - SUFFIX_LENGTH;

    if (!more || parsed.path.len < 2 || (parsed.path.ptr[0] != '/' && parsed.path.ptr[0] != '@') ||
        memchr(parsed.path.ptr, '\0', parsed.path.len))
        return diag_set(diag, -EINVAL, "expected an absolute path or @name behind unix:");
    if (parsed.path.len > limit)
        return diag_set(diag, -ENAMETOOLONG, "a name may have %zu bytes at most, this has %zu",
                        limit, parsed.path.len);
    while (str_next_field(&rest, ',', &option)) {
        int r = parse_option(option, &parsed, diag);

        if (r < 0)
            return r;
    }
    if (parsed.path.ptr[0] == '@' && (parsed.mode != MODE_UNSET || parsed.group != (gid_t)-1))
        return diag_set(diag, -EINVAL, "an abstract name has no mode and no group");
    *ret_parsed = parsed;
    return 0;
}

/* --- unix: binding ---------------------------------------------------------------------------- */

static int bind_name(int fd, struct str name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, name.ptr, name.len);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    if (bind(fd, (const struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + name.len)) < 0)
        return -errno;
    return 0;
}

/* Removes the temporary name unless it became the final one. */
static void unlinkp(const char *const *path)
{
    if (*path)
        (void)unlink(*path);
}

static int refuse_foreign_file(const char *path, struct diag *diag)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : fail(diag, -errno, "cannot look at the path");
    if (!S_ISSOCK(st.st_mode))
        return diag_set(diag, -EEXIST, "the path exists and is not a socket");
    return 0;
}

static int name_temporary(struct str path, char ret_name[UNIX_NAME_MAX + 1])
{
    uint32_t random;

    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        return -errno;
    (void)snprintf(ret_name, UNIX_NAME_MAX + 1, "%" PRIstr ".%08x", STR_ARG(path), random);
    return 0;
}

/* The name gets its mode as it is made: Linux takes it from the socket (unix(7)).  A chmod() of the
 * name afterwards would follow a link that whoever may write to the folder has put in its place;
 * lchown() does not. */
static int bind_with_access(int fd, const struct unix_spec *parsed, const char *name)
{
    int mode = parsed->mode;
    mode_t before;
    int r;

    if (mode == MODE_UNSET)
        mode = parsed->group == (gid_t)-1 ? MODE_PRIVATE : MODE_GROUP;
    if (fchmod(fd, (mode_t)mode) < 0)
        return -errno;
    before = umask(0);
    r = bind_name(fd, str_from(name));
    (void)umask(before);
    return r;
}

static int give_group(const struct unix_spec *parsed, const char *name)
{
    if (parsed->group == (gid_t)-1)
        return 0;
    return lchown(name, (uid_t)-1, parsed->group) < 0 ? -errno : 0;
}

static int bind_path(int fd, const struct unix_spec *parsed, struct diag *diag)
{
    char path[UNIX_NAME_MAX + 1];
    char name[UNIX_NAME_MAX + 1];
    CLEANUP(unlinkp) const char *temporary = NULL; /* `name` while it exists */
    int r;

    (void)snprintf(path, sizeof(path), "%" PRIstr, STR_ARG(parsed->path));
    r = refuse_foreign_file(path, diag);
    if (r < 0)
        return r;
    r = name_temporary(parsed->path, name);
    if (r < 0)
        return fail(diag, r, "no random name");
    r = bind_with_access(fd, parsed, name);
    if (r < 0)
        return fail(diag, r, "cannot bind");
    temporary = name;
    r = give_group(parsed, name);
    if (r < 0)
        return fail(diag, r, "cannot set the group");
    /* listening before it has its name: nobody is ever refused at the path */
    r = start_listening(fd, diag);
    if (r < 0)
        return r;
    if (rename(name, path) < 0)
        return fail(diag, -errno, "cannot rename the socket onto its path");
    temporary = NULL;
    return 0;
}

static int open_unix(struct str spec, struct listener *ret_listener, struct diag *diag)
{
    CLEANUP(closep) int fd = -1;
    struct unix_spec parsed;
    int r;

    r = parse_unix(spec, &parsed, diag);
    if (r < 0)
        return r;
    r = open_socket(AF_UNIX, &fd, diag);
    if (r < 0)
        return r;
    if (parsed.path.ptr[0] == '/') {
        r = bind_path(fd, &parsed, diag);
    } else {
        r = bind_name(fd, parsed.path);
        r = r < 0 ? fail(diag, r, "cannot bind") : start_listening(fd, diag);
    }
    if (r < 0)
        return r;
    *ret_listener = (struct listener){.fd = take_fd(&fd), .is_tcp = false};
    return 0;
}

int listener_check(struct str spec, struct diag *diag)
{
    struct unix_spec parsed;
    struct endpoint endpoint;

    if (str_has_prefix(spec, STR("unix:")))
        return parse_unix(spec, &parsed, diag);
    return parse_tcp(spec, &endpoint, diag);
}

int listener_check_plain(struct str spec, struct diag *diag)
{
    if (listener_spec_is_tls(spec))
        return diag_set(diag, -EINVAL,
                        "there is no TLS here, only on --listen: expected no `,tls`");
    return listener_check(spec, diag);
}

bool listener_spec_is_tls(struct str spec)
{
    return !str_has_prefix(spec, STR("unix:")) && str_has_suffix(spec, STR(",tls"));
}

int listener_open(struct str spec, struct listener *ret_listener, struct diag *diag)
{
    if (str_has_prefix(spec, STR("unix:")))
        return open_unix(spec, ret_listener, diag);
    return open_tcp(spec, ret_listener, diag);
}

void listener_done(struct listener *listener)
{
    closep(&listener->fd);
    listener->fd = -1;
}
