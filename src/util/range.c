/* SPDX-License-Identifier: BSD-2-Clause */
#include "util/range.h"

#include <inttypes.h>

#include "util/status.h"

clattn_status clattn_check_ranges(const clattn_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (ranges[i].value < ranges[i].low || ranges[i].value > ranges[i].high)
            return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s is %" PRId64 "; it has to be %" PRId64 " to %" PRId64,
                               ranges[i].name, ranges[i].value, ranges[i].low, ranges[i].high);
    return CLATTN_OK;
}

clattn_status clattn_check_struct_size(const char *argument, size_t given, size_t expected, const char *setter)
{
    if (given == expected)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT, "%s->struct_size is %zu; it has to be %zu (%s sets it)", argument,
                       given, expected, setter);
}

clattn_status clattn_check_blocks(const char *dim_name, int32_t dim, const char *dtype_name, clattn_dtype dtype)
{
    const int32_t block_len = clattn_dtype_block_len(dtype);
    if (dim % block_len == 0)
        return CLATTN_OK;
    return clattn_fail(CLATTN_INVALID_ARGUMENT,
                       "%s is %" PRId32 "; it has to be a multiple of %" PRId32 ", the block of %s %s", dim_name, dim,
                       block_len, dtype_name, clattn_dtype_name(dtype));
}
