/* SPDX-License-Identifier: Apache-2.0 */
/* What maps cost by the kernel's account, and what limit there is for it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "map_memory.h"
#include "mountinfo.h"
#include "objects.h"

static uint64_t used_by(uint32_t pending, uint32_t live)
{
    const struct map_sizes sizes = {pending, live, 1};
    struct capture_maps maps;
    struct diag diag = {.text = ""};
    uint64_t bytes;

    capture_maps_init(&maps);
    if (objects_make_maps(&sizes, &maps, &diag) < 0)
        fail_msg("%s", diag.text);
    bytes = map_memory_used(&maps);
    capture_maps_close(&maps);
    return bytes;
}

/* At least what is in it, and not much more.  Sizes are powers of two, as the number of a map's
 * buckets is, whatever was asked for. */
static void an_entry_costs_what_the_docs_say(void **state)
{
    enum { SIZE = 65536 };
    uint64_t least = used_by(SIZE, SIZE);
    uint64_t pending = (used_by(2 * SIZE, SIZE) - least) / SIZE;
    uint64_t live = (used_by(SIZE, 2 * SIZE) - least) / SIZE;

    (void)state;
    print_message("        bytes: %llu a pending SYN, %llu a live connection\n",
                  (unsigned long long)pending, (unsigned long long)live);
    assert_in_range(pending, sizeof(struct pending_key) + sizeof(struct syn_record), 256);
    assert_in_range(live, sizeof(struct tuple_key) + sizeof(struct live_entry), 400);
}

/* --- a control group with a limit: version 1, as on the machines that run this --- */

struct limited {
    char path[MOUNT_PATH_MAX + 64];
};

static int on_mount(const struct mount *mount, void *context)
{
    struct limited *limited = context;
    char file[MOUNT_PATH_MAX + 64];

    (void)snprintf(file, sizeof(file), "%s/memory.limit_in_bytes", mount->path);
    if (strcmp(mount->type, "cgroup") == 0 && access(file, F_OK) == 0) {
        (void)snprintf(limited->path, sizeof(limited->path), "%s/synauthz-memory-%d", mount->path,
                       (int)getpid());
        return 1;
    }
    return 0;
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[MOUNT_PATH_MAX + 128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "we");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0)
        _exit(90);
}

static void the_limit_of_the_control_group_is_found(void **state)
{
    struct limited limited = {.path = ""};
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(mountinfo_each(on_mount, &limited), 1);
    assert_int_equal(mkdir(limited.path, 0755), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        write_text(limited.path, "memory.limit_in_bytes", "104857600");
        write_text(limited.path, "cgroup.procs", "0");
        _exit(map_memory_limit() == 104857600 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(rmdir(limited.path), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_costs_what_the_docs_say),
        cmocka_unit_test(the_limit_of_the_control_group_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
