/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>

int keeper_freeze_maps(const struct capture_maps *maps)
{
    static const enum capture_map KEPT[] = {MAP_CONFIG, MAP_PORTS, MAP_PREFIXES, MAP_META};

    for (size_t i = 0; i < sizeof(KEPT) / sizeof(KEPT[0]); i++) {
        int r = capture_map_freeze(maps, KEPT[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

/* The kernel takes the input for a frame, and socket filters see what is behind its first header.
 */
struct frame {
    uint8_t ethernet[ETH_HLEN];
    struct keeper_order order;
} __attribute__((packed));

static int run(int keeper, const struct keeper_order *order)
{
    const struct frame frame = {.order = *order};
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = &frame, .data_size_in = sizeof(frame),
                .repeat = 1);

    if (bpf_prog_test_run_opts(keeper, &options) < 0)
        return -errno;
    return (int)options.retval;
}

int keeper_write_meta(int keeper, const struct capture_meta *meta)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_META, .meta = *meta});
}

int keeper_write_config(int keeper, const struct capture_config *config)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_CONFIG, .config = *config});
}

int keeper_write_ports(int keeper, uint32_t word, uint64_t bits)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_PORTS, .word = word, .ports = bits});
}

int keeper_add_prefix(int keeper, const struct prefix_key *prefix)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_ADD_PREFIX, .prefix = *prefix});
}

int keeper_remove_prefix(int keeper, const struct prefix_key *prefix)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_REMOVE_PREFIX, .prefix = *prefix});
}

int keeper_end(int keeper)
{
    return run(keeper, &(struct keeper_order){.action = KEEPER_END});
}
