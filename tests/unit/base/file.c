/* SPDX-License-Identifier: Apache-2.0 */
#include "file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "cleanup.h"
#include "fifo.h"
#include "memory_file.h"

static void assert_refused(const char *path, int error, const char *message)
{
    struct diag diag = {0};
    char *bytes = NULL;
    size_t size = 7;
    int fd = -1;

    assert_int_equal(file_open(path, &fd, &diag), error);
    assert_string_equal(diag.text, message);
    assert_int_equal(fd, -1);
    diag_clear(&diag);
    assert_int_equal(file_read(path, 100, &bytes, &size, &diag), error);
    assert_string_equal(diag.text, message);
    assert_null(bytes);
    assert_int_equal(size, 7);
}

static void what_is_no_regular_file_is_named(void **state)
{
    CLEANUP(fifo_done) struct fifo fifo = fifo_make();
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CLEANUP(closep) int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", fifo.folder);
    assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_refused(address.sun_path, -ENXIO, "is a socket, not a file");
    (void)unlink(address.sun_path);
    assert_refused(fifo.path, -ENXIO, "is a FIFO, not a file");
    assert_refused(fifo.folder, -EISDIR, "is a directory, not a file");
    assert_refused("/dev/zero", -ENXIO, "is a device, not a file");
    assert_refused("/proc/self/none", -ENOENT, "cannot read the file: No such file or directory");
    assert_refused("", -ENOENT, "cannot read the file: No such file or directory");
}

static void a_descriptor_is_not_inherited(void **state)
{
    struct diag diag = {0};
    CLEANUP(closep) int fd = -1;

    (void)state;
    assert_int_equal(file_open("/proc/self/status", &fd, &diag), 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static void a_file_is_read_up_to_the_cap(void **state)
{
    static const char BYTES[] = "a\0b\nc";
    CLEANUP(memory_file_done) struct memory_file file = memory_file_with(BYTES, sizeof(BYTES));

    (void)state;
    for (size_t max = 0; max < 2 * sizeof(BYTES); max++) {
        CLEANUP(freep) char *bytes = NULL;
        struct diag diag = {0};
        size_t size = 0;
        int r = file_read(file.path, max, &bytes, &size, &diag);

        if (max < sizeof(BYTES)) {
            char message[64];

            (void)snprintf(message, sizeof(message), "found more than %zu bytes", max);
            assert_int_equal(r, -EFBIG);
            assert_string_equal(diag.text, message);
            assert_null(bytes);
            continue;
        }
        assert_int_equal(r, 0);
        assert_int_equal(size, sizeof(BYTES));
        assert_memory_equal(bytes, BYTES, size);
    }
}

/* As of a file that changes between a look at its size and the reading: the kernel calls
 * /proc/self/status empty, and a file of /sys a page long. */
static void the_size_that_a_file_claims_is_not_trusted(void **state)
{
    static const char *const PATHS[] = {"/proc/self/status", "/sys/devices/system/cpu/online"};

    (void)state;
    for (size_t i = 0; i < sizeof(PATHS) / sizeof(PATHS[0]); i++) {
        CLEANUP(freep) char *bytes = NULL;
        struct diag diag = {0};
        struct stat status;
        size_t size = 0;

        assert_int_equal(stat(PATHS[i], &status), 0);
        assert_int_equal(file_read(PATHS[i], 1 << 16, &bytes, &size, &diag), 0);
        assert_true(size > 0);
        assert_int_not_equal(size, status.st_size);
    }
}

static void an_empty_file_has_no_bytes(void **state)
{
    CLEANUP(memory_file_done) struct memory_file file = memory_file_with("", 0);
    CLEANUP(freep) char *bytes = NULL;
    struct diag diag = {0};
    size_t size = 7;

    (void)state;
    assert_int_equal(file_read(file.path, 0, &bytes, &size, &diag), 0);
    assert_int_equal(size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_regular_file_is_named),
        cmocka_unit_test(a_descriptor_is_not_inherited),
        cmocka_unit_test(a_file_is_read_up_to_the_cap),
        cmocka_unit_test(the_size_that_a_file_claims_is_not_trusted),
        cmocka_unit_test(an_empty_file_has_no_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
