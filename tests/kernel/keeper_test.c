/* SPDX-License-Identifier: Apache-2.0 */
/* The program that alone writes what user space can only read (keeper.h). */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "keeper.h"
#include "objects.h"

enum { FULL_NS = 77, ETHERNET = 14 };

struct scene {
    struct capture_maps maps;
    int keeper;
};

/* With full_ns as a tracker would have written it. */
static void scene_make(struct scene *scene)
{
    static const struct map_sizes SIZES = {16, 16, 16};
    const struct capture_meta full = {.full_ns = FULL_NS};
    struct diag diag = {.text = ""};

    capture_maps_init(&scene->maps);
    if (objects_make_maps(&SIZES, &scene->maps, &diag) < 0)
        fail_msg("%s", diag.text);
    assert_int_equal(bpf_map_update_elem(scene->maps.fd[MAP_META], &(uint32_t){0}, &full, BPF_ANY),
                     0);
    scene->keeper = objects_load_hook(OBJECT_KEEPER, &scene->maps, &diag);
    if (scene->keeper < 0)
        fail_msg("%s", diag.text);
    assert_int_equal(keeper_freeze_maps(&scene->maps), 0);
}

static void scene_done(struct scene *scene)
{
    close(scene->keeper);
    capture_maps_close(&scene->maps);
}

static void read_first(const struct scene *scene, enum capture_map map, void *ret_value)
{
    assert_int_equal(bpf_map_lookup_elem(scene->maps.fd[map], &(uint32_t){0}, ret_value), 0);
}

static void what_it_keeps_is_written_by_it_alone(void **state)
{
    static const enum capture_map KEPT[] = {MAP_CONFIG, MAP_PORTS, MAP_PREFIXES, MAP_META};
    struct scene scene;

    (void)state;
    scene_make(&scene);
    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        const uint8_t key[64] = {0}, value[256] = {0};
        int fd = scene.maps.fd[KEPT[i]];

        assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), -EPERM);
        assert_int_equal(bpf_map_delete_elem(fd, key), -EPERM);
    }
    assert_int_equal(keeper_freeze_maps(&scene.maps), 0); /* again */
    scene_done(&scene);
}

static void meta_is_replaced_but_for_what_the_tracker_writes(void **state)
{
    struct capture_meta wanted, found;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    memset(&wanted, 0xa5, sizeof(wanted));
    assert_int_equal(keeper_write_meta(scene.keeper, &wanted), 0);
    read_first(&scene, MAP_META, &found);
    wanted.full_ns = FULL_NS;
    assert_memory_equal(&found, &wanted, sizeof(found));
    scene_done(&scene);
}

static void the_end_changes_the_state_and_nothing_else(void **state)
{
    struct capture_meta wanted = {.magic = META_MAGIC, .state = CAPTURE_RUNNING, .live_size = 9};
    struct capture_meta found;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    assert_int_equal(keeper_write_meta(scene.keeper, &wanted), 0);
    assert_int_equal(keeper_end(scene.keeper), 0);
    read_first(&scene, MAP_META, &found);
    wanted.state = CAPTURE_ENDED;
    wanted.full_ns = FULL_NS;
    assert_memory_equal(&found, &wanted, sizeof(found));
    scene_done(&scene);
}

static void settings_and_ports_are_replaced(void **state)
{
    const struct capture_config wanted = {.enabled = 1, .syn_rate = 5, .keep_pending = 1};
    const uint32_t last = PORTS_WORDS - 1;
    struct capture_config found;
    struct scene scene;
    uint64_t bits;

    (void)state;
    scene_make(&scene);
    assert_int_equal(keeper_write_config(scene.keeper, &wanted), 0);
    read_first(&scene, MAP_CONFIG, &found);
    assert_memory_equal(&found, &wanted, sizeof(found));
    assert_int_equal(keeper_write_ports(scene.keeper, last, UINT64_C(1) << 63 | 1), 0);
    assert_int_equal(bpf_map_lookup_elem(scene.maps.fd[MAP_PORTS], &last, &bits), 0);
    assert_true(bits == (UINT64_C(1) << 63 | 1));
    read_first(&scene, MAP_PORTS, &bits);
    assert_true(bits == 0);
    assert_int_equal(keeper_write_ports(scene.keeper, PORTS_WORDS, 1), -ENOENT);
    scene_done(&scene);
}

