/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_UTIL_RANGE_H
#define CLATTN_UTIL_RANGE_H

#include <stddef.h>
#include <stdint.h>

#include <clattn/status.h>

/* An integer that an argument holds, and what it may be: low to high, both included. */
typedef struct clattn_range {
    const char *name;
    int64_t value, low, high;
} clattn_range;

/* CLATTN_INVALID_ARGUMENT for the first value outside its range, with its name, the value and the range. */
clattn_status clattn_check_ranges(const clattn_range *ranges, size_t count);

#endif
