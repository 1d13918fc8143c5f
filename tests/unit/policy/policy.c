/* SPDX-License-Identifier: Apache-2.0 */
#include "policy.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cleanup.h"
#include "cond.h"

/* Rules over two facts that the subjects below make NO, UNKNOWN or YES. */
enum when { ALWAYS = 0, NO, UNKNOWN, YES };

enum { EFFECTS_MAX = 3, RULES_MAX = 4, HEADER_SLOTS = 3, METADATA_SLOTS = 2 };

#define APPEND(slot) (100 + (slot))

struct rule_row {
    enum when when;
    enum rule_then then;
    enum on_unknown on_unknown;
    enum rule_mode mode;
    int set[EFFECTS_MAX];      /* header slots from 1; negative: removed; APPEND(slot) */
    int metadata[EFFECTS_MAX]; /* metadata slots from 1 */
};

static struct cond *new_cond(enum when when)
{
    CLEANUP(cond_builder_done) struct cond_builder builder = {0};
    struct str fact = when == UNKNOWN ? STR("p0f") : STR("http.path");

    assert_int_equal(cond_builder_test(&builder, fact_find(fact), NULL, COND_PRESENT, when == YES),
                     0);
    return cond_builder_finish(&builder);
}

static struct effects new_effects(const int slots[EFFECTS_MAX])
{
    struct effects effects = {.items = calloc(EFFECTS_MAX, sizeof(*effects.items))};

    assert_non_null(effects.items);
    for (; effects.count < EFFECTS_MAX && slots[effects.count]; effects.count++) {
        int slot = slots[effects.count];

        effects.items[effects.count] = (struct effect){
            .kind = slot < 0           ? EFFECT_REMOVE
                    : slot > APPEND(0) ? EFFECT_APPEND
                                       : EFFECT_SET,
            .slot = (uint32_t)(slot < 0 ? -slot : slot % APPEND(0)) - 1,
        };
    }
    return effects;
}

static struct policy *new_policy(const struct rule_row *rows, size_t count, enum verdict fallback)
{
    struct policy *policy = NULL;

    assert_int_equal(policy_new(&policy), 0);
    policy->default_verdict = fallback;
    policy->rules = calloc(count + 1, sizeof(*policy->rules));
    assert_non_null(policy->rules);
    for (size_t i = 0; i < HEADER_SLOTS; i++)
        assert_int_equal(
            name_table_add(&policy->slots[TARGET_REQUEST_HEADER], str_from_offset(STR("xyz"), i)),
            i);
    for (size_t i = 0; i < METADATA_SLOTS; i++)
        assert_int_equal(
            name_table_add(&policy->slots[TARGET_METADATA], str_from_offset(STR("xyz"), i)), i);
    for (size_t i = 0; i < count; i++) {
        struct rule *rule = &policy->rules[policy->rule_count++];

        rule->then = rows[i].then;
        rule->on_unknown = rows[i].on_unknown;
        rule->when = rows[i].when == ALWAYS ? NULL : new_cond(rows[i].when);
        rule->mode = rows[i].mode;
        rule->effects[TARGET_REQUEST_HEADER] = new_effects(rows[i].set);
        rule->effects[TARGET_METADATA] = new_effects(rows[i].metadata);
        for (size_t e = 0; e < rule->effects[TARGET_REQUEST_HEADER].count; e++)
            policy->append_count +=
                rule->effects[TARGET_REQUEST_HEADER].items[e].kind == EFFECT_APPEND;
    }
    return policy;
}

static const struct subject SUBJECT = {.has_http = true, .path = STR_INIT("/")};

/* --- verdicts */

