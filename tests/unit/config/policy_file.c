/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_file.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup.h"
#include "fifo.h"
#include "memory_file.h"
#include "policy.h"
#include "signature.h"

static struct policy *parse(const char *text)
{
    struct policy *policy = NULL;
    struct diag diag = {0};

    if (policy_file_parse(str_from(text), "test.yaml", &policy, &diag) < 0)
        fail_msg("%u:%u: %s\n%s", diag.place.line, diag.place.column, diag.text, text);
    return policy;
}

static char *read_file(const char *path)
{
    CLEANUP(fclosep) FILE *file = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(text);
    if (!file || fread(text, 1, 65535, file) == 0)
        fail_msg("%s: cannot read it", path);
    return text;
}

/* --- wrong files: each begins with a comment that says "LINE:COLUMN: message" */

#define WRONG TEST_DATA "/policy/wrong"

static void check_wrong_file(const char *name)
{
    CLEANUP(freep) char *text = NULL;
    struct policy *policy = NULL;
    struct diag diag = {0};
    char path[512], wanted[1024], message[1024];

    (void)snprintf(path, sizeof(path), "%s/%s", WRONG, name);
    text = read_file(path);
    (void)snprintf(wanted, sizeof(wanted), "%s:%.*s", path, (int)strcspn(text, "\n") - 2, text + 2);
    assert_int_equal(policy_file_load(path, &policy, &diag), -EINVAL);
    assert_null(policy);
    diag_format(&diag, message, sizeof(message));
    /* the diag keeps the end of a long file name */
    if (strlen(message) > strlen(wanted))
        fail_msg("%s\n%s", message, wanted);
    assert_string_equal(message, wanted + strlen(wanted) - strlen(message));
}

static void each_wrong_file_gets_its_one_message(void **state)
{
    DIR *folder = opendir(WRONG);
    const struct dirent *entry;
    int files = 0;

    (void)state;
    assert_non_null(folder);
    while ((entry = readdir(folder)))
        if (entry->d_name[0] != '.') {
            files++;
            check_wrong_file(entry->d_name);
        }
    (void)closedir(folder);
    assert_true(files >= 40);
}

/* Every prefix of a good file is refused with a message and a place, or is a good file. */
static void a_file_cut_anywhere_is_refused_with_a_place(void **state)
{
    CLEANUP(freep) char *text = read_file(TEST_DATA "/policy/first_light.yaml");

    (void)state;
    for (size_t length = 0; length < strlen(text); length++) {
        CLEANUP(policy_unrefp) struct policy *policy = NULL;
        struct diag diag = {0};

        if (policy_file_parse((struct str){text, length}, "cut", &policy, &diag) < 0) {
            assert_true(diag.text[0] && diag.place.line > 0 && diag.place.column > 0);
            assert_null(policy);
        }
    }
}

static void files_that_cannot_be_read_say_why(void **state)
{
    CLEANUP(fifo_done) struct fifo fifo = fifo_make();
    CLEANUP(memory_file_done) struct memory_file large = memory_file_with("", 0);
    const struct {
        const char *path;
        int error;
        const char *message;
    } ROWS[] = {
        {TEST_DATA "/policy/none.yaml", -ENOENT, "cannot read the file: No such file or directory"},
        {TEST_DATA, -EISDIR, "is a directory, not a file"},
        {fifo.path, -ENXIO, "is a FIFO, not a file"},
        {large.path, -EFBIG, "found more than 8388608 bytes"},
    };

    (void)state;
    assert_int_equal(ftruncate(large.fd, (8 << 20) + 1), 0);
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        struct policy *policy = NULL;
        struct diag diag = {0};

        assert_int_equal(policy_file_load(ROWS[i].path, &policy, &diag), ROWS[i].error);
        assert_string_equal(diag.text, ROWS[i].message);
        assert_non_null(strstr(ROWS[i].path, diag.file));
        assert_null(policy);
    }
}

