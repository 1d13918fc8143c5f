/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes -> policy file.  What is refused has a message; what is accepted can be evaluated and
 * rendered. */
#include <assert.h>
#include <stdint.h>

#include "cleanup.h"
#include "policy.h"
#include "policy_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void render_chain(const struct mutation *mutation, const struct subject *subject,
                         struct arena *arena)
{
    static const struct template_names names = {.policy = STR_INIT("default")};
    struct str text;

    for (; mutation && mutation->effect; mutation = mutation->before)
        if (mutation->effect->value)
            (void)template_render(mutation->effect->value, subject, &names, arena, &text);
}

static void render_all(const struct policy *policy, const struct decision *decision,
                       const struct subject *subject, struct arena *arena)
{
    for (size_t target = 0; target < TARGET_COUNT_; target++)
        for (size_t i = 0; i < policy->slots[target].count; i++)
            render_chain(&decision->mutations[target][i], subject, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct subject subject = {.has_http = true, .path = STR_INIT("/a")};
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    CLEANUP(arena_done) struct arena arena = {0};
    struct decision decision;
    struct diag diag = {0};
    int r = policy_file_parse((struct str){(const char *)data, size}, "fuzz", &policy, &diag);

    assert((r < 0) == (diag.text[0] != '\0'));
    assert((r < 0) == (policy == NULL));
    if (r < 0 || arena_init(&arena, 1 << 16) < 0)
        return 0;
    if (policy_evaluate(policy, &subject, &arena, &decision) == 0)
        render_all(policy, &decision, &subject, &arena);
    return 0;
}
