/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_PLAN_MERGE_H
#define CLATTN_PLAN_MERGE_H

/* From a checked description to merge's kernel, and from checked buffers to its launch. */

#include <clattn/merge.h>

#include "device/device.h"
#include "kernel/kernel.h"

/* How a row is shared out; see cl/merge.cl. */
typedef struct clattn_merge_shape {
    int lanes, rows; /* the work-group */
    int width;       /* elements of a load, 1 or 16 */
    int blocks;      /* loads a work-item has under way */
} clattn_merge_shape;

struct clattn_merge_plan {
    clattn_device *device;
    clattn_merge_desc desc;
    clattn_kernel *kernel;
    clattn_merge_shape shape;
};

typedef enum clattn_merge_argument {
    CLATTN_MERGE_O_PARTS,
    CLATTN_MERGE_LSE_PARTS,
    CLATTN_MERGE_O,
    CLATTN_MERGE_LSE,
    CLATTN_MERGE_SINKS,
    CLATTN_MERGE_ARGUMENT_COUNT
} clattn_merge_argument;

/* What one run works on. No buffer is NULL; offsets[] is in elements of each buffer's type. */
typedef struct clattn_merge_call {
    int32_t parts, tokens;
    cl_mem memory[CLATTN_MERGE_ARGUMENT_COUNT];
    int64_t offsets[CLATTN_MERGE_ARGUMENT_COUNT];
} clattn_merge_call;

/* clattn_merge_plan_create with checked arguments; see there for the errors. */
clattn_status clattn_merge_plan_build(clattn_device *device, const clattn_merge_desc *desc, clattn_merge_plan **out);
void clattn_merge_plan_free(clattn_merge_plan *plan);

/* Sets the kernel's arguments and enqueues it; its lock is taken here. tokens 0: one group, which does nothing. */
clattn_status clattn_merge_enqueue(const clattn_merge_plan *plan, const clattn_merge_call *call, cl_command_queue queue,
                                   cl_uint num_wait, const cl_event *wait_list, cl_event *event);

#endif
