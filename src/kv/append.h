/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_APPEND_H
#define CLATTN_KV_APPEND_H

/* From a checked description to append's kernels, and from checked buffers to their launches. */

#include <clattn/cache_append.h>

#include "kv/group.h"

#define CLATTN_APPEND_MAX_PLANES 2

struct clattn_append_plan {
    clattn_device *device;
    clattn_append_desc desc;
    int num_planes; /* present, keys first */
    clattn_append_plane planes[CLATTN_APPEND_MAX_PLANES];
    clattn_tile tiles[CLATTN_APPEND_MAX_PLANES];           /* a plane's; both planes in one launch take the first's */
    bool shares_kernel;                                    /* both planes go in one launch */
    clattn_group_kernel kernels[CLATTN_APPEND_MAX_PLANES]; /* a launch's */
};

/* Offsets are in units of the alignment of each buffer's type. */
typedef struct clattn_append_plane_call {
    cl_mem src, cache, scales;
    int64_t src_offset, cache_offset, scales_offset;
} clattn_append_plane_call;

/* What one run works on. No buffer is NULL. */
typedef struct clattn_append_call {
    int32_t tokens;
    cl_mem slots, error_record;
    int64_t slots_offset, error_record_offset; /* -1: no error record */
    clattn_append_plane_call planes[CLATTN_APPEND_MAX_PLANES];
} clattn_append_call;

/* clattn_append_plan_create with checked arguments, and each plane's tile, NULL for the built-in default; see there for
 * the errors. */
clattn_status clattn_append_plan_build(clattn_device *device, const clattn_append_desc *desc, const clattn_tile *k_tile,
                                       const clattn_tile *v_tile, clattn_append_plan **out);
void clattn_append_plan_free(clattn_append_plan *plan);

/* How many launches a run has, and one of them: sets the kernel's arguments and enqueues it; its lock is taken here.
 * tokens 0: one group, which does nothing. */
int clattn_append_launches(const clattn_append_plan *plan);
clattn_status clattn_append_enqueue(const clattn_append_plan *plan, int launch, const clattn_append_call *call,
                                    cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list,
                                    cl_event *event);

#endif