static void prefixes_come_and_go(void **state)
{
    struct prefix_key key = {.bits = 104, .address = {[10] = 0xff, 0xff, 10}};
    struct scene scene;
    uint8_t present;

    (void)state;
    scene_make(&scene);
    for (int time = 0; time < 2; time++) {
        assert_int_equal(keeper_add_prefix(scene.keeper, &key), 0);
        assert_int_equal(bpf_map_lookup_elem(scene.maps.fd[MAP_PREFIXES], &key, &present), 0);
        assert_int_equal(present, 1);
    }
    assert_int_equal(keeper_remove_prefix(scene.keeper, &key), 0);
    assert_int_equal(bpf_map_lookup_elem(scene.maps.fd[MAP_PREFIXES], &key, &present), -ENOENT);
    assert_int_equal(keeper_remove_prefix(scene.keeper, &key), -ENOENT);
    key.bits = 129;
    assert_int_equal(keeper_add_prefix(scene.keeper, &key), -EINVAL);
    key.bits = 128;
    for (uint32_t i = 0; i < PREFIXES_MAX; i++) {
        memcpy(key.address, &i, sizeof(i));
        assert_int_equal(keeper_add_prefix(scene.keeper, &key), 0);
    }
    key.address[8] = 1;
    assert_int_equal(keeper_add_prefix(scene.keeper, &key), -ENOSPC);
    scene_done(&scene);
}

/* --- orders that are none --- */

static int answer_to(const struct scene *scene, const void *order, size_t length)
{
    uint8_t frame[ETHERNET + sizeof(struct keeper_order)] = {0};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame,
                .data_size_in = (uint32_t)(ETHERNET + length), .repeat = 1);

    assert_in_range(length, 1, sizeof(struct keeper_order));
    memcpy(frame + ETHERNET, order, length);
    assert_int_equal(bpf_prog_test_run_opts(scene->keeper, &options), 0);
    return (int)options.retval;
}

/* That of any later version can do with these four bytes. */
static void the_end_takes_no_more_than_its_word(void **state)
{
    const uint32_t action = KEEPER_END;
    struct capture_meta found;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    assert_int_equal(answer_to(&scene, &action, sizeof(action)), 0);
    read_first(&scene, MAP_META, &found);
    assert_int_equal(found.state, CAPTURE_ENDED);
    scene_done(&scene);
}

static void what_is_no_order_changes_nothing(void **state)
{
    struct keeper_order order = {.meta.magic = 1};
    struct capture_meta found, before;
    struct scene scene;

    (void)state;
    scene_make(&scene);
    read_first(&scene, MAP_META, &before);
    assert_int_equal(answer_to(&scene, &order, sizeof(order)), -EINVAL);
    order.action = KEEPER_REMOVE_PREFIX + 1;
    assert_int_equal(answer_to(&scene, &order, sizeof(order)), -EINVAL);
    order.action = KEEPER_META;
    for (size_t length = 1; length < sizeof(order); length++)
        assert_int_equal(answer_to(&scene, &order, length), -EINVAL);
    read_first(&scene, MAP_META, &found);
    assert_memory_equal(&found, &before, sizeof(found));
    scene_done(&scene);
}

/* --- the secret --- */

static void the_secret_is_drawn_once(void **state)
{
    struct capture_secret first, second;
    struct scene scene, other;

    (void)state;
    scene_make(&scene);
    scene_make(&other);
    assert_int_equal(capture_secret_draw(&scene.maps), 0);
    read_first(&scene, MAP_SECRET, &first);
    assert_true(first.seed != 0);
    assert_int_equal(capture_secret_draw(&scene.maps), 0);
    read_first(&scene, MAP_SECRET, &second);
    assert_true(second.seed == first.seed);
    assert_int_equal(
        bpf_map_update_elem(scene.maps.fd[MAP_SECRET], &(uint32_t){0}, &first, BPF_ANY), -EPERM);
    assert_int_equal(capture_secret_draw(&other.maps), 0);
    read_first(&other, MAP_SECRET, &second);
    assert_true(second.seed != first.seed);
    scene_done(&other);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_keeps_is_written_by_it_alone),
        cmocka_unit_test(meta_is_replaced_but_for_what_the_tracker_writes),
        cmocka_unit_test(the_end_changes_the_state_and_nothing_else),
        cmocka_unit_test(settings_and_ports_are_replaced),
        cmocka_unit_test(prefixes_come_and_go),
        cmocka_unit_test(the_end_takes_no_more_than_its_word),
        cmocka_unit_test(what_is_no_order_changes_nothing),
        cmocka_unit_test(the_secret_is_drawn_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
