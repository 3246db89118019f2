/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/first_launch.h"
#include "util/status.h"

#define CLATTN_HOST
#include "copy_args.clh"

_Static_assert(COPY_MAX_PAIRS == CLATTN_COPY_MAX_PAIRS, "the kernel and the host share the number of pairs");

/* Of a page, for one row of work-items; multiples of every unit. */
#define CPU_SEGMENT 16384
#define GPU_SEGMENT 4096

static clattn_status compile(clattn_copy_plan *plan)
{
    char options[64];
    const bool cpu = (clattn_device_type(plan->device) & CL_DEVICE_TYPE_CPU) != 0;
    plan->segment = cpu ? CPU_SEGMENT : GPU_SEGMENT;
    snprintf(options, sizeof(options), "-DCOPY_SEGMENT=%d%s", plan->segment,
             CLATTN_HAS_QUIRK(plan->device, NO_ARG_INDEX) ? " -DCOPY_HELD_ARGS" : "");
    const clattn_tile as_append = clattn_group_default(plan->device, CLATTN_ALGORITHM_APPEND);
    return clattn_group_kernel_get(plan->device, "copy.cl", "clattn_copy", options, &as_append, &plan->group);
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    (void)index;
    const clattn_page_move move = { .src = { .memory = memory }, .dst = { .memory = memory } };
    return clattn_copy_enqueue(user, &move, queue, 0, NULL, NULL);
}

static clattn_status take_planes(clattn_copy_plan *plan, const clattn_copy_desc *desc)
{
    const size_t count = (size_t)desc->num_planes;
    plan->pages = desc->pages;
    plan->num_planes = desc->num_planes;
    plan->planes = malloc(count * sizeof(*plan->planes));
    plan->marks = clattn_page_marks_create(desc->pages);
    if (!plan->planes || !plan->marks)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan of %d planes and %d pages", desc->num_planes,
                           desc->pages);
    memcpy(plan->planes, desc->planes, count * sizeof(*plan->planes));
    for (size_t i = 0; i < count; i++) {
        if (plan->planes[i].page_stride == 0)
            plan->planes[i].page_stride = plan->planes[i].page_bytes;
        plan->page_bytes += (size_t)plan->planes[i].page_bytes;
    }
    return CLATTN_OK;
}

clattn_status clattn_copy_plan_build(clattn_device *device, const clattn_copy_desc *desc, clattn_copy_plan **out)
{
    clattn_copy_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    clattn_status status = take_planes(plan, desc);
    if (status == CLATTN_OK)
        status = compile(plan);
    if (status == CLATTN_OK)
        status = clattn_kernels_warm_up(device, &plan->group.kernel, 1, first_launch, plan);
    if (status != CLATTN_OK) {
        clattn_copy_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_copy_plan_free(clattn_copy_plan *plan)
{
    if (plan->group.kernel)
        clattn_kernel_release(plan->group.kernel);
    clattn_page_marks_destroy(plan->marks);
    clattn_device_release(plan->device);
    free(plan->planes);
    free(plan);
}

static copy_args args_of(const clattn_page_move *move)
{
    copy_args args = {
        .src_offset = move->src.offset,
        .src_stride = move->src.stride,
        .dst_offset = move->dst.offset,
        .dst_stride = move->dst.stride,
        .bytes = (int32_t)move->bytes,
    };
    const int64_t numbers[] = { args.src_offset, args.src_stride, args.dst_offset, args.dst_stride, args.bytes };
    args.unit = clattn_copy_unit(numbers, sizeof(numbers) / sizeof(numbers[0]));
    memcpy(args.src, move->src_ids, (size_t)move->count * sizeof(args.src[0]));
    memcpy(args.dst, move->dst_ids, (size_t)move->count * sizeof(args.dst[0]));
    return args;
}

static cl_int set_arguments(cl_kernel kernel, const copy_args *args, const clattn_page_move *move)
{
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(kernel, 1, sizeof(cl_mem), &move->src.memory);
    if (code == CL_SUCCESS)
        code = clSetKernelArg(kernel, 2, sizeof(cl_mem), &move->dst.memory);
    return code;
}

clattn_status clattn_copy_enqueue(const clattn_copy_plan *plan, const clattn_page_move *move, cl_command_queue queue,
                                  cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    const copy_args args = args_of(move);
    const clattn_group_kernel *group = &plan->group;
    const size_t segments = ((size_t)move->bytes + (size_t)plan->segment - 1) / (size_t)plan->segment;
    const size_t rows = clattn_group_rows(group), chunks = (segments + rows - 1) / rows;
    const size_t local[3] = { clattn_group_lanes(group), rows, 1 };
    const size_t global[3] = { local[0] * (chunks ? chunks : 1), local[1], move->count ? (size_t)move->count : 1 };
    pthread_mutex_lock(&group->kernel->lock);
    cl_int code = set_arguments(group->kernel->handle, &args, move);
    if (code == CL_SUCCESS)
        code = clEnqueueNDRangeKernel(queue, group->kernel->handle, 3, NULL, global, local, num_wait, wait_list, event);
    pthread_mutex_unlock(&group->kernel->lock);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}
