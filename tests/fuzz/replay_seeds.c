/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for libFuzzer where it is not linked: runs the target once over each file of a folder,
 * and over each of its prefixes, so that every build and both compilers see the seeds. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEED_MAX = 1 << 20, PREFIXES_MAX = 4096 };

static int run_seed(const char *folder, const char *name)
{
    CLEANUP(freep) uint8_t *data = malloc(SEED_MAX);
    CLEANUP(fclosep) FILE *file = NULL;
    char path[4096];
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "rb");
    if (!file || !data) {
        perror(path);
        return -1;
    }
    size = fread(data, 1, SEED_MAX, file);
    for (size_t length = 0; length < size && length < PREFIXES_MAX; length++) {
        /* exactly sized, so that AddressSanitizer sees a read behind the end */
        CLEANUP(freep) uint8_t *prefix = malloc(length ? length : 1);

        if (!prefix)
            return -1;
        memcpy(prefix, data, length);
        (void)LLVMFuzzerTestOneInput(prefix, length);
    }
    (void)LLVMFuzzerTestOneInput(data, size);
    printf("[       OK ] seed %s (%zu bytes and its prefixes)\n", name, size);
    return 0;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    const struct dirent *entry;
    int seeds = 0, status = 0;

    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER-OF-SEEDS\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.') {
            seeds++;
            if (run_seed(argv[1], entry->d_name) < 0)
                status = 1;
        }
    (void)closedir(folder);
    if (seeds == 0) {
        fprintf(stderr, "%s: no seed there\n", argv[1]);
        return 1;
    }
    return status;
}
