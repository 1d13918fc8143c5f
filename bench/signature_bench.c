/* SPDX-License-Identifier: Apache-2.0 */
/* SYNs per second of CPU time: frame -> record -> facts -> signature text, and on to a label.
 *
 *     signature_bench CAPTURE DATABASE SECONDS     one JSON object: thousands a second of each
 *
 * CAPTURE is a plain pcap file of Ethernet frames, as signature.py writes it; p0f reads the same
 * one. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "fp_db.h"
#include "matcher.h"
#include "parse.h"
#include "signature.h"
#include "syn.h"

enum { FILE_HEADER = 24, FRAME_HEADER = 16, FRAME_LENGTH = 8 };

struct capture_bytes {
    const unsigned char *bytes;
    size_t size;
};

struct tally {
    uint64_t syns;
    uint64_t labelled;
    uint64_t text_bytes; /* keeps the compiler from leaving out the work */
};

static void die(const char *what, int error)
{
    (void)fprintf(stderr, "signature_bench: %s: %s\n", what, strerror(error < 0 ? -error : error));
    exit(1);
}

static struct capture_bytes capture_map(const char *path)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct capture_bytes capture;
    struct stat stat;
    void *bytes;

    if (fd < 0 || fstat(fd, &stat) < 0)
        die(path, errno);
    capture.size = (size_t)stat.st_size;
    bytes = mmap(NULL, capture.size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED)
        die(path, errno);
    capture.bytes = bytes;
    return capture;
}

static void judge_frame(const unsigned char *frame, size_t length, const struct fp_db *db,
                        struct tally *tally)
{
    struct parse_packet packet;
    struct pending_key key;
    struct syn_record record;
    struct syn syn;
    struct signature signature;
    struct match match;
    char text[SIGNATURE_TEXT_MAX];

    if (parse_syn_ethernet(frame, frame + length, &packet) != PARSE_SYN)
        return;
    parse_fill(&packet, &key, &record);
    syn_from_record(&record, &syn);
    signature_from_syn(&syn, &signature);
    tally->text_bytes += signature_format(&signature, text);
    tally->syns++;
    if (!db)
        return;
    matcher_match(db, &signature, &match);
    tally->labelled += match.label != NULL;
}

static void judge_capture(struct capture_bytes capture, const struct fp_db *db, struct tally *tally)
{
    size_t at = FILE_HEADER;

    while (at + FRAME_HEADER <= capture.size) {
        uint32_t length;

        memcpy(&length, capture.bytes + at + FRAME_LENGTH, sizeof(length));
        at += FRAME_HEADER;
        if (length > capture.size - at)
            return;
        judge_frame(capture.bytes + at, length, db, tally);
        at += length;
    }
}

static double cpu_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Thousands a second. */
static double rate(struct capture_bytes capture, const struct fp_db *db, double seconds,
                   struct tally *ret_tally)
{
    struct tally tally = {0};
    double start = cpu_seconds(), spent;

    do {
        judge_capture(capture, db, &tally);
        spent = cpu_seconds() - start;
    } while (spent < seconds);
    *ret_tally = tally;
    return (double)tally.syns / spent / 1e3;
}

int main(int argc, char **argv)
{
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    struct capture_bytes capture;
    struct diag diag = {0};
    struct tally tally;
    double seconds, text, label;

    if (argc != 4)
        die("usage: signature_bench CAPTURE DATABASE SECONDS", EINVAL);
    capture = capture_map(argv[1]);
    if (fp_db_load(argv[2], &db, &diag) < 0) {
        (void)fprintf(stderr, "signature_bench: %s: %s\n", argv[2], diag.text);
        return 1;
    }
    seconds = strtod(argv[3], NULL);
    text = rate(capture, NULL, seconds, &tally);
    label = rate(capture, db, seconds, &tally);
    (void)printf("{\"text\": %.1f, \"label\": %.1f, \"labelled\": %.4f}\n", text, label,
                 (double)tally.labelled / (double)tally.syns);
    return tally.text_bytes == 0;
}
