/* SPDX-License-Identifier: Apache-2.0 */
/* What a test's subject writes to standard output. */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct output {
    FILE *file;
    int kept; /* the real standard output */
};

static inline struct output output_begin(void)
{
    struct output output = {.file = tmpfile(), .kept = dup(STDOUT_FILENO)};

    (void)fflush(stdout);
    if (!output.file || output.kept < 0 || dup2(fileno(output.file), STDOUT_FILENO) < 0)
        abort();
    return output;
}

/* What was written since; terminated, and cut where it does not fit. */
static inline void output_end(struct output *output, char *text, size_t size)
{
    size_t length;

    (void)fflush(stdout);
    if (dup2(output->kept, STDOUT_FILENO) < 0)
        abort();
    (void)close(output->kept);
    rewind(output->file);
    length = fread(text, 1, size - 1, output->file);
    text[length] = '\0';
    (void)fclose(output->file);
}

#endif
