/* SPDX-License-Identifier: Apache-2.0 */
/* Nanoseconds per packet of the programs in packet_<hook>.bpf.c, by BPF_PROG_TEST_RUN.
 *
 *     packet_bench xdp|tcx|cgroup OBJECT ROUNDS   one JSON object for each round on standard output
 *
 * The time is this thread's CPU time over many repetitions: the kernel's own figure is in whole
 * nanoseconds, and a no-op takes seven. */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cleanup.h"
#include "record.h"

enum { PORT = 443, REPEAT_SHORT = 2000000, REPEAT_LONG = 300000, WARM_UP = 400000 };

/* A browser's SYN and a data segment of the same connection; checksums are nobody's concern here.
 */
static const unsigned char SYN[] =
    "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"
    "\x45\x00\x00\x3c\x12\x34\x40\x00\x40\x06\x00\x00\x0a\x01\x00\x07\xc0\x00\x02\x50"
    "\x9c\x40\x01\xbb\x1a\x2b\x3c\x4d\x00\x00\x00\x00\xa0\x02\xfa\xf0\x00\x00\x00\x00"
    "\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x01\x03\x03\x07";
static const unsigned char SEGMENT[] =
    "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"
    "\x45\x00\x00\x42\x12\x35\x40\x00\x40\x06\x00\x00\x0a\x01\x00\x07\xc0\x00\x02\x50"
    "\x9c\x40\x01\xbb\x1a\x2b\x3c\x4e\x5a\x5b\x5c\x5d\x80\x18\x01\xf6\x00\x00\x00\x00"
    "\x01\x01\x08\x0a\x00\x00\x00\x02\x00\x00\x00\x01GET / HTTP/1.1";

static const struct hook {
    const char *name, *program;
    enum syn_hook hook;
    __u32 verdict;
    int has_new; /* packets can be made new ones */
} HOOKS[] = {
    {"xdp", "capture_xdp", SYN_HOOK_XDP, 2, 1},
    {"tcx", "capture_tcx", SYN_HOOK_TCX, (__u32)-1, 1},
    {"cgroup", "capture_cgroup", SYN_HOOK_CGROUP, 1, 0},
};

struct bench {
    const struct hook *hook;
    struct bpf_object *object;
    int no_op, capture, update_only, capture_new; /* programs */
};

static void bench_done(struct bench *bench)
{
    bpf_object__close(bench->object);
}

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "packet_bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

static int map_fd(const struct bench *bench, const char *name)
{
    int fd = bpf_object__find_map_fd_by_name(bench->object, name);

    if (fd < 0)
        die(name, fd);
    return fd;
}

static int program_fd(const struct bench *bench, const char *name)
{
    int fd = bpf_program__fd(bpf_object__find_program_by_name(bench->object, name));

    if (fd < 0)
        die(name, fd);
    return fd;
}

static __u32 map_size(const struct bench *bench, const char *name)
{
    return bpf_map__max_entries(bpf_object__find_map_by_name(bench->object, name));
}

static void set_filters(const struct bench *bench)
{
    /* The defaults; at this rate it is not calm, and the limiter is asked. */
    const struct capture_config on = {
        .enabled = 1, .tracked = 1, .syn_rate = 2000, .calm_syns = 2000};
    const struct capture_secret secret = {.seed = 0x5eed};
    const __u32 word = PORT / 64, first = 0;
    const __u64 bit = 1ULL << (PORT % 64);

    if (bpf_map_update_elem(map_fd(bench, "ports"), &word, &bit, BPF_ANY) < 0 ||
        bpf_map_update_elem(map_fd(bench, "secret"), &first, &secret, BPF_ANY) < 0 ||
        bpf_map_update_elem(map_fd(bench, "config"), &first, &on, BPF_ANY) < 0)
        die("setting the filters", errno);
}

static const struct hook *find_hook(const char *name)
{
    for (size_t i = 0; i < sizeof(HOOKS) / sizeof(HOOKS[0]); i++)
        if (strcmp(HOOKS[i].name, name) == 0)
            return &HOOKS[i];
    die(name, EINVAL);
    return NULL;
}

