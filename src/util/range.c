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