static const struct {
    const char *what;
    struct rule_row rules[RULES_MAX];
    size_t rule_count;
    enum verdict fallback;
    enum verdict verdict;
    enum decision_reason reason;
    int rule; /* that decided, -1: none */
    size_t unknown_count;
} VERDICTS[] = {
    {"no rule: default allow", {{0}}, 0, VERDICT_ALLOW, VERDICT_ALLOW, DECISION_DEFAULT, -1, 0},
    {"no rule: default deny", {{0}}, 0, VERDICT_DENY, VERDICT_DENY, DECISION_DEFAULT, -1, 0},
    {"the first that fires decides",
     {{.when = NO, .then = RULE_DENY},
      {.when = YES, .then = RULE_ALLOW},
      {.when = YES, .then = RULE_DENY}},
     3,
     VERDICT_DENY,
     VERDICT_ALLOW,
     DECISION_RULE,
     1,
     0},
    {"a rule without a condition fires",
     {{.when = ALWAYS, .then = RULE_DENY}},
     1,
     VERDICT_ALLOW,
     VERDICT_DENY,
     DECISION_RULE,
     0,
     0},
    {"continue goes on",
     {{.when = YES, .then = RULE_CONTINUE}, {.when = YES, .then = RULE_DENY}},
     2,
     VERDICT_ALLOW,
     VERDICT_DENY,
     DECISION_RULE,
     1,
     0},
    {"continue alone leaves it to the default",
     {{.when = YES, .then = RULE_CONTINUE}},
     1,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     DECISION_DEFAULT,
     -1,
     0},
    {"unknown deny rule that denies",
     {{.when = UNKNOWN, .then = RULE_DENY, .on_unknown = ON_UNKNOWN_DENY},
      {.when = YES, .then = RULE_ALLOW}},
     2,
     VERDICT_ALLOW,
     VERDICT_DENY,
     DECISION_UNKNOWN,
     0,
     0},
    {"unknown allow rule that denies",
     {{.when = UNKNOWN, .then = RULE_ALLOW, .on_unknown = ON_UNKNOWN_DENY}},
     1,
     VERDICT_ALLOW,
     VERDICT_DENY,
     DECISION_UNKNOWN,
     0,
     0},
    {"unknown rules that are skipped are counted",
     {{.when = UNKNOWN, .then = RULE_DENY, .on_unknown = ON_UNKNOWN_SKIP},
      {.when = UNKNOWN, .then = RULE_ALLOW, .on_unknown = ON_UNKNOWN_SKIP}},
     2,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     DECISION_DEFAULT,
     -1,
     2},
    {"an unknown continue rule is always skipped",
     {{.when = UNKNOWN, .then = RULE_CONTINUE, .on_unknown = ON_UNKNOWN_DENY},
      {.when = YES, .then = RULE_ALLOW}},
     2,
     VERDICT_DENY,
     VERDICT_ALLOW,
     DECISION_RULE,
     1,
     1},
    {"nobody said what unknown means: deny",
     {{.when = UNKNOWN, .then = RULE_ALLOW, .on_unknown = ON_UNKNOWN_UNSET}},
     1,
     VERDICT_ALLOW,
     VERDICT_DENY,
     DECISION_UNKNOWN,
     0,
     0},
};

static void rules_decide_from_top_to_bottom(void **state)
{
    CLEANUP(arena_done) struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < sizeof(VERDICTS) / sizeof(VERDICTS[0]); i++) {
        CLEANUP(policy_unrefp)
        struct policy *policy =
            new_policy(VERDICTS[i].rules, VERDICTS[i].rule_count, VERDICTS[i].fallback);
        const struct rule *rule = VERDICTS[i].rule < 0 ? NULL : &policy->rules[VERDICTS[i].rule];
        struct decision decision;

        assert_int_equal(policy_evaluate(policy, &SUBJECT, &arena, &decision), 0);
        if (decision.verdict != VERDICTS[i].verdict || decision.reason != VERDICTS[i].reason ||
            decision.rule != rule || decision.unknown_count != VERDICTS[i].unknown_count)
            fail_msg("%s: verdict %d reason %d unknown %zu", VERDICTS[i].what, decision.verdict,
                     decision.reason, decision.unknown_count);
        arena_reset(&arena);
    }
}

/* --- merging */

/* The rule that an effect is of, from 1; 0: none. */
static int rule_of(const struct policy *policy, const struct effect *effect,
                   enum effect_target target)
{
    for (size_t i = 0; i < policy->rule_count; i++) {
        const struct effect *first = policy->rules[i].effects[target].items;

        if (effect >= first && effect < first + EFFECTS_MAX)
            return (int)i + 1;
    }
    return 0;
}

/* Which rule won each slot, from 1; 0: none */
static void assert_winners(const struct policy *policy, const struct decision *decision,
                           enum effect_target target, const int *wanted, size_t count)
{
    for (size_t slot = 0; slot < count; slot++)
        assert_int_equal(rule_of(policy, decision->mutations[target][slot].effect, target),
                         wanted[slot]);
}