/* --- the guide */

static void each_example_of_the_guide_loads(void **state)
{
    static const char OPEN[] = "```yaml\n", CLOSE[] = "```";
    CLEANUP(freep) char *guide = read_file(TEST_DATA "/../../docs/policy.md");
    char *at = guide;
    int examples = 0;

    (void)state;
    while ((at = strstr(at, OPEN))) {
        CLEANUP(policy_unrefp) struct policy *policy = NULL;
        char *end = strstr(at += strlen(OPEN), CLOSE);

        assert_non_null(end);
        *end = '\0';
        policy = parse(at);
        assert_true(policy->rule_count > 0);
        at = end + 1;
        examples++;
    }
    assert_int_equal(examples, 8);
}

/* --- what the policy of the first end-to-end path decides */

/* 4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0 and the same client without timestamps */
static const struct syn WITH_TIMESTAMPS = {
    .quirks = QUIRK_DF | QUIRK_ID_NONZERO,
    .ts_value = 1,
    .mss = 1460,
    .window = 64240,
    .header_length = 60,
    .ip_version = 4,
    .ttl = 64,
    .scale = 7,
    .layout_length = 5,
    .layout = {TCP_OPTION_MSS, TCP_OPTION_SACK_PERMITTED, TCP_OPTION_TIMESTAMPS, TCP_OPTION_NOP,
               TCP_OPTION_WS},
};

static const struct syn WITHOUT_TIMESTAMPS = {
    .quirks = QUIRK_DF | QUIRK_ID_NONZERO,
    .mss = 1460,
    .window = 64240,
    .header_length = 52,
    .ip_version = 4,
    .ttl = 64,
    .scale = 7,
    .layout_length = 6,
    .layout = {TCP_OPTION_MSS, TCP_OPTION_NOP, TCP_OPTION_NOP, TCP_OPTION_SACK_PERMITTED,
               TCP_OPTION_NOP, TCP_OPTION_WS},
};

static const struct {
    const char *what;
    const struct syn *syn; /* NULL: missing */
    bool has_http;
    const char *path, *pass;
    enum verdict verdict;
    enum decision_reason reason;
    const char *rule;
    size_t unknown_count;
    const char *p0f_header, *state_header; /* NULL: no rule sets it */
} CASES[] = {
    {"a normal client", &WITH_TIMESTAMPS, true, "/", NULL, VERDICT_ALLOW, DECISION_DEFAULT, NULL, 0,
     "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", "verified"},
    {"a changed stack", &WITHOUT_TIMESTAMPS, true, "/", NULL, VERDICT_DENY, DECISION_RULE,
     "no-timestamps", 0, NULL, NULL},
    {"a changed stack on the network filter", &WITHOUT_TIMESTAMPS, false, NULL, NULL, VERDICT_DENY,
     DECISION_RULE, "no-timestamps", 0, NULL, NULL},
    {"a normal client on the network filter", &WITH_TIMESTAMPS, false, NULL, NULL, VERDICT_ALLOW,
     DECISION_DEFAULT, NULL, 0, "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", "verified"},
    {"the secret without a word", &WITH_TIMESTAMPS, true, "/secret/1", NULL, VERDICT_DENY,
     DECISION_RULE, "secret-path", 0, NULL, NULL},
    {"the secret with a wrong word", &WITH_TIMESTAMPS, true, "/secret/1", "please", VERDICT_DENY,
     DECISION_RULE, "secret-path", 0, NULL, NULL},
    {"the secret with the word", &WITH_TIMESTAMPS, true, "/secret/1", "sesame", VERDICT_ALLOW,
     DECISION_DEFAULT, NULL, 0, "4:64+0:0:1460:mss*44,7:mss,sok,ts,nop,ws:df,id+:0", "verified"},
    {"no SYN", NULL, true, "/", NULL, VERDICT_ALLOW, DECISION_DEFAULT, NULL, 1, NULL, NULL},
    {"no SYN, the secret", NULL, true, "/secret", NULL, VERDICT_DENY, DECISION_RULE, "secret-path",
     1, NULL, NULL},
};

