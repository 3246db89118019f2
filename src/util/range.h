/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_RANGE_H
#define CLATTN_UTIL_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include <clattn/types.h>

/* Limits that several descriptions have. A count up to CLATTN_MAX_COUNT keeps positions and grid sizes inside 32 bits
 * with room for a group or a tile. */
#define CLATTN_MAX_COUNT     (1 << 30)
#define CLATTN_MAX_PAGE_SIZE 256
#define CLATTN_MAX_HEAD_DIM  576   /* of attention */
#define CLATTN_MAX_DIM       65535 /* heads and dims of operations that are not attention */

/* An integer that an argument holds, and what it may be: low to high, both included. */
typedef struct clattn_range {
    const char *name;
    int64_t value, low, high;
} clattn_range;

/* CLATTN_INVALID_ARGUMENT for the first value outside its range, with its name, the value and the range. */
clattn_status clattn_check_ranges(const clattn_range *ranges, size_t count);

/* CLATTN_INVALID_ARGUMENT unless the struct_size of `argument` is as expected; `setter` is the macro that sets it. */
clattn_status clattn_check_struct_size(const char *argument, size_t given, size_t expected, const char *setter);

/* CLATTN_INVALID_ARGUMENT unless dim is a whole number of the type's blocks. */
clattn_status clattn_check_blocks(const char *dim_name, int32_t dim, const char *dtype_name, clattn_dtype dtype);

#endif
