/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of the capture's maps (layouts: record.h), from whoever loaded them to whoever reads.
 */
#ifndef CAPTURE_MAPS_H
#define CAPTURE_MAPS_H

struct bpf_capture_maps {
    int pending, live, alias, ports, prefixes, config, meta, counters;
};

#endif
