/* SPDX-License-Identifier: Apache-2.0 */
/* A server follows pins that come, are replaced, and go; and what it answers meanwhile. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pin_names.h"
#include "pin_set.h"
#include "pin_source.h"
#include "pinned.h"
#include "record.h"

enum {
    REDIRECT_PORT = 15006,
    SOON_MS = 1500, /* the thread looks twice a second */
    LATE_MS = 4000, /* and believes a silent agent for two seconds */
    STEP_MS = 5,
    THREADS = 4,
    SWAPS = 6,
};

struct scene {
    struct pin_folder folder;
    struct pinned_set set;
    struct syn_source *source;
};

static struct flow the_flow(void)
{
    const uint8_t client[4] = {192, 0, 2, 9}, server[4] = {192, 0, 2, 1};

    return (struct flow){{addr_from_v4(client), 40000}, {addr_from_v4(server), 443}};
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)nanosleep(&time, NULL);
}

static struct syn_source *open_source(const struct pin_folder *folder)
{
    static const uint16_t PORTS[] = {REDIRECT_PORT};
    struct syn_source *source = NULL;
    struct diag diag = {0};

    assert_int_equal(pin_source_open(
                         &(struct pin_source_config){
                             .pin_dir = folder->path,
                             .redirect_ports = PORTS,
                             .redirect_port_count = 1,
                         },
                         &source, &diag),
                     0);
    return source;
}

/* A set with the flow's SYN, of this number. */
static void make_set(struct pinned_set *ret_set, uint32_t isn)
{
    const struct flow flow = the_flow();

    pinned_set_make(ret_set);
    pinned_set_put(ret_set, &flow, isn);
}

static void scene_make(struct scene *ret_scene)
{
    pin_folder_make(&ret_scene->folder);
    make_set(&ret_scene->set, 1);
    pinned_set_pin(&ret_scene->set, &ret_scene->folder, "v2");
    ret_scene->source = open_source(&ret_scene->folder);
}

/* The pins must be gone. */
static void scene_done(struct scene *scene)
{
    syn_source_freep(&scene->source);
    pinned_set_close(&scene->set);
    pin_folder_remove(&scene->folder);
}

static struct syn_answer ask(const struct syn_source *source)
{
    const struct flow flow = the_flow();
    struct syn_answer answer;

    source->lookup(source, &flow, &answer);
    return answer;
}

static bool is_verified(struct syn_answer answer, uint32_t isn)
{
    return answer.state == SYN_STATE_VERIFIED && answer.syn.isn == isn;
}

static bool is_unavailable(struct syn_answer answer)
{
    return answer.state == SYN_STATE_UNAVAILABLE && answer.reason == SYN_REASON_MAP_ERROR;
}

static enum pin_source_state state_of(const struct syn_source *source)
{
    struct pin_source_status status;

    pin_source_get_status(source, &status);
    return status.state;
}

/* Waits until `condition` holds, at most so long. */
#define assert_soon(condition, limit_ms)                                                           \
    do {                                                                                           \
        int waited_ms = 0;                                                                         \
        while (!(condition) && waited_ms < (limit_ms)) {                                           \
            sleep_ms(STEP_MS);                                                                     \
            waited_ms += STEP_MS;                                                                  \
        }                                                                                          \
        assert_true(condition);                                                                    \
    } while (0)

/* For so long, and the set's agent beats meanwhile. */
#define assert_stays(condition, set, for_ms)                                                       \
    do {                                                                                           \
        for (int passed_ms = 0; passed_ms < (for_ms); passed_ms += STEP_MS) {                      \
            pinned_set_beat(set);                                                                  \
            assert_true(condition);                                                                \
            sleep_ms(STEP_MS);                                                                     \
        }                                                                                          \
    } while (0)

