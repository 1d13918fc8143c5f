/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "listener.h"

struct fixture {
    char folder[64], path[96], spec[160];
    struct listener listener;
    struct diag diag;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    *state = f;
    f->listener.fd = -1;
    (void)snprintf(f->folder, sizeof(f->folder), "/tmp/synauthz-listener-XXXXXX");
    if (!mkdtemp(f->folder))
        return -1;
    (void)snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    listener_done(&f->listener);
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left in it */
    free(f);
    return 0;
}

static int open_with(struct fixture *f, const char *options)
{
    (void)snprintf(f->spec, sizeof(f->spec), "unix:%s%s", f->path, options);
    diag_clear(&f->diag);
    return listener_open(str_from(f->spec), &f->listener, &f->diag);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    (void)close(fd);
    return r;
}

static void a_path_is_bound_with_mode_and_group(void **state)
{
    static const struct {
        const char *options;
        mode_t mode;
        gid_t group;
    } ROWS[] = {
        {"", 0600, (gid_t)-1},
        {",mode=0666", 0666, (gid_t)-1},
        {",mode=640", 0640, (gid_t)-1},
        {",group=65534", 0660, 65534},
        {",group=nogroup,mode=0620", 0620, 65534},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct stat st;

        assert_int_equal(open_with(f, ROWS[i].options), 0);
        assert_int_equal(lstat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, ROWS[i].mode);
        if (ROWS[i].group != (gid_t)-1)
            assert_int_equal(st.st_gid, ROWS[i].group);
        assert_false(f->listener.is_tcp);
        assert_true(fcntl(f->listener.fd, F_GETFL) & O_NONBLOCK);
        assert_int_equal(connect_to(f->path), 0);
        listener_done(&f->listener);
    }
}

static void the_umask_is_neither_obeyed_nor_changed(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    mode_t before = umask(0777), after;

    assert_int_equal(open_with(f, ",mode=0664"), 0);
    after = umask(before);
    assert_int_equal(after, 0777);
    assert_int_equal(lstat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0664);
    listener_done(&f->listener);
}

static void a_second_server_takes_the_path_over(void **state)
{
    struct fixture *f = *state;
    struct listener first;

    assert_int_equal(open_with(f, ""), 0);
    first = f->listener;
    assert_int_equal(open_with(f, ""), 0);
    listener_done(&first); /* does not unlink what is not its own any more */
    assert_int_equal(connect_to(f->path), 0);
    listener_done(&f->listener);
    assert_int_equal(connect_to(f->path), -ECONNREFUSED);
    assert_int_equal(open_with(f, ""), 0); /* over a dead socket */
    assert_int_equal(connect_to(f->path), 0);
}

static void what_is_not_a_socket_is_left_alone(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(close(open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)), 0);
    assert_int_equal(open_with(f, ""), -EEXIST);
    assert_non_null(strstr(f->diag.text, "not a socket"));
    assert_int_equal(lstat(f->path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    (void)unlink(f->path);
    assert_int_equal(symlink("/nowhere", f->path), 0);
    assert_int_equal(open_with(f, ""), -EEXIST);
}

static void the_length_limit_is_that_of_the_temporary_name(void **state)
{
    struct fixture *f = *state;
    char spec[200], name[128];
    enum { LIMIT = 107 - 9 };

    memset(name, 'n', sizeof(name));
    (void)snprintf(spec, sizeof(spec), "unix:%s/%.*s", f->folder, (int)(LIMIT - strlen(f->folder)),
                   name); /* one too many */
    assert_int_equal(listener_open(str_from(spec), &f->listener, &f->diag), -ENAMETOOLONG);
    assert_non_null(strstr(f->diag.text, "98 bytes"));
    spec[strlen(spec) - 1] = '\0';
    assert_int_equal(listener_open(str_from(spec), &f->listener, &f->diag), 0);
    assert_int_equal(connect_to(spec + 5), 0);
    assert_int_equal(unlink(spec + 5), 0);
}

static void an_abstract_name_has_no_file(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char spec[64];
    int length = snprintf(spec, sizeof(spec), "unix:@synauthz-test-%d", getpid()) - 5;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(listener_open(str_from(spec), &f->listener, &f->diag), 0);
    memcpy(address.sun_path + 1, spec + 6, (size_t)length - 1);
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)),
                     0);
    (void)close(fd);
}

/* On a free port, by trying; the spec is left in `f`. */
static void open_tcp(struct fixture *f, const char *options)
{
    int tries;

    for (tries = 0; tries < 50; tries++) {
        (void)snprintf(f->spec, sizeof(f->spec), "[::1]:%d%s",
                       20000 + (getpid() + tries * 97) % 10000, options);
        if (listener_open(str_from(f->spec), &f->listener, &f->diag) == 0)
            break;
        diag_clear(&f->diag);
    }
    assert_true(tries < 50);
}

