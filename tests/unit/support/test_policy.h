/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: a policy from text. */
#ifndef TEST_POLICY_H
#define TEST_POLICY_H

#include <stdio.h>

#include "policy.h"
#include "policy_file.h"

/* NULL, with the message on stderr, when the text is not a policy. */
static inline struct policy *test_policy_parse(const char *text)
{
    struct policy *policy = NULL;
    struct diag diag = {0};

    if (policy_file_parse(str_from(text), "policy", &policy, &diag) < 0) {
        char message[1024];

        diag_format(&diag, message, sizeof(message));
        (void)fprintf(stderr, "%s\n", message);
    }
    return policy;
}

#endif