/* The rules whose effects are in the chain of a slot, the last first, as digits. */
static unsigned chain_of(const struct policy *policy, const struct decision *decision, size_t slot)
{
    const struct mutation *mutation = &decision->mutations[TARGET_REQUEST_HEADER][slot];
    unsigned digits = 0;

    for (; mutation && mutation->effect; mutation = mutation->before)
        digits = digits * 10 + (unsigned)rule_of(policy, mutation->effect, TARGET_REQUEST_HEADER);
    return digits;
}

static void what_is_appended_is_kept_with_what_it_is_appended_to(void **state)
{
    static const struct {
        const char *what;
        struct rule_row rules[RULES_MAX];
        unsigned chain; /* of slot 1 */
    } ROWS[] = {
        {"to what the client sent", {{.then = RULE_CONTINUE, .set = {APPEND(1)}}}, 1},
        {"several values of one rule",
         {{.then = RULE_CONTINUE, .set = {APPEND(1), APPEND(1), APPEND(1)}}},
         111},
        {"by several rules, to what one has set",
         {{.then = RULE_CONTINUE, .set = {1}},
          {.then = RULE_CONTINUE, .set = {APPEND(1), APPEND(2)}},
          {.then = RULE_CONTINUE, .set = {APPEND(1)}}},
         321},
        {"to what one has removed",
         {{.then = RULE_CONTINUE, .set = {-1}}, {.then = RULE_CONTINUE, .set = {APPEND(1)}}},
         21},
        {"a later set leaves nothing of it",
         {{.then = RULE_CONTINUE, .set = {APPEND(1), APPEND(1)}},
          {.then = RULE_CONTINUE, .set = {1}},
          {.then = RULE_CONTINUE, .set = {APPEND(1)}}},
         32},
        {"on deny nothing is left",
         {{.then = RULE_CONTINUE, .set = {APPEND(1)}}, {.then = RULE_DENY, .set = {APPEND(1)}}},
         0},
    };
    CLEANUP(arena_done) struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        size_t count = 1;
        struct decision decision;

        while (count < RULES_MAX && ROWS[i].rules[count].set[0])
            count++;
        CLEANUP(policy_unrefp)
        struct policy *policy = new_policy(ROWS[i].rules, count, VERDICT_ALLOW);

        print_message("%s\n", ROWS[i].what);
        arena_reset(&arena);
        assert_int_equal(policy_evaluate(policy, &SUBJECT, &arena, &decision), 0);
        assert_int_equal(chain_of(policy, &decision, 0), ROWS[i].chain);
    }
}

/* --- rules that do not count */

static const struct {
    const char *what;
    struct rule_row rules[RULES_MAX];
    size_t rule_count;
    enum verdict verdict, would_be;
    int rule, would_be_rule; /* -1: none */
} SHADOWS[] = {
    {"nothing shadowed: the same", {{.then = RULE_DENY}}, 1, VERDICT_DENY, VERDICT_DENY, 0, 0},
    {"a shadow rule decides nothing",
     {{.mode = RULE_SHADOW, .then = RULE_DENY, .set = {1}, .metadata = {1}}},
     1,
     VERDICT_ALLOW,
     VERDICT_DENY,
     -1,
     0},
    {"the first of two would end it",
     {{.mode = RULE_SHADOW, .then = RULE_ALLOW},
      {.mode = RULE_SHADOW, .then = RULE_DENY},
      {.then = RULE_DENY}},
     3,
     VERDICT_DENY,
     VERDICT_ALLOW,
     2,
     0},
    {"one behind the decision is not reached",
     {{.then = RULE_ALLOW}, {.mode = RULE_SHADOW, .then = RULE_DENY}},
     2,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     0,
     0},
    {"one that is NO or UNKNOWN is skipped",
     {{.mode = RULE_SHADOW, .when = NO, .then = RULE_DENY},
      {.mode = RULE_SHADOW, .when = UNKNOWN, .then = RULE_DENY, .on_unknown = ON_UNKNOWN_DENY}},
     2,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     -1,
     -1},
    {"one that continues has no effect",
     {{.mode = RULE_SHADOW, .then = RULE_CONTINUE, .set = {1}, .metadata = {1}}},
     1,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     -1,
     -1},
    {"one that is off is not even asked",
     {{.mode = RULE_OFF, .then = RULE_DENY, .set = {1}},
      {.mode = RULE_OFF, .when = UNKNOWN, .then = RULE_DENY, .on_unknown = ON_UNKNOWN_DENY}},
     2,
     VERDICT_ALLOW,
     VERDICT_ALLOW,
     -1,
     -1},
};