static void tcp_takes_both_families_and_says_when_it_cannot(void **state)
{
    struct fixture *f = *state;
    struct listener second;

    open_tcp(f, "");
    assert_true(f->listener.is_tcp);
    assert_false(f->listener.is_tls);
    assert_int_equal(listener_open(str_from(f->spec), &second, &f->diag), -EADDRINUSE);
    assert_non_null(strstr(f->diag.text, "cannot bind"));
}

static void tls_is_a_property_of_a_tcp_listener(void **state)
{
    struct fixture *f = *state;
    struct listener second;

    open_tcp(f, ",tls");
    assert_true(f->listener.is_tcp);
    assert_true(f->listener.is_tls);
    assert_int_equal(listener_open(str_from(f->spec), &second, &f->diag), -EADDRINUSE);
}

static void bad_specs_are_explained(void **state)
{
    static const struct {
        const char *spec, *says;
    } ROWS[] = {
        {"", "expected unix:/path"},
        {"/run/x", "expected unix:/path"},
        {"localhost:80", "expected unix:/path"},
        {"127.0.0.1", "expected unix:/path"},
        {"127.0.0.1:70000", "expected unix:/path"},
        {"unix:", "absolute path or @name"},
        {"unix:relative", "absolute path or @name"},
        {"unix:/", "absolute path or @name"},
        {"unix:@", "absolute path or @name"},
        {"unix:/tmp/x,mode=9", "octal mode"},
        {"unix:/tmp/x,mode=0888", "octal mode"},
        {"unix:/tmp/x,mode=7777", "octal mode"},
        {"unix:/tmp/x,mode=", "octal mode"},
        {"unix:/tmp/x,group=no-such-group-here", "there is no group `no-such-group-here`"},
        {"unix:/tmp/x,owner=me", "unknown option `owner=me`"},
        {"unix:@x,mode=0600", "abstract name has no mode"},
        {"unix:/tmp/no-such-folder/x", "No such file"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        diag_clear(&f->diag);
        assert_true(listener_open(str_from(ROWS[i].spec), &f->listener, &f->diag) < 0);
        assert_non_null(strstr(f->diag.text, ROWS[i].says));
        assert_int_equal(f->listener.fd, -1);
        assert_null(strstr(f->diag.text, "--")); /* that is said by whoever knows the option */
    }
}

/* Nothing is opened for it: what the files and addresses are like is not looked at. */
static void a_spec_can_be_checked_without_a_socket(void **state)
{
    static const struct {
        const char *spec;
        int result;
    } ROWS[] = {
        {"192.0.2.1:80", 0},
        {"[2001:db8::1]:80", 0},
        {"unix:@x", 0},
        {"unix:/no-such-folder/x,mode=0660,group=nogroup", 0},
        {"192.0.2.1", -EINVAL},
        {"unix:/x,mode=8", -EINVAL},
        {"unix:@x,mode=0600", -EINVAL},
        {"192.0.2.1:80,tls", 0},
        {"[2001:db8::1]:80,tls", 0},
        {"192.0.2.1:80,", -EINVAL},
        {"192.0.2.1:80,ssl", -EINVAL},
        {"192.0.2.1:80,tls,tls", -EINVAL},
        {"192.0.2.1:80,tls,", -EINVAL},
        {",tls", -EINVAL},
        {"unix:/x,tls", -EINVAL},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        diag_clear(&f->diag);
        assert_int_equal(listener_check(str_from(ROWS[i].spec), &f->diag), ROWS[i].result);
        assert_int_equal(f->diag.text[0] != '\0', ROWS[i].result != 0);
    }
}

static void where_there_is_no_tls_it_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(listener_check_plain(STR("127.0.0.1:80"), &f->diag), 0);
    assert_int_equal(listener_check_plain(STR("unix:/x"), &f->diag), 0);
    assert_int_equal(listener_check_plain(STR("127.0.0.1:80,tls"), &f->diag), -EINVAL);
    assert_non_null(strstr(f->diag.text, "no TLS here"));
}

#define LISTENER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LISTENER_TEST(a_path_is_bound_with_mode_and_group),
        LISTENER_TEST(the_umask_is_neither_obeyed_nor_changed),
        LISTENER_TEST(a_second_server_takes_the_path_over),
        LISTENER_TEST(what_is_not_a_socket_is_left_alone),
        LISTENER_TEST(the_length_limit_is_that_of_the_temporary_name),
        LISTENER_TEST(an_abstract_name_has_no_file),
        LISTENER_TEST(tcp_takes_both_families_and_says_when_it_cannot),
        LISTENER_TEST(tls_is_a_property_of_a_tcp_listener),
        LISTENER_TEST(bad_specs_are_explained),
        LISTENER_TEST(a_spec_can_be_checked_without_a_socket),
        LISTENER_TEST(where_there_is_no_tls_it_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