/* No maps are older than these (maps.h). */
static void share_pending(struct bpf_object *object)
{
    (void)bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "pending_before"), 1);
}

static void bench_open(const char *hook, const char *path, struct bench *ret_bench)
{
    struct bench bench = {.hook = find_hook(hook), .object = bpf_object__open_file(path, NULL)};
    int r;

    if (!bench.object)
        die(path, errno);
    share_pending(bench.object);
    r = bpf_object__load(bench.object);
    if (r < 0)
        die("loading the programs", r);
    bench.no_op = program_fd(&bench, "no_op");
    bench.capture = program_fd(&bench, bench.hook->program);
    if (bench.hook->has_new) {
        if (map_size(&bench, "plain") != map_size(&bench, "pending"))
            die("`plain` and `pending` differ in size", EINVAL);
        bench.update_only = program_fd(&bench, "update_only");
        bench.capture_new = program_fd(&bench, "capture_new");
    }
    set_filters(&bench);
    *ret_bench = bench;
}

/* Sum of one counter over all CPUs. */
static __u64 stored(const struct bench *bench)
{
    int cpus = libbpf_num_possible_cpus();
    CLEANUP(freep) struct capture_counters *counters = calloc((size_t)cpus, sizeof(*counters));
    const __u32 index = counters_index(bench->hook->hook, 4);
    __u64 sum = 0;

    if (!counters || bpf_map_lookup_elem(map_fd(bench, "counters"), &index, counters) < 0)
        die("reading the counters", errno);
    for (int i = 0; i < cpus; i++)
        sum += counters[i].values[COUNTER_SYN_STORED];
    return sum;
}

static double thread_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* `packet` is 32 bits of a sequence on: a round must not meet the tuples of the round before. */
static double run(const struct bench *bench, int program, const unsigned char *packet, size_t size,
                  int repeat)
{
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = (__u32)size,
                .repeat = repeat);
    double before = thread_ns(), after;

    if (bpf_prog_test_run_opts(program, &options) < 0)
        die("BPF_PROG_TEST_RUN", errno);
    after = thread_ns();
    if (options.retval != bench->hook->verdict)
        die("the program did not pass the packet", EPROTO);
    return (after - before) / repeat;
}

/* A SYN whose tuples start somewhere else each time. */
static double run_syns(const struct bench *bench, int program, int repeat)
{
    static unsigned round;
    unsigned char packet[sizeof(SYN) - 1];
    __u32 isn = htonl(++round * 2654435761u);

    memcpy(packet, SYN, sizeof(packet));
    memcpy(packet + 38, &isn, sizeof(isn));
    return run(bench, program, packet, sizeof(packet), repeat);
}

static void run_new_syns(const struct bench *bench)
{
    double update = run_syns(bench, bench->update_only, REPEAT_LONG);
    __u64 before = stored(bench);
    double syn = run_syns(bench, bench->capture_new, REPEAT_LONG);

    if (stored(bench) - before != REPEAT_LONG)
        die("not every SYN was new", EPROTO);
    (void)printf(", \"update\": %.3f, \"syn\": %.3f", update, syn);
}

static void run_round(const struct bench *bench)
{
    double no_op = run(bench, bench->no_op, SEGMENT, sizeof(SEGMENT) - 1, REPEAT_SHORT);
    double other = run(bench, bench->capture, SEGMENT, sizeof(SEGMENT) - 1, REPEAT_SHORT);

    (void)printf("{\"no_op\": %.3f, \"other\": %.3f", no_op, other);
    if (bench->hook->has_new)
        run_new_syns(bench);
    (void)printf("}\n");
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    CLEANUP(bench_done) struct bench bench = {0};
    unsigned long rounds;

    if (argc != 4)
        die("usage: packet_bench HOOK OBJECT ROUNDS", EINVAL);
    rounds = strtoul(argv[3], NULL, 10);
    bench_open(argv[1], argv[2], &bench);
    if (bench.hook->has_new) { /* both maps full: from here on each insert evicts */
        (void)run_syns(&bench, bench.update_only, WARM_UP);
        (void)run_syns(&bench, bench.capture_new, WARM_UP);
    }
    for (unsigned long i = 0; i < rounds; i++)
        run_round(&bench);
    return 0;
}
