/* SPDX-License-Identifier: Apache-2.0 */
#include "program_metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "json.h"
#include "num.h"
#include "str.h"
#include "version.h"

enum { PROC_TEXT_MAX = 1024, NS_PER_S = 1000000000, NS_PER_US = 1000, START_TIME_FIELD = 22 };

static const struct {
    const char *name, *version;
} LIBRARIES[] = {VERSION_LIBRARIES};

static void write_build(struct metric_page *page)
{
    const struct metric_label build[] = {
        {"version", VERSION_TEXT}, {"commit", VERSION_COMMIT}, {NULL, NULL}};

    metric_family(page, "synauthz_build_info", METRIC_GAUGE, "What this program is; always 1.");
    metric_u64(page, "synauthz_build_info", build, 1);
    metric_family(page, "synauthz_library_info", METRIC_GAUGE,
                  "The libraries it was built with; always 1.");
    for (size_t i = 0; i < sizeof(LIBRARIES) / sizeof(LIBRARIES[0]); i++)
        metric_u64(page, "synauthz_library_info",
                   (struct metric_label[]){{"library", LIBRARIES[i].name},
                                           {"version", LIBRARIES[i].version},
                                           {NULL, NULL}},
                   1);
}

/* --- the process ------------------------------------------------------------------------------ */

/* A short file of /proc as text; false when it cannot be read. */
static bool read_proc(const char *path, char text[PROC_TEXT_MAX])
{
    CLEANUP(fclosep) FILE *file = fopen(path, "re");
    size_t length;

    if (!file)
        return false;
    length = fread(text, 1, PROC_TEXT_MAX - 1, file);
    text[length] = '\0';
    return length > 0;
}

/* The field of a line, from 1, as a number. */
static bool take_number(struct str line, unsigned field, uint64_t *ret_number)
{
    struct str word = {NULL, 0};

    while (field-- > 0)
        if (!str_next_field(&line, ' ', &word))
            return false;
    return num_parse_u64(word, 0, UINT64_MAX, ret_number) == 0;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now); /* cannot fail with a clock that exists */
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Ticks since the boot, behind the command's name, which may hold anything: proc(5). */
static bool start_time(uint64_t *ret_unix_ns)
{
    const long hertz = sysconf(_SC_CLK_TCK);
    char text[PROC_TEXT_MAX];
    uint64_t ticks, age_ns;
    const char *name_end;

    if (hertz <= 0 || !read_proc("/proc/self/stat", text))
        return false;
    name_end = strrchr(text, ')'); /* the second field ends there */
    if (!name_end || !name_end[1] ||
        !take_number(str_from(name_end + 2), START_TIME_FIELD - 2, &ticks))
        return false;
    age_ns = clock_ns(CLOCK_BOOTTIME) - ticks * (NS_PER_S / (uint64_t)hertz);
    *ret_unix_ns = clock_ns(CLOCK_REALTIME) - age_ns;
    return true;
}

static uint64_t nanoseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * NS_PER_US;
}

static bool count_descriptors(uint64_t *ret_count)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (!folder)
        return false;
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    (void)closedir(folder);
    *ret_count = count - 1; /* the folder itself */
    return true;
}

static void write_process(struct metric_page *page)
{
    struct rusage usage = {0};
    struct rlimit limit;
    char text[PROC_TEXT_MAX];
    uint64_t value;

    (void)getrusage(RUSAGE_SELF, &usage); /* cannot fail for oneself */
    metric_family(page, "process_cpu_seconds_total", METRIC_COUNTER,
                  "CPU time of all threads, in the program and in the kernel.");
    metric_seconds(page, "process_cpu_seconds_total", NULL,
                   nanoseconds(&usage.ru_utime) + nanoseconds(&usage.ru_stime));
    if (start_time(&value)) {
        metric_family(page, "process_start_time_seconds", METRIC_GAUGE,
                      "When the process was started, in Unix time.");
        metric_seconds(page, "process_start_time_seconds", NULL, value);
    }
    if (read_proc("/proc/self/statm", text) && take_number(str_from(text), 2, &value))
        metric_gauge(page, "process_resident_memory_bytes", "Memory that is resident.",
                     value * (uint64_t)sysconf(_SC_PAGESIZE));
    if (count_descriptors(&value))
        metric_gauge(page, "process_open_fds", "Descriptors that are open.", value);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metric_gauge(page, "process_max_fds", "Descriptors that may be open.", limit.rlim_cur);
}

void program_metrics_write(struct metric_page *page)
{
    write_build(page);
    write_process(page);
}

void program_print_json(const char *verb, FILE *out)
{
    (void)fputs("{\"version\":", out);
    json_print_string(out, str_from(VERSION_TEXT));
    (void)fputs(",\"commit\":", out);
    json_print_string(out, str_from(VERSION_COMMIT));
    (void)fprintf(out, ",\"verb\":\"%s\",\"pid\":%d}", verb, (int)getpid());
}
