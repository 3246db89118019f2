/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_GROUP_H
#define CLATTN_KV_GROUP_H

/* What the kernels of cache operations share: how their groups are made, and how raw bytes are copied. */

#include "device/device.h"
#include "kernel/kernel.h"
#include "kernel/tile.h"

/* Some drivers count groups of dimensions 1 and 2 in 16 bits. */
#define CLATTN_MAX_GROUPS_Z 65535
/* Longest row, in bytes or elements, that neighbouring rows are joined into: far from where 32 bits end. */
#define CLATTN_MAX_JOINED_ROW (1 << 30)

/* A kernel whose groups are lanes (along a row) times rows, by a tile of CLATTN_FRAGMENT_GROUP. */
typedef struct clattn_group_kernel {
    clattn_kernel *kernel;
    clattn_tile tile;
} clattn_group_kernel;

/* The built-in default of append or gather. */
clattn_tile clattn_group_default(const clattn_device *device, clattn_algorithm algorithm);

/* Compiles `entry` of `source` with `options` and the tile's. A built kernel may allow less than its device: then its
 * groups are one work-item, which runs everywhere. The errors of clattn_kernel_get. */
clattn_status clattn_group_kernel_get(clattn_device *device, const char *source, const char *entry, const char *options,
                                      const clattn_tile *tile, clattn_group_kernel *out);

/* The sides of its groups, and how many groups so many tokens make, at least one. */
size_t clattn_group_lanes(const clattn_group_kernel *group);
size_t clattn_group_rows(const clattn_group_kernel *group);
size_t clattn_group_chunks(const clattn_group_kernel *group, int32_t tokens);

/* The largest of 1, 2, 4 and 16 that divides all: what raw bytes may be copied in, given every offset, stride and
 * length of a copy. cl_mem objects start at multiples of 128 bytes. */
int32_t clattn_copy_unit(const int64_t *numbers, int count);

#endif