static const struct rule *rule_at(const struct policy *policy, int index)
{
    return index < 0 ? NULL : &policy->rules[index];
}

static void shadow_rules_say_what_would_be_and_change_nothing(void **state)
{
    CLEANUP(arena_done) struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < sizeof(SHADOWS) / sizeof(SHADOWS[0]); i++) {
        CLEANUP(policy_unrefp)
        struct policy *policy = new_policy(SHADOWS[i].rules, SHADOWS[i].rule_count, VERDICT_ALLOW);
        struct decision decision;

        print_message("%s\n", SHADOWS[i].what);
        arena_reset(&arena);
        assert_int_equal(policy_evaluate(policy, &SUBJECT, &arena, &decision), 0);
        assert_int_equal(decision.verdict, SHADOWS[i].verdict);
        assert_ptr_equal(decision.rule, rule_at(policy, SHADOWS[i].rule));
        assert_int_equal(decision.would_be, SHADOWS[i].would_be);
        assert_ptr_equal(decision.would_be_rule, rule_at(policy, SHADOWS[i].would_be_rule));
        assert_int_equal(decision.unknown_count, 0);
        assert_null(decision.mutations[TARGET_REQUEST_HEADER][0].effect);
        assert_null(decision.mutations[TARGET_METADATA][0].effect);
    }
}

static const struct {
    const char *what;
    struct rule_row rules[RULES_MAX];
    size_t rule_count;
    int headers[HEADER_SLOTS];
    int metadata[METADATA_SLOTS];
} MERGES[] = {
    {"the later rule wins",
     {{.when = YES, .then = RULE_CONTINUE, .set = {1, 2}, .metadata = {1}},
      {.when = YES, .then = RULE_CONTINUE, .set = {-2, 3}, .metadata = {1, 2}}},
     2,
     {1, 2, 2},
     {2, 2}},
    {"the deciding rule's own effects count",
     {{.when = YES, .then = RULE_CONTINUE, .set = {1}},
      {.when = YES, .then = RULE_ALLOW, .set = {1}, .metadata = {2}}},
     2,
     {2, 0, 0},
     {0, 2}},
    {"rules that do not fire have none",
     {{.when = NO, .then = RULE_CONTINUE, .set = {1}, .metadata = {1}},
      {.when = UNKNOWN, .then = RULE_CONTINUE, .set = {2}, .metadata = {2}}},
     2,
     {0, 0, 0},
     {0, 0}},
    {"rules behind the decision have none",
     {{.when = YES, .then = RULE_ALLOW, .set = {1}, .metadata = {1}},
      {.when = YES, .then = RULE_CONTINUE, .set = {2}, .metadata = {2}}},
     2,
     {1, 0, 0},
     {1, 0}},
    {"a denial drops the request's mutations and keeps metadata",
     {{.when = YES, .then = RULE_CONTINUE, .set = {1, -2}, .metadata = {1}},
      {.when = YES, .then = RULE_DENY, .set = {3}, .metadata = {2}}},
     2,
     {0, 0, 0},
     {1, 2}},
    {"so does a denial by unknown; its rule has no effect",
     {{.when = YES, .then = RULE_CONTINUE, .set = {1}, .metadata = {1}},
      {.when = UNKNOWN,
       .then = RULE_ALLOW,
       .on_unknown = ON_UNKNOWN_DENY,
       .set = {2},
       .metadata = {2}}},
     2,
     {0, 0, 0},
     {1, 0}},
};

static void for_one_header_the_later_rule_wins(void **state)
{
    CLEANUP(arena_done) struct arena arena;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < sizeof(MERGES) / sizeof(MERGES[0]); i++) {
        CLEANUP(policy_unrefp)
        struct policy *policy = new_policy(MERGES[i].rules, MERGES[i].rule_count, VERDICT_ALLOW);
        struct decision decision;

        print_message("%s\n", MERGES[i].what);
        assert_int_equal(policy_evaluate(policy, &SUBJECT, &arena, &decision), 0);
        assert_winners(policy, &decision, TARGET_REQUEST_HEADER, MERGES[i].headers, HEADER_SLOTS);
        assert_winners(policy, &decision, TARGET_METADATA, MERGES[i].metadata, METADATA_SLOTS);
        arena_reset(&arena);
    }
}