enum { CASE_COUNT = sizeof(CASES) / sizeof(CASES[0]) };

struct scene {
    struct signature signature;
    char p0f[SIGNATURE_TEXT_MAX];
    struct str headers[KNOWN_HEADER_COUNT_ + 1]; /* the product's own, then the policy's */
    struct subject subject;
};

static void set_scene(size_t i, struct scene *scene)
{
    *scene = (struct scene){.subject = {.peer = PEER_TCP, .has_http = CASES[i].has_http}};
    scene->subject.syn_state = CASES[i].syn ? SYN_STATE_VERIFIED : SYN_STATE_MISSING;
    if (CASES[i].syn) {
        signature_from_syn(CASES[i].syn, &scene->signature);
        scene->subject.signature = &scene->signature;
        scene->subject.p0f.len = signature_format(&scene->signature, scene->p0f);
        scene->subject.p0f.ptr = scene->p0f;
    }
    scene->headers[KNOWN_TRACE_PARENT + 1] = str_from(CASES[i].pass);
    scene->subject.path = str_from(CASES[i].path);
    if (CASES[i].has_http)
        scene->subject.headers = scene->headers;
}

/* What the winner of a slot sets the header to; ptr NULL: nothing. */
static struct str set_value(const struct policy *policy, const struct decision *decision,
                            const char *name, const struct subject *subject, struct arena *arena)
{
    int slot = header_table_match(policy->headers, str_from(name)).owned_index;
    const struct template_names names = {.rule = STR("x")};
    struct str text = {NULL, 0};
    const struct effect *effect;

    assert_int_not_equal(slot, HEADER_NONE);
    effect = decision->mutations[TARGET_REQUEST_HEADER][slot].effect;
    if (effect)
        assert_int_equal(template_render(effect->value, subject, &names, arena, &text),
                         TEMPLATE_TEXT);
    return text;
}

static void assert_text_or_none(struct str text, const char *wanted)
{
    assert_int_equal(text.ptr != NULL, wanted != NULL);
    if (wanted)
        assert_true(str_eq(text, str_from(wanted)));
}

static void the_first_light_policy_decides_as_it_says(void **state)
{
    CLEANUP(freep) char *text = read_file(TEST_DATA "/policy/first_light.yaml");
    CLEANUP(policy_unrefp) struct policy *policy = parse(text);
    CLEANUP(arena_done) struct arena arena;
    struct scene scene;

    (void)state;
    assert_int_equal(arena_init(&arena, 4096), 0);
    for (size_t i = 0; i < CASE_COUNT; i++) {
        struct decision decision;

        print_message("%s\n", CASES[i].what);
        arena_reset(&arena);
        set_scene(i, &scene);
        assert_int_equal(policy_evaluate(policy, &scene.subject, &arena, &decision), 0);
        assert_int_equal(decision.verdict, CASES[i].verdict);
        assert_int_equal(decision.reason, CASES[i].reason);
        assert_int_equal(decision.unknown_count, CASES[i].unknown_count);
        assert_int_equal(decision.rule != NULL, CASES[i].rule != NULL);
        if (CASES[i].rule)
            assert_true(str_eq(decision.rule->id, str_from(CASES[i].rule)));
        assert_text_or_none(set_value(policy, &decision, "x-tcp-p0f", &scene.subject, &arena),
                            CASES[i].p0f_header);
        assert_text_or_none(set_value(policy, &decision, "x-tcp-state", &scene.subject, &arena),
                            CASES[i].state_header);
    }
}

