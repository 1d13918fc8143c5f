/* SPDX-License-Identifier: Apache-2.0 */
/* `version`: what this binary is, down to the digests of the BPF objects inside it. */
#include "cli.h"

#include "digest.h"
#include "objects.h"
#include "version.h"

struct version_options {
    unsigned output;
};

static const struct option_spec SPECS[] = {OPTION_OUTPUT(struct version_options, output)};

static const struct {
    const char *name, *version;
} LIBRARIES[] = {VERSION_LIBRARIES};

enum { LIBRARY_COUNT = sizeof(LIBRARIES) / sizeof(LIBRARIES[0]) };

static void object_digest(const struct embedded_object *object, char hex[DIGEST_HEX_SIZE])
{
    digest_sha256_hex(&(struct str){object->bytes, object->size}, 1, hex);
}

static void print_text(const struct embedded_object *objects, size_t count)
{
    char hex[DIGEST_HEX_SIZE];

    (void)printf("synauthz %s (commit %s)\n", VERSION_TEXT, VERSION_COMMIT);
    for (size_t i = 0; i < count; i++) {
        object_digest(&objects[i], hex);
        (void)printf("BPF object %-12s sha256 %s\n", objects[i].name, hex);
    }
    for (size_t i = 0; i < LIBRARY_COUNT; i++)
        (void)printf("built with %-12s %s\n", LIBRARIES[i].name, LIBRARIES[i].version);
}

/* None of the values can hold a character that JSON would escape. */
static void print_json(const struct embedded_object *objects, size_t count)
{
    char hex[DIGEST_HEX_SIZE];

    (void)printf("{\"version\":\"%s\",\"commit\":\"%s\",\"features\":[", VERSION_TEXT,
                 VERSION_COMMIT);
    for (size_t i = 0; i < count; i++)
        (void)printf("%s\"%s\"", i ? "," : "", objects[i].name);
    (void)printf("],\"bpf_objects\":{");
    for (size_t i = 0; i < count; i++) {
        object_digest(&objects[i], hex);
        (void)printf("%s\"%s\":\"%s\"", i ? "," : "", objects[i].name, hex);
    }
    (void)printf("},\"libraries\":{");
    for (size_t i = 0; i < LIBRARY_COUNT; i++)
        (void)printf("%s\"%s\":\"%s\"", i ? "," : "", LIBRARIES[i].name, LIBRARIES[i].version);
    (void)printf("}}\n");
}

static enum exit_status run(void *options, const struct text_list *operands,
                            const struct options_given *given)
{
    const struct version_options *version = options;
    struct embedded_object objects[OBJECT_COUNT_];

    (void)operands;
    objects_embedded(objects);
    (void)given;
    if (version->output == OUTPUT_JSON)
        print_json(objects, OBJECT_COUNT_);
    else
        print_text(objects, OBJECT_COUNT_);
    return STATUS_OK;
}

const struct verb VERB_VERSION = {
    .name = "version",
    .summary = "print the version, and digests of the BPF objects inside",
    .synopsis = "[-o text|json]",
    .description =
        "Compare the digests with those of a release to know which capture programs a host runs.\n",
    .options = &(const struct option_table){SPECS, OPTION_COUNT(SPECS)},
    .options_size = sizeof(struct version_options),
    .run = run,
};
