/* SPDX-License-Identifier: Apache-2.0 */
/* Databases: each is loaded or refused at a place; what is loaded answers for its own signatures.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "cleanup.h"
#include "matcher.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_TRIED = 1 << 16 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Looks up a SYN with a layout of the input's choice. */
static void check_match(const struct fp_db *db, const uint8_t *data, size_t size)
{
    struct syn syn = {.ip_version = 4, .ttl = 64, .mss = 1460, .window = 64240};
    struct signature signature;
    struct match match;
    char params[MATCH_PARAMS_MAX];

    for (; syn.layout_length < 2 && syn.layout_length < size; syn.layout_length++)
        syn.layout[syn.layout_length] = data[size - 1 - syn.layout_length] % 9;
    signature_from_syn(&syn, &signature);
    matcher_match(db, &signature, &match);
    require((match.kind == MATCH_NONE) == (match.label == NULL));
    require(matcher_params(&match, &signature, params) < MATCH_PARAMS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(fp_db_freep) struct fp_db *db = NULL;
    struct diag diag = {0};
    unsigned first = 0;

    if (size > SIZE_MAX_TRIED)
        return 0;
    if (fp_db_parse((struct str){(const char *)data, size}, "input", &db, &diag) < 0) {
        require(!db && diag.place.line > 0 && diag.place.column > 0 && diag.text[0] != '\0');
        return 0;
    }
    if (fp_db_tolerated(db, &first))
        require(first > 0);
    (void)fp_db_link(db, 1500);
    check_match(db, data, size);
    return 0;
}
