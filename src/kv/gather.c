/* SPDX-License-Identifier: BSD-2-Clause */
#include "kv/gather.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/first_launch.h"
#include "util/status.h"

#define CLATTN_HOST
#include "gather_args.clh"

static bool copies(const clattn_gather_desc *desc)
{
    return desc->dtype == desc->out_dtype;
}

static clattn_status compile(clattn_gather_plan *plan, const clattn_tile *tile)
{
    char options[64] = "-DGATHER_COPIES";
    if (!copies(&plan->desc))
        snprintf(options, sizeof(options), "-DFROM_DTYPE=%d -DTO_DTYPE=%d", (int)plan->desc.dtype,
                 (int)plan->desc.out_dtype);
    const clattn_tile own = tile ? *tile : clattn_group_default(plan->device, CLATTN_ALGORITHM_GATHER);
    return clattn_group_kernel_get(plan->device, "gather.cl", "clattn_gather", options, &own, &plan->group);
}

static clattn_status first_launch(void *user, int index, cl_command_queue queue, cl_mem memory)
{
    (void)index;
    clattn_gather_call call = { .batch = 0 };
    for (int i = 0; i < CLATTN_GATHER_ARGUMENT_COUNT; i++)
        call.memory[i] = memory;
    return clattn_gather_enqueue(user, &call, queue, 0, NULL, NULL);
}

clattn_status clattn_gather_plan_build(clattn_device *device, const clattn_gather_desc *desc, const clattn_tile *tile,
                                       clattn_gather_plan **out)
{
    clattn_gather_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return clattn_fail(CLATTN_OUT_OF_MEMORY, "no memory for a plan");
    plan->device = clattn_device_retain(device);
    plan->desc = *desc;
    if (plan->desc.block_table_stride == 0)
        plan->desc.block_table_stride = desc->max_pages;
    clattn_status status = compile(plan, tile);
    if (status == CLATTN_OK)
        status = clattn_kernels_warm_up(device, &plan->group.kernel, 1, first_launch, plan);
    if (status != CLATTN_OK) {
        clattn_gather_plan_free(plan);
        return status;
    }
    *out = plan;
    return CLATTN_OK;
}

void clattn_gather_plan_free(clattn_gather_plan *plan)
{
    if (plan->group.kernel)
        clattn_kernel_release(plan->group.kernel);
    clattn_device_release(plan->device);
    free(plan);
}

/* Whether a token's heads lie behind one another on both sides, so that they are one row: not where each has a scale.
 */
static bool heads_join(const clattn_gather_desc *d)
{
    const int64_t blocks = d->head_dim / clattn_dtype_block_len(d->dtype);
    const int64_t out_blocks = d->head_dim / clattn_dtype_block_len(d->out_dtype);
    const bool neighbours = d->cache.head == blocks && d->out.head == out_blocks;
    const bool scaled = d->dtype == CLATTN_FP8 && !copies(d);
    return !scaled && (d->kv_heads == 1 || neighbours) &&
           (int64_t)d->kv_heads * d->head_dim * (int64_t)sizeof(float) <= CLATTN_MAX_JOINED_ROW;
}

/* Bytes of `elements`, where rows are copied. */
static int32_t row_length(const clattn_gather_desc *d, int32_t elements)
{
    return copies(d) ? elements / clattn_dtype_block_len(d->dtype) * (int32_t)clattn_dtype_size(d->dtype) : elements;
}

static gather_args args_of(const clattn_gather_plan *plan, const clattn_gather_call *call)
{
    const clattn_gather_desc *d = &plan->desc;
    const bool join = heads_join(d);
    const int64_t size = copies(d) ? (int64_t)clattn_dtype_size(d->dtype) : 1;
    const int64_t alignment = copies(d) ? (int64_t)clattn_dtype_alignment(d->dtype) : 1;
    gather_args args = {
        .cache_offset = call->offsets[CLATTN_GATHER_CACHE] * alignment,
        .cache_page = d->cache.page * size,
        .cache_token = d->cache.token * size,
        .cache_head = d->cache.head * size,
        .out_offset = call->offsets[CLATTN_GATHER_OUT] * alignment,
        .out_batch = d->out.batch * size,
        .out_token = d->out.token * size,
        .out_head = d->out.head * size,
        .block_table_offset = call->offsets[CLATTN_GATHER_BLOCK_TABLE],
        .block_table_row = d->block_table_stride,
        .kv_lens_offset = call->offsets[CLATTN_GATHER_KV_LENS],
        .scales_offset = call->offsets[CLATTN_GATHER_SCALES],
        .error_record_offset = call->has_error_record ? call->offsets[CLATTN_GATHER_ERROR_RECORD] : -1,
        .capacity = (int64_t)d->max_pages * d->page_size,
        .batch = call->batch,
        .out_len = call->out_len,
        .pages = d->pages,
        .page_size = d->page_size,
        .heads = join ? 1 : d->kv_heads,
        .row = row_length(d, join ? d->kv_heads * d->head_dim : d->head_dim),
    };
    const int64_t numbers[] = { args.cache_offset, args.cache_page, args.cache_token, args.cache_head, args.row,
                                args.out_offset,   args.out_batch,  args.out_token,   args.out_head };
    args.unit = clattn_copy_unit(numbers, sizeof(numbers) / sizeof(numbers[0]));
    return args;
}

static cl_int set_and_enqueue(const clattn_gather_plan *plan, const clattn_gather_call *call, const gather_args *args,
                              cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list, cl_event *event)
{
    cl_kernel kernel = plan->group.kernel->handle;
    cl_int code = clSetKernelArg(kernel, 0, sizeof(*args), args);
    for (int i = 0; i < CLATTN_GATHER_ARGUMENT_COUNT && code == CL_SUCCESS; i++)
        code = clSetKernelArg(kernel, (cl_uint)i + 1, sizeof(cl_mem), &call->memory[i]);
    if (code != CL_SUCCESS)
        return code;
    const size_t sequences = call->batch < CLATTN_MAX_GROUPS_Z ? (size_t)call->batch : CLATTN_MAX_GROUPS_Z;
    const size_t local[3] = { clattn_group_lanes(&plan->group), clattn_group_rows(&plan->group), 1 };
    const size_t global[3] = { local[0] * clattn_group_chunks(&plan->group, call->out_len), local[1],
                               sequences ? sequences : 1 };
    return clEnqueueNDRangeKernel(queue, kernel, 3, NULL, global, local, num_wait, wait_list, event);
}

clattn_status clattn_gather_enqueue(const clattn_gather_plan *plan, const clattn_gather_call *call,
                                    cl_command_queue queue, cl_uint num_wait, const cl_event *wait_list,
                                    cl_event *event)
{
    const gather_args args = args_of(plan, call);
    pthread_mutex_lock(&plan->group.kernel->lock);
    const cl_int code = set_and_enqueue(plan, call, &args, queue, num_wait, wait_list, event);
    pthread_mutex_unlock(&plan->group.kernel->lock);
    return code == CL_SUCCESS ? CLATTN_OK : clattn_fail_cl("clEnqueueNDRangeKernel", code);
}