/* --- memory */

static void every_arena_cap_gives_a_decision_or_enomem(void **state)
{
    static const struct rule_row ROWS[] = {
        {.when = YES, .then = RULE_ALLOW, .set = {1, 2, 3}, .metadata = {1, 2}}};
    CLEANUP(policy_unrefp) struct policy *policy = new_policy(ROWS, 1, VERDICT_DENY);
    bool enough = false;

    (void)state;
    for (size_t cap = 0; cap < 256; cap++) {
        CLEANUP(arena_done) struct arena arena;
        struct decision decision = {.verdict = VERDICT_COUNT_};
        int r;

        assert_int_equal(arena_init(&arena, cap), 0);
        r = policy_evaluate(policy, &SUBJECT, &arena, &decision);
        if (enough)
            assert_int_equal(r, 0);
        enough = r == 0;
        assert_int_equal(r, enough ? 0 : -ENOMEM);
        assert_int_equal(arena.exhausted, !enough);
        assert_int_equal(decision.verdict, enough ? VERDICT_ALLOW : VERDICT_COUNT_);
    }
    assert_true(enough);
}

static size_t allocations;

static void on_malloc(const volatile void *memory, size_t size)
{
    (void)memory;
    (void)size;
    allocations++;
}

static void on_free(const volatile void *memory)
{
    (void)memory;
}

/* Of the sanitizers' runtimes; without them malloc's own count must do. */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t),
                                              void (*)(const volatile void *))
    __attribute__((weak));

static void evaluation_allocates_nothing(void **state)
{
    static const struct rule_row ROWS[] = {
        {.when = NO, .then = RULE_DENY},
        {.when = UNKNOWN, .then = RULE_DENY, .on_unknown = ON_UNKNOWN_SKIP},
        {.when = YES, .then = RULE_CONTINUE, .set = {1, 2}, .metadata = {1}},
        {.when = YES, .then = RULE_ALLOW, .set = {1, APPEND(1), APPEND(1)}, .metadata = {2}},
    };
    CLEANUP(policy_unrefp) struct policy *policy = new_policy(ROWS, 4, VERDICT_DENY);
    CLEANUP(arena_done) struct arena arena;
    struct decision decision;
    struct mallinfo2 before;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    if (__sanitizer_install_malloc_and_free_hooks) {
        void *volatile counted;

        assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
        counted = malloc(1); /* the hook works */
        free(counted);
        assert_int_equal(allocations, 1);
    }
    allocations = 0;
    before = mallinfo2();
    for (int i = 0; i < 1000; i++) {
        arena_reset(&arena);
        if (policy_evaluate(policy, &SUBJECT, &arena, &decision) < 0)
            fail();
    }
    assert_int_equal(mallinfo2().uordblks, before.uordblks);
    assert_int_equal(allocations, 0);
    assert_int_equal(decision.verdict, VERDICT_ALLOW);
}

static void the_last_reference_frees(void **state)
{
    struct policy *policy = new_policy(NULL, 0, VERDICT_DENY); /* LeakSanitizer is the judge */
    struct policy *other = policy_ref(policy);

    (void)state;
    policy_unref(policy);
    assert_int_equal(other->default_verdict, VERDICT_DENY);
    policy_unref(other);
    policy_unref(NULL);
}

static void a_new_policy_denies(void **state)
{
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    CLEANUP(arena_done) struct arena arena;
    struct decision decision;

    (void)state;
    assert_int_equal(policy_new(&policy), 0);
    assert_int_equal(arena_init(&arena, 256), 0);
    assert_int_equal(policy_evaluate(policy, &SUBJECT, &arena, &decision), 0);
    assert_int_equal(decision.verdict, VERDICT_DENY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_decide_from_top_to_bottom),
        cmocka_unit_test(for_one_header_the_later_rule_wins),
        cmocka_unit_test(what_is_appended_is_kept_with_what_it_is_appended_to),
        cmocka_unit_test(shadow_rules_say_what_would_be_and_change_nothing),
        cmocka_unit_test(every_arena_cap_gives_a_decision_or_enomem),
        cmocka_unit_test(evaluation_allocates_nothing),
        cmocka_unit_test(the_last_reference_frees),
        cmocka_unit_test(a_new_policy_denies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
