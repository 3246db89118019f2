/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_GATHER_H
#define CLATTN_KV_GATHER_H

/* From a checked description to gather's kernel, and from checked buffers to its launch. */

#include <clattn/kv_cache.h>

#include "kv/group.h"

struct clattn_gather_plan {
    clattn_device *device;
    clattn_gather_desc desc; /* block_table_stride set */
    clattn_group_kernel group;
};

typedef enum clattn_gather_argument {
    CLATTN_GATHER_CACHE,
    CLATTN_GATHER_BLOCK_TABLE,
    CLATTN_GATHER_KV_LENS,
    CLATTN_GATHER_SCALES,
    CLATTN_GATHER_OUT,
    CLATTN_GATHER_ERROR_RECORD,
    CLATTN_GATHER_ARGUMENT_COUNT
} clattn_gather_argument;

/* What one run works on. No buffer is NULL; offsets[] is in units of the alignment of each buffer's type. */
typedef struct clattn_gather_call {
    int32_t batch, out_len;
    bool has_error_record;
    cl_mem memory[CLATTN_GATHER_ARGUMENT_COUNT];
    int64_t offsets[CLATTN_GATHER_ARGUMENT_COUNT];
} clattn_gather_call;

/* clattn_gather_plan_create with checked arguments; see there for the errors. */
clattn_status clattn_gather_plan_build(clattn_device *device, const clattn_gather_desc *desc, const clattn_tile *tile,
                                       clattn_gather_plan **out);
void clattn_gather_plan_free(clattn_gather_plan *plan);

/* Sets the kernel's arguments and enqueues it; its lock is taken here. batch 0: one group, which does nothing. */
clattn_status clattn_gather_enqueue(const clattn_gather_plan *plan, const clattn_gather_call *call,
                                    cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list,
                                    cl_event *event);

#endif
