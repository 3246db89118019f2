/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CLATTN_KV_COPY_H
#define CLATTN_KV_COPY_H

/* From a checked description to copy's kernel, and from checked buffers to its launches. */

#include <clattn/cache_copy.h>

#include "kv/group.h"
#include "kv/page_list.h"

#define CLATTN_COPY_MAX_PAIRS 64 /* a launch */

struct clattn_copy_plan {
    clattn_device *device;
    int32_t pages, num_planes;
    clattn_page_plane *planes; /* page_stride set */
    size_t page_bytes;         /* of all planes */
    clattn_page_marks *marks;
    clattn_group_kernel group;
    int32_t segment; /* bytes */
};

/* Where pages lie: page p at byte offset + p * stride. */
typedef struct clattn_page_array {
    cl_mem memory;
    int64_t offset, stride;
} clattn_page_array;

/* One launch's copy: pages src_ids[i] of src to dst_ids[i] of dst, `bytes` each. */
typedef struct clattn_page_move {
    clattn_page_array src, dst;
    int64_t bytes;
    int32_t count; /* up to CLATTN_COPY_MAX_PAIRS */
    int32_t src_ids[CLATTN_COPY_MAX_PAIRS], dst_ids[CLATTN_COPY_MAX_PAIRS];
} clattn_page_move;

/* clattn_copy_plan_create with checked arguments; see there for the errors. */
clattn_status clattn_copy_plan_build(clattn_device *device, const clattn_copy_desc *desc, clattn_copy_plan **out);
void clattn_copy_plan_free(clattn_copy_plan *plan);

/* Sets the kernel's arguments and enqueues it; its lock is taken here. count 0: one group, which does nothing. */
clattn_status clattn_copy_enqueue(const clattn_copy_plan *plan, const clattn_page_move *move, cl_command_queue queue,
                                  cl_uint num_wait, const cl_event *wait_list, cl_event *event);

#endif