static void every_arena_cap_decides_or_says_that_it_is_full(void **state)
{
    CLEANUP(freep) char *text = read_file(TEST_DATA "/policy/first_light.yaml");
    CLEANUP(policy_unrefp) struct policy *policy = parse(text);
    size_t decided = 0;
    struct scene scene;

    (void)state;
    for (size_t cap = 0; cap < 128; cap++)
        for (size_t i = 0; i < CASE_COUNT; i++) {
            CLEANUP(arena_done) struct arena arena;
            struct decision decision;
            int r;

            set_scene(i, &scene);
            assert_int_equal(arena_init(&arena, cap), 0);
            r = policy_evaluate(policy, &scene.subject, &arena, &decision);
            assert_true(r == -ENOMEM || (r == 0 && decision.verdict == CASES[i].verdict));
            decided += r == 0;
        }
    assert_true(decided >= CASE_COUNT);
}

/* --- what is compiled */

static void the_rules_keep_their_places_and_answers(void **state)
{
    CLEANUP(freep) char *text = read_file(TEST_DATA "/policy/first_light.yaml");
    CLEANUP(policy_unrefp) struct policy *policy = parse(text);
    const struct rule *rules = policy->rules;

    (void)state;
    assert_string_equal(policy->file, "test.yaml");
    assert_true(str_eq(policy->name, STR("default")));
    assert_int_equal(policy->rule_count, 3);
    assert_int_equal(rules[0].place.line, 3);
    assert_int_equal(rules[0].place.column, 5);
    assert_int_equal(rules[0].respond->status, 403);
    assert_non_null(rules[0].respond->body);
    assert_int_equal(rules[0].respond->header_count, 1);
    assert_true(str_eq(rules[0].respond->headers[0].name, STR("x-denied-by")));
    assert_null(rules[1].respond);
    assert_int_equal(rules[2].effects[TARGET_REQUEST_HEADER].items[0].place.line, 16);
    assert_int_equal(rules[2].effects[TARGET_REQUEST_HEADER].items[0].place.column, 29);
}

