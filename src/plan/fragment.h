/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_FRAGMENT_H
#define CLATTN_PLAN_FRAGMENT_H

/* Which fragments a problem may have. */

#include <stdbool.h>

#include "device/device.h"
#include "kernel/tile.h"
#include "plan/problem.h"

/* Whether the fragment computes the problem on such a device; else a reason in `why`. */
bool clattn_fragment_takes(clattn_fragment_id fragment, const clattn_problem *problem, const clattn_device_info *info,
                           char *why, size_t why_size);

/* The first that takes the problem, of those that the device prefers: what plans have where the caller names none and
 * nothing fails to build. */
clattn_fragment_id clattn_fragment_for(const clattn_device *device, const clattn_problem *problem);

#endif