static void nothing_is_there_until_an_agent_comes(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    pin_folder_make(&scene.folder);
    scene.source = open_source(&scene.folder);
    assert_true(is_unavailable(ask(scene.source)));
    pin_source_get_status(scene.source, &status);
    assert_int_equal(status.state, PIN_SOURCE_ABSENT);
    assert_non_null(strstr(status.why, "nothing is pinned"));
    assert_int_equal(status.swaps, 0);
    assert_int_equal(status.failures, 0);

    make_set(&scene.set, 1);
    pinned_set_pin(&scene.set, &scene.folder, "v2");
    assert_soon(is_verified(ask(scene.source), 1), SOON_MS);
    assert_soon(state_of(scene.source) == PIN_SOURCE_FRESH, SOON_MS);
    pin_source_get_status(scene.source, &status);
    assert_string_equal(status.why, "");
    assert_int_equal(status.swaps, 1);
    assert_true(status.tracked);
    assert_true(status.heartbeat_age_ns < UINT64_C(5000000000));
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static void what_is_there_is_in_use_at_once(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    assert_true(is_verified(ask(scene.source), 1));
    assert_int_equal(state_of(scene.source), PIN_SOURCE_FRESH);
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static size_t open_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(entries);
    while (readdir(entries))
        count++;
    (void)closedir(entries);
    return count;
}

static void a_replaced_set_is_followed_and_the_old_one_closed(void **state)
{
    struct pinned_set new;
    struct scene scene;
    size_t before;

    (void)state;
    scene_make(&scene);
    make_set(&new, 2);
    before = open_descriptors();
    pinned_set_pin(&new, &scene.folder, "v2-1");
    assert_soon(is_verified(ask(scene.source), 2), SOON_MS);
    assert_soon(open_descriptors() == before, SOON_MS);

    pinned_set_remove(&scene.folder, "v2-1"); /* and back again */
    assert_soon(is_verified(ask(scene.source), 1), SOON_MS);
    pinned_set_remove(&scene.folder, "v2");
    pinned_set_close(&new);
    scene_done(&scene);
}

/* The newer one is not ours, or broken. */
static void a_set_that_cannot_be_opened_leaves_the_old_one(void **state)
{
    struct pin_source_status status;
    struct pinned_set new;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    make_set(&new, 2);
    new.meta->reader_layout++;
    pinned_set_pin(&new, &scene.folder, "v3");
    assert_stays(is_verified(ask(scene.source), 1), &scene.set, SOON_MS);
    pin_source_get_status(scene.source, &status);
    assert_int_equal(status.swaps, 1);
    assert_int_equal(status.state, PIN_SOURCE_FRESH);

    assert_int_equal(unlink(pin_folder_at(&scene.folder, "v3/alias")), 0);
    new.meta->reader_layout--;
    assert_soon((pin_source_get_status(scene.source, &status), status.failures > 0), SOON_MS);
    assert_stays(is_verified(ask(scene.source), 1), &scene.set, SOON_MS);
    pinned_set_remove(&scene.folder, "v3");
    pinned_set_remove(&scene.folder, "v2");
    pinned_set_close(&new);
    scene_done(&scene);
}

/* --- what is not believed any more ------------------------------------------------------------ */

static void wiped_pins_change_nothing_while_an_agent_beats(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    pinned_set_remove(&scene.folder, "v2");
    assert_stays(is_verified(ask(scene.source), 1), &scene.set, LATE_MS);
    pinned_set_pin(&scene.set, &scene.folder, "v2");
    assert_stays(is_verified(ask(scene.source), 1), &scene.set, SOON_MS);
    pin_source_get_status(scene.source, &status);
    assert_int_equal(status.swaps, 1); /* the same set all the time */
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static void wiped_pins_of_a_dead_agent_are_given_up(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    pinned_set_remove(&scene.folder, "v2");
    assert_soon(is_unavailable(ask(scene.source)), LATE_MS);
    assert_soon(state_of(scene.source) == PIN_SOURCE_ABSENT, SOON_MS);

    pinned_set_beat(&scene.set); /* once given up, only pins bring it back */
    sleep_ms(SOON_MS);
    assert_true(is_unavailable(ask(scene.source)));
    pinned_set_pin(&scene.set, &scene.folder, "v2");
    assert_soon(is_verified(ask(scene.source), 1), SOON_MS);
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

/* Pins of a dead agent keep its programs running. */
static void pins_without_an_agent_are_good(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    scene.set.meta->heartbeat_ns = boot_time_ns() - 2 * HEARTBEAT_STALE_NS;
    assert_soon(state_of(scene.source) == PIN_SOURCE_STALE, SOON_MS);
    assert_true(is_verified(ask(scene.source), 1));
    pin_source_get_status(scene.source, &status);
    assert_true(status.heartbeat_age_ns >= 2 * HEARTBEAT_STALE_NS);
    assert_non_null(strstr(status.why, "no agent"));
    pinned_set_beat(&scene.set);
    assert_soon(state_of(scene.source) == PIN_SOURCE_FRESH, SOON_MS);
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static void without_the_tracker_s_link_only_an_agent_is_believed(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    assert_int_equal(unlink(pin_folder_at(&scene.folder, "v2/link_track_0")), 0);
    assert_stays(is_verified(ask(scene.source), 1), &scene.set, SOON_MS);
    assert_soon(is_unavailable(ask(scene.source)), LATE_MS);
    assert_soon(state_of(scene.source) == PIN_SOURCE_ABSENT, SOON_MS);
    pin_source_get_status(scene.source, &status);
    assert_non_null(strstr(status.why, "links"));
    assert_int_equal(status.swaps, 1);
    sleep_ms(SOON_MS);
    pin_source_get_status(scene.source, &status);
    assert_int_equal(status.swaps, 1); /* and it is not taken into use again and again */
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

/* Before the programs go: whoever ends it waits for PIN_NOTICE_MS. */
static void the_end_of_capture_is_obeyed_in_time(void **state)
{
    struct scene scene;

    (void)state;
    scene_make(&scene);
    assert_true(is_verified(ask(scene.source), 1));
    scene.set.meta->state = CAPTURE_ENDED;
    assert_soon(is_unavailable(ask(scene.source)), PIN_BELIEVED_MS);
    assert_soon(state_of(scene.source) == PIN_SOURCE_ABSENT, SOON_MS);
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static void missing_hooks_are_reported(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    scene.set.meta->hooks = 1;
    scene.set.meta->hooks_missing = 2;
    scene.set.meta->state = CAPTURE_DEGRADED;
    assert_soon(state_of(scene.source) == PIN_SOURCE_DEGRADED, SOON_MS);
    assert_true(is_verified(ask(scene.source), 1));
    pin_source_get_status(scene.source, &status);
    assert_string_equal(status.why, "1 of the agent's hooks are attached, 2 are missing");
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

static void a_folder_that_was_made_by_somebody_else_is_refused(void **state)
{
    struct pin_source_status status;
    struct scene scene;

    (void)state;
    pin_folder_make(&scene.folder);
    assert_int_equal(chown(scene.folder.path, 65534, 65534), 0);
    make_set(&scene.set, 1);
    pinned_set_pin(&scene.set, &scene.folder, "v2");
    scene.source = open_source(&scene.folder);
    sleep_ms(SOON_MS);
    assert_true(is_unavailable(ask(scene.source)));
    pin_source_get_status(scene.source, &status);
    assert_int_equal(status.swaps, 0);
    assert_true(status.failures > 0);
    assert_non_null(strstr(status.why, "belongs to user 65534"));
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

/* As the source has it, whose agent's heart does not beat. */
static void open_silent_set(const struct scene *scene, struct pin_set *ret_set)
{
    const struct pin_source_config config = {.pin_dir = scene->folder.path};
    struct diag diag = {0};

    pin_set_init(ret_set);
    assert_int_equal(pin_set_open(ret_set, &config, &diag), 0);
    scene->set.meta->heartbeat_ns = 0;
}

/* The thread that judges is late, or has died (here there is none): each look-up sees for itself
 * what holds the programs, an agent or the pins. */
static void an_old_judgement_is_not_believed(void **state)
{
    struct scene scene;
    struct pin_set set;

    (void)state;
    scene_make(&scene);
    open_silent_set(&scene, &set);
    assert_true(pin_set_is_kept_true(&set)); /* the pins were there */
    sleep_ms(PIN_BELIEVED_MS + 100);
    assert_true(pin_set_is_kept_true(&set)); /* and still are */
    pinned_set_remove(&scene.folder, "v2");
    assert_true(pin_set_is_kept_true(&set)); /* as they were a moment ago */
    sleep_ms(PIN_BELIEVED_MS + 100);
    assert_false(pin_set_is_kept_true(&set));
    pinned_set_beat(&scene.set);
    assert_true(pin_set_is_kept_true(&set)); /* an agent lives, which will pin them again */
    scene.set.meta->state = CAPTURE_ENDED;
    assert_false(pin_set_is_kept_true(&set));
    pin_set_close(&set);
    scene_done(&scene);
}

/* It has ended while its pins are there still: nothing that was seen before counts for so long. */
static void an_end_is_seen_however_late_the_thread_is(void **state)
{
    struct scene scene;
    struct pin_set set;

    (void)state;
    scene_make(&scene);
    open_silent_set(&scene, &set);
    scene.set.meta->state = CAPTURE_ENDED;
    sleep_ms(PIN_NOTICE_MS);
    assert_false(pin_set_is_kept_true(&set));
    pin_set_close(&set);
    pinned_set_remove(&scene.folder, "v2");
    scene_done(&scene);
}

/* --- many readers ----------------------------------------------------------------------------- */

struct reader {
    const struct syn_source *source;
    atomic_bool *ends;
    uint64_t look_ups, wrong;
    uint32_t newest;
};

/* Each set has the flow with a number of its own: no answer may be older than one before it. */
static void *read_on(void *context)
{
    struct reader *reader = context;

    while (!atomic_load(reader->ends)) {
        struct syn_answer answer = ask(reader->source);

        reader->look_ups++;
        if (answer.state != SYN_STATE_VERIFIED || answer.syn.isn < reader->newest)
            reader->wrong++;
        else
            reader->newest = answer.syn.isn;
    }
    return NULL;
}

static void swap_under_load(const struct scene *scene)
{
    char name[2][16] = {"v2"};

    for (uint32_t n = 1; n <= SWAPS; n++) {
        struct pinned_set new;

        make_set(&new, 1 + n);
        (void)snprintf(name[n % 2], sizeof(name[0]), "v2-%u", n);
        pinned_set_pin(&new, &scene->folder, name[n % 2]);
        assert_soon(ask(scene->source).syn.isn == 1 + n, SOON_MS);
        pinned_set_remove(&scene->folder, name[(n + 1) % 2]);
        pinned_set_close(&new);
    }
    pinned_set_remove(&scene->folder, name[SWAPS % 2]);
}

static void threads_read_right_answers_while_sets_are_swapped(void **state)
{
    struct reader readers[THREADS];
    pthread_t threads[THREADS];
    atomic_bool ends = false;
    struct scene scene;
    uint64_t look_ups = 0;

    (void)state;
    scene_make(&scene);
    for (size_t i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.source = scene.source, .ends = &ends};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    swap_under_load(&scene);
    atomic_store(&ends, true);
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(readers[i].wrong, 0);
        assert_true(readers[i].look_ups > SWAPS);
        look_ups += readers[i].look_ups;
    }
    print_message("%llu look-ups over %d swaps\n", (unsigned long long)look_ups, SWAPS);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_there_until_an_agent_comes),
        cmocka_unit_test(what_is_there_is_in_use_at_once),
        cmocka_unit_test(a_replaced_set_is_followed_and_the_old_one_closed),
        cmocka_unit_test(a_set_that_cannot_be_opened_leaves_the_old_one),
        cmocka_unit_test(wiped_pins_change_nothing_while_an_agent_beats),
        cmocka_unit_test(wiped_pins_of_a_dead_agent_are_given_up),
        cmocka_unit_test(pins_without_an_agent_are_good),
        cmocka_unit_test(without_the_tracker_s_link_only_an_agent_is_believed),
        cmocka_unit_test(the_end_of_capture_is_obeyed_in_time),
        cmocka_unit_test(an_old_judgement_is_not_believed),
        cmocka_unit_test(an_end_is_seen_however_late_the_thread_is),
        cmocka_unit_test(missing_hooks_are_reported),
        cmocka_unit_test(a_folder_that_was_made_by_somebody_else_is_refused),
        cmocka_unit_test(threads_read_right_answers_while_sets_are_swapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