static void owned_headers_have_the_first_slots(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy =
        parse("version: 1\n"
              "rules:\n"
              "  - {id: a, then: continue, request_headers: {remove: [X-Gone, x-late, X_Under]}}\n"
              "  - {id: b, then: continue, request_headers: {set: {X-Late: b}, remove: [x-gone]}}\n"
              "  - {id: c, then: continue, request_headers: {remove: [x-tcp-p0f]}}\n"
              "default: allow\n");
    static const char *const SLOTS[] = {"x-tcp-p0f", "x-late", "x-gone", "x_under"};

    (void)state;
    assert_int_equal(header_table_owned_count(policy->headers), 2);
    assert_int_equal(policy->slots[TARGET_REQUEST_HEADER].count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(str_eq(policy->slots[TARGET_REQUEST_HEADER].names[i], str_from(SLOTS[i])));
    assert_int_equal(policy->rules[0].effects[TARGET_REQUEST_HEADER].items[0].slot, 2);
    assert_int_equal(policy->rules[0].effects[TARGET_REQUEST_HEADER].items[1].slot, 1);
    assert_int_equal(policy->rules[1].effects[TARGET_REQUEST_HEADER].items[0].slot, 1);
    assert_false(policy->rules[1].effects[TARGET_REQUEST_HEADER].items[0].kind == EFFECT_REMOVE);
    assert_int_equal(policy->rules[1].effects[TARGET_REQUEST_HEADER].items[1].slot, 2);
    assert_true(policy->rules[1].effects[TARGET_REQUEST_HEADER].items[1].kind == EFFECT_REMOVE);
    assert_int_equal(policy->rules[2].effects[TARGET_REQUEST_HEADER].items[0].slot, 0);
}

static void metadata_keys_of_all_rules_share_slots(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy = parse("version: 1\n"
                                  "rules:\n"
                                  "  - {id: a, then: continue, metadata: {os: x, Os: y}}\n"
                                  "  - {id: b, then: deny, metadata: {os: z}}\n"
                                  "default: allow\n");

    (void)state;
    assert_int_equal(policy->slots[TARGET_METADATA].count, 2);
    assert_int_equal(policy->rules[1].effects[TARGET_METADATA].items[0].slot,
                     policy->rules[0].effects[TARGET_METADATA].items[0].slot);
}

static void headers_that_rules_test_have_read_slots(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy = parse("version: 1\n"
                                  "rules:\n"
                                  "  - id: a\n"
                                  "    when:\n"
                                  "      any:\n"
                                  "        - {header: {name: User-Agent, present: true}}\n"
                                  "        - {header: {contains: x, name: user-agent}}\n"
                                  "        - {header: {name: x-tcp-p0f, equals: y}}\n"
                                  "    then: deny\n"
                                  "default: allow\n");

    (void)state;
    assert_int_equal(header_table_read_count(policy->headers), KNOWN_TRACE_PARENT + 3);
    assert_int_equal(header_table_match(policy->headers, STR("USER-AGENT")).read_slot,
                     KNOWN_TRACE_PARENT + 1);
    assert_int_equal(header_table_match(policy->headers, STR("x-tcp-p0f")).read_slot,
                     KNOWN_TRACE_PARENT + 2);
}

static void a_rule_has_its_own_on_unknown_or_the_policys(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy = parse("version: 1\n"
                                  "rules:\n"
                                  "  - {id: a, when: {p0f: x}, then: deny, on_unknown: skip}\n"
                                  "  - {id: b, when: {p0f: x}, then: allow}\n"
                                  "  - {id: c, when: {p0f: x}, then: continue}\n"
                                  "default: allow\n"
                                  "on_unknown: deny\n");

    (void)state;
    assert_int_equal(policy->rules[0].on_unknown, ON_UNKNOWN_SKIP);
    assert_int_equal(policy->rules[1].on_unknown, ON_UNKNOWN_DENY);
    assert_int_equal(policy->rules[2].on_unknown, ON_UNKNOWN_SKIP);
}

static void on_unknown_is_needed_only_where_a_rule_can_be_unknown(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy = parse("version: 1\n"
                                  "rules:\n"
                                  "  - {id: a, when: {p0f: x}, then: continue}\n"
                                  "  - {id: b, when: {fingerprint.state: missing}, then: deny}\n"
                                  "  - {id: c, when: {p0f: x}, then: allow, on_unknown: deny}\n"
                                  "default: deny\n");

    (void)state;
    assert_int_equal(policy->rule_count, 3);
}

/* Each name is looked up by its hash (name_table.h), so this takes a moment and not a minute.  The
 * time is for the reader only. */
static void many_rules_with_a_header_and_a_key_of_their_own_each_have_slots(void **state)
{
    enum { RULES = 20000, RULE_MAX = 160 };
    CLEANUP(freep) char *text = calloc(RULES + 1, RULE_MAX);
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    struct timespec before, after;
    size_t length;

    (void)state;
    assert_non_null(text);
    length = (size_t)sprintf(text, "version: 1\ndefault: allow\nrules:\n");
    for (int i = 0; i < RULES; i++)
        length +=
            (size_t)snprintf(text + length, RULE_MAX,
                             "- {id: r%d, then: continue, metadata: {k%d: v}, request_headers:"
                             " {set: {x-set-%d: v}, remove: [x-gone-%d]}}\n",
                             i, i, i, i);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
    policy = parse(text);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
    print_message("%d rules, %zu bytes: %.0f ms\n", RULES, length,
                  1e3 * (double)(after.tv_sec - before.tv_sec) +
                      1e-6 * (double)(after.tv_nsec - before.tv_nsec));
    assert_int_equal(policy->slots[TARGET_REQUEST_HEADER].count, 1 + 2 * RULES);
    assert_int_equal(policy->slots[TARGET_METADATA].count, RULES);
    for (uint32_t i = 0; i < RULES; i++) {
        assert_int_equal(policy->rules[i].effects[TARGET_REQUEST_HEADER].items[0].slot, 1 + i);
        assert_int_equal(policy->rules[i].effects[TARGET_REQUEST_HEADER].items[1].slot,
                         1 + RULES + i);
        assert_int_equal(policy->rules[i].effects[TARGET_METADATA].items[0].slot, i);
    }
}

/* printf 'version: 1\nrules: []\ndefault: deny\n' | sha256sum */
static void the_revision_is_the_digest_of_the_file(void **state)
{
    CLEANUP(policy_unrefp) struct policy *policy = parse("version: 1\nrules: []\ndefault: deny\n");

    (void)state;
    assert_string_equal(policy->revision, "3c01cbc6ff36");
}

static void a_denial_can_have_each_final_status_that_envoy_knows(void **state)
{
    static const char KNOWN[] = " 200 201 202 203 204 205 206 207 208 226 300 301 302 303 304 305 "
                                "307 308 400 401 402 403 404 405 406 407 408 409 410 411 412 413 "
                                "414 415 416 417 421 422 423 424 426 428 429 431 500 501 502 503 "
                                "504 505 506 507 508 510 511 ";

    (void)state;
    for (unsigned status = 0; status < 1000; status++) {
        CLEANUP(policy_unrefp) struct policy *policy = NULL;
        struct diag diag = {0};
        char text[160], word[16];
        int r;

        (void)snprintf(word, sizeof(word), " %03u ", status);
        (void)snprintf(text, sizeof(text),
                       "version: 1\n"
                       "rules: [{id: a, then: deny, respond: {status: %03u}}]\n"
                       "default: deny\n",
                       status);
        r = policy_file_parse(str_from(text), "test.yaml", &policy, &diag);
        assert_int_equal(r, strstr(KNOWN, word) ? 0 : -EINVAL);
        if (r == 0)
            assert_int_equal(policy->rules[0].respond->status, status);
    }
}

/* --- databases */

#define DATABASE TEST_DATA "/policy/systems.fp"

static void databases_are_loaded_in_their_order(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy = parse("version: 1\n"
                                  "rules:\n"
                                  "  - {id: a, when: {os.family: windows, label: x}, then: deny}\n"
                                  "  - {id: b, then: continue, metadata: {os: \"%{os.name}\"}}\n"
                                  "default: allow\n"
                                  "on_unknown: skip\n"
                                  "databases: [" DATABASE ", " DATABASE "]\n");

    (void)state;
    assert_int_equal(policy->database_count, 2);
    assert_non_null(policy->databases[0]);
    assert_non_null(policy->databases[1]);
}

/* (cat POLICY; sha256sum DATABASE without a newline) | sha256sum */
static void the_revision_is_of_the_databases_too(void **state)
{
    static const char TEXT[] = "version: 1\nrules: []\ndefault: deny\ndatabases: [\"%s\"]\n";
    CLEANUP(memory_file_done) struct memory_file file = memory_file_with("", 0);
    char text[256], before[13];
    struct policy *policy;

    (void)state;
    (void)snprintf(text, sizeof(text), TEXT, file.path);
    policy = parse(text);
    memcpy(before, policy->revision, sizeof(before));
    policy_unref(policy);
    assert_int_equal(pwrite(file.fd, ";\n", 2, 0), 2);
    policy = parse(text);
    assert_string_not_equal(policy->revision, before);
    policy_unref(policy);
    assert_int_equal(ftruncate(file.fd, 0), 0);
    policy = parse(text);
    assert_string_equal(policy->revision, before);
    policy_unref(policy);
}

static void a_relative_path_is_relative_to_the_policy(void **state)
{
    static const char TEXT[] = "version: 1\nrules: []\ndefault: deny\ndatabases: [systems.fp]\n";
    CLEANUP(policy_unrefp) struct policy *policy = NULL;
    struct diag diag = {0};

    (void)state;
    assert_int_equal(
        policy_file_parse(str_from(TEXT), TEST_DATA "/policy/some.yaml", &policy, &diag), 0);
    assert_int_equal(policy->database_count, 1);
}

static void what_is_wrong_in_a_database_is_said_with_its_place_there(void **state)
{
    static const char WRONG_DATABASE[] = "classes = unix\n[tcp:request]\nlabel = s:unix:Linux:\n"
                                         "sig = nonsense\n";
    CLEANUP(memory_file_done)
    struct memory_file file = memory_file_with(WRONG_DATABASE, sizeof(WRONG_DATABASE) - 1);
    struct policy *policy = NULL;
    struct diag diag = {0};
    char text[256];

    (void)state;
    (void)snprintf(text, sizeof(text),
                   "version: 1\nrules: []\ndefault: deny\ndatabases: [" DATABASE ", \"%s\"]\n",
                   file.path);
    assert_int_equal(policy_file_parse(str_from(text), "test.yaml", &policy, &diag), -EINVAL);
    assert_null(policy);
    assert_string_equal(diag.file, file.path);
    assert_int_equal(diag.place.line, 4);
    assert_true(diag.text[0] != '\0');
}

/* --- rules that do not count */

static void a_rule_that_does_not_count_needs_nothing_and_hides_nothing(void **state)
{
    CLEANUP(policy_unrefp)
    struct policy *policy =
        parse("version: 1\n"
              "rules:\n"
              "  - {id: a, mode: shadow, when: {p0f: x}, then: deny}\n"
              "  - {id: b, mode: off, when: {p0f: x}, then: deny, on_unknown: deny}\n"
              "  - {id: c, mode: shadow, then: deny, request_headers: {set: {x-a: a}}}\n"
              "  - {id: d, mode: off, then: allow, query: {set: {b: b}}}\n"
              "  - {id: e, mode: enforce, then: continue, query: {set: {c: c}, remove: [d]}}\n"
              "default: allow\n");

    (void)state;
    assert_int_equal(policy->rules[0].mode, RULE_SHADOW);
    assert_int_equal(policy->rules[1].mode, RULE_OFF);
    assert_int_equal(policy->rules[4].mode, RULE_ENFORCE);
    assert_int_equal(header_table_owned_count(policy->headers), 2);
    assert_int_equal(policy->owned_parameter_count, 2);
    assert_int_equal(policy->slots[TARGET_QUERY].count, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_file_gets_its_one_message),
        cmocka_unit_test(a_file_cut_anywhere_is_refused_with_a_place),
        cmocka_unit_test(files_that_cannot_be_read_say_why),
        cmocka_unit_test(each_example_of_the_guide_loads),
        cmocka_unit_test(the_first_light_policy_decides_as_it_says),
        cmocka_unit_test(every_arena_cap_decides_or_says_that_it_is_full),
        cmocka_unit_test(the_rules_keep_their_places_and_answers),
        cmocka_unit_test(owned_headers_have_the_first_slots),
        cmocka_unit_test(metadata_keys_of_all_rules_share_slots),
        cmocka_unit_test(many_rules_with_a_header_and_a_key_of_their_own_each_have_slots),
        cmocka_unit_test(headers_that_rules_test_have_read_slots),
        cmocka_unit_test(a_rule_has_its_own_on_unknown_or_the_policys),
        cmocka_unit_test(on_unknown_is_needed_only_where_a_rule_can_be_unknown),
        cmocka_unit_test(the_revision_is_the_digest_of_the_file),
        cmocka_unit_test(a_denial_can_have_each_final_status_that_envoy_knows),
        cmocka_unit_test(databases_are_loaded_in_their_order),
        cmocka_unit_test(the_revision_is_of_the_databases_too),
        cmocka_unit_test(a_relative_path_is_relative_to_the_policy),
        cmocka_unit_test(what_is_wrong_in_a_database_is_said_with_its_place_there),
        cmocka_unit_test(a_rule_that_does_not_count_needs_nothing_and_hides_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
